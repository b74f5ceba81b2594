// RFC 792, RFC 1122 §3.2.2 and RFC 1191: echo, errors in both directions, path MTU.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct ICMPTests {
    private func ping(
        _ peer: inout LonelyStack, _ payload: [UInt8], to: IPv4Address = LonelyStack.address
    ) {
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: to, protocolNumber: 1,
                Frames.icmp(type: 8, code: 0, rest: 0xABCD_0001, payload)),
            to: to == LonelyStack.address ? LonelyStack.hardware : Frames.broadcast)
    }

    @Test func rfc792EchoIsAnsweredWithTheSameData() {
        var random = SeededRandom(seed: 792)
        var peer = LonelyStack()
        peer.introducePeer()
        for length in [0, 1, 56, 57, 1472] {
            let payload = random.bytes(length)
            ping(&peer, payload)
            let sent = peer.sent()
            #expect(sent.count == 1)
            guard let reply = sent.first else { continue }
            #expect(
                Array(reply[34...]) == Frames.icmp(type: 0, code: 0, rest: 0xABCD_0001, payload))
            #expect(
                seen(
                    Array(reply[26..<34]) == be32(LonelyStack.address.bits)
                        + be32(LonelyStack.peer.bits)))
            #expect(naiveSum(reply[14..<34]) == 0xFFFF)
            #expect(Array(reply[0..<6]) == be48(LonelyStack.peerHardware))
        }
        #expect(seen(peer.stack.statistics.echoRepliesSent == 5))
    }

    @Test func rfc1122Section3_2_2_6EchoTooLongForOnePacketIsAnsweredCut() {
        var random = SeededRandom(seed: 1122)
        var peer = LonelyStack()
        peer.introducePeer()
        for length in [1473, 1474, 4000] {
            let payload = random.bytes(length)
            let message = Frames.icmp(type: 8, code: 0, rest: 0xABCD_0001, payload)
            for start in stride(from: 0, to: message.count, by: 1480) {
                let end = min(start + 1480, message.count)
                peer.receivePacket(
                    Frames.ipv4(
                        from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 1,
                        Array(message[start..<end]), identification: length,
                        fragment: (end < message.count ? 0x2000 : 0) | start / 8))
            }
            let sent = peer.sent()
            #expect(sent.count == 1)
            guard let reply = sent.first else { continue }
            #expect(
                Array(reply[34...])
                    == Frames.icmp(
                        type: 0, code: 0, rest: 0xABCD_0001, Array(payload.prefix(1472))))
        }
    }

    @Test func rfc1122Section3_2_2_6EchoToBroadcastIsIgnored() {
        var peer = LonelyStack()
        peer.introducePeer()
        ping(&peer, [1], to: .broadcast)
        ping(&peer, [1], to: IPv4Address(192, 168, 7, 255))
        #expect(seen(peer.sent().isEmpty))
    }

    @Test func echoesAreBounded() {
        var peer = LonelyStack {
            $0.echoesPerSecond = 10
            $0.echoBurst = 5
        }
        peer.introducePeer()
        for _ in 0..<100 { ping(&peer, [1]) }
        #expect(seen(peer.sent().count == 5))
        #expect(seen(peer.stack.statistics.droppedRateLimited == 95))
        peer.run(milliseconds: 300)
        for _ in 0..<100 { ping(&peer, [1]) }
        #expect(seen(peer.sent().count == 3))
    }

    @Test func wrongChecksumsAreDropped() {
        var peer = LonelyStack()
        peer.introducePeer()
        var message = Frames.icmp(type: 8, code: 0, [1, 2, 3])
        message[9] ^= 1
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 1, message))
        #expect(seen(peer.sent().isEmpty))
        #expect(seen(peer.stack.statistics.droppedChecksums == 1))
    }

    @Test func rfc1122Section4_1_3_1ClosedPortsAreReported() {
        var peer = LonelyStack()
        peer.introducePeer()
        let packet = Frames.ipv4(
            from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 17,
            Frames.udp(from: (LonelyStack.peer, 4), to: (LonelyStack.address, 5), [1, 2, 3]))
        peer.receivePacket(packet)
        let sent = peer.sent()
        #expect(sent.count == 1)
        #expect(
            sent.first.map { Array($0[34...]) }
                == Frames.icmp(type: 3, code: 3, Array(packet[0..<28])))
    }

    @Test func protocolsThatAreNotSpokenAreReported() {
        var peer = LonelyStack()
        peer.introducePeer()
        let packet = Frames.ipv4(
            from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 132, [1, 2])
        peer.receivePacket(packet)
        #expect(
            seen(
                peer.sent().first.map { Array($0[34...]) }
                    == Frames.icmp(type: 3, code: 2, packet)))
    }

    @Test func rfc1122Section3_2_2NoErrorsAboutGroupsOrErrors() {
        var peer = LonelyStack()
        peer.introducePeer()
        let datagram = Frames.udp(from: (LonelyStack.peer, 4), to: (.broadcast, 5), [1])
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: .broadcast, protocolNumber: 17, datagram),
            to: Frames.broadcast)
        // A unicast address in a broadcast frame.
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 17, datagram),
            to: Frames.broadcast)
        let quoted = Frames.ipv4(
            from: LonelyStack.address, to: LonelyStack.peer, protocolNumber: 99,
            [0, 1, 2, 3, 4, 5, 6, 7])
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 1,
                Frames.icmp(type: 3, code: 3, quoted)))
        #expect(seen(peer.sent().isEmpty))
    }

    @Test func errorsAreBounded() {
        var peer = LonelyStack { $0.errorBurst = 7 }
        peer.introducePeer()
        for port in 1..<200 {
            peer.receivePacket(
                Frames.ipv4(
                    from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 17,
                    Frames.udp(from: (LonelyStack.peer, 4), to: (LonelyStack.address, port), [])))
        }
        #expect(seen(peer.sent().count == 7))
    }

    @Test func rfc1122Section4_1_3_3TheSocketLearnsOfUnreachablePorts() throws {
        var peer = LonelyStack()
        peer.introducePeer()
        let socket = try peer.stack.bindUDP(port: 777)
        let to = SocketAddress(IPAddress(LonelyStack.peer), port: 778)
        let payload: [UInt8] = [1, 2]
        try peer.stack.sendUDP(socket, payload.span.bytes, to: to, now: peer.now)
        let sent = Array(peer.sent()[0][14...])
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 1,
                Frames.icmp(type: 3, code: 3, Array(sent[0..<28]))))
        #expect(seen(peer.stack.takeUnreachableUDP(socket) == to))
        #expect(seen(peer.stack.takeUnreachableUDP(socket) == nil))
    }

    @Test func rfc1191PathMTUShrinksWithinBoundsAndGrowsBack() {
        var cache = PathMTUCache()
        let far = IPAddress(IPv4Address(8, 8, 8, 8))
        let other = IPAddress(IPv4Address(9, 9, 9, 9))
        let now = Instant(nanoseconds: 0)
        #expect(seen(cache.mtu(to: far, link: 1500, now: now) == 1500))
        #expect(seen(!cache.reduce(to: far, reported: 1500, length: 1500, link: 1500, now: now)))
        #expect(seen(cache.reduce(to: far, reported: 1400, length: 1500, link: 1500, now: now)))
        #expect(seen(cache.mtu(to: far, link: 1500, now: now) == 1400))
        #expect(seen(!cache.reduce(to: far, reported: 1450, length: 1500, link: 1500, now: now)))
        // RFC 5927 §7.3: absurd values stop at the floor.
        #expect(seen(cache.reduce(to: far, reported: 20, length: 1400, link: 1500, now: now)))
        #expect(seen(cache.mtu(to: far, link: 1500, now: now) == PathMTUCache.minimum))
        #expect(seen(cache.mtu(to: other, link: 1500, now: now) == 1500))
        // RFC 1191 §6.3.
        let later = Instant(nanoseconds: 601_000_000_000)
        #expect(seen(cache.mtu(to: far, link: 1500, now: later) == 1500))
        // RFC 1191 §7: an old router says nothing.
        #expect(seen(cache.reduce(to: far, reported: 0, length: 1500, link: 1500, now: later)))
        #expect(seen(cache.mtu(to: far, link: 1500, now: later) == 1492))
    }

    @Test func tokenBucketKeepsTime() {
        var limit = RateLimit(perSecond: 100, burst: 3)
        var allowed = 0
        for millisecond in 0..<2000 {
            let now = Instant(nanoseconds: 7_000_000_000 + UInt64(millisecond) * 1_000_000)
            if limit.allows(now: now) { allowed += 1 }
        }
        #expect(allowed >= 200 && allowed <= 204)
    }
}
