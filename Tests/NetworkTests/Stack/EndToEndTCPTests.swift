// TCP through two whole stacks and a link that loses, repeats, reorders and corrupts.

import SwiftletNetwork
import Testing

/// Sends one long stream over a link and compares what arrives, octet by octet.
struct StreamTransfer: ~Copyable {
    var link: SimulatedLink
    let octets: Int
    private let seed: UInt64

    init(
        octets: Int, seed: UInt64, _ quality: LinkQuality, offloads: Bool = false,
        cuts: Bool = false
    ) {
        link = SimulatedLink(quality, seed: seed, offloads: offloads, cuts: cuts)
        link.configure()
        self.octets = octets
        self.seed = seed
    }

    /// The stream, made the same way at both ends: octet by octet from its position.
    private static func pattern(_ position: Int, _ seed: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: (position &* 0x9E37_79B1 &+ Int(seed)) >> 11)
    }

    /// - Returns: octets that arrived, right and in order, before the stream's end; nil if there
    ///   was a wrong one, or it did not end within the time.
    mutating func run(seconds: UInt64) throws -> Int? {
        let listener = try link.right.listen(port: 80, backlog: 4)
        let to = SocketAddress(IPAddress(SimulatedLink.rightAddress), port: 80)
        let client = try link.left.connect(to: to, now: link.now)
        var server: TCPConnectionID?
        let limit = Instant(nanoseconds: link.now.nanoseconds + seconds * 1_000_000_000)
        var sent = 0
        var received = 0
        var isRight = true
        let seed = seed
        while link.step(until: limit) {
            let status = link.left.status(client)
            if status.state == .closed { return nil }
            if status.state != .synSent, sent < octets {
                let room = min(link.left.sendRoom(client), octets - sent, 32_768)
                if room > 0 {
                    let start = sent
                    let piece = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                        for index in 0..<room { buffer[index] = Self.pattern(start + index, seed) }
                        count = room
                    }
                    sent += link.left.send(link.left.handle(client)!, piece.span.bytes)
                    link.left.flush(client, now: link.now)
                    if sent == octets { link.left.finish(client, now: link.now) }
                }
            }
            if server == nil { server = link.right.accept(listener) }
            guard let server else { continue }
            while link.right.receivedCount(link.right.handle(server)!) > 0 {
                let start = received
                let count = link.right.withReceived(link.right.handle(server)!) { bytes in
                    bytes.withUnsafeBytes { buffer in
                        for index in buffer.indices
                        where buffer[index] != Self.pattern(start + index, seed) {
                            isRight = false
                        }
                    }
                    return bytes.byteCount
                }
                received += count
                link.right.consume(link.right.handle(server)!, count, now: link.now)
            }
            guard isRight else { return nil }
            if link.right.status(server).peerFinished,
                link.right.receivedCount(link.right.handle(server)!) == 0
            {
                return received
            }
        }
        return nil
    }
}

@Suite struct EndToEndTCPTests {
    @Test(arguments: [false, true]) func aStreamOverAPerfectLink(offloads: Bool) throws {
        var transfer = StreamTransfer(
            octets: 1_000_000, seed: 11, .perfect, offloads: offloads)
        #expect(seen(try transfer.run(seconds: 60)) == 1_000_000)
        #expect(seen(transfer.link.left.tcp.statistics.segmentsRetransmitted) == 0)
        #expect(seen(transfer.link.right.statistics.droppedChecksums) == 0)
    }

    @Test func segmentsThatTheCardCuts() throws {
        var transfer = StreamTransfer(octets: 4_000_000, seed: 12, .perfect, cuts: true)
        #expect(seen(try transfer.run(seconds: 60)) == 4_000_000)
        #expect(seen(transfer.link.left.tcp.statistics.segmentsRetransmitted) == 0)
        #expect(seen(transfer.link.right.statistics.droppedChecksums) == 0)
        // Most of it went out in large pieces: a packet carries 1 460 octets at most.
        #expect(seen(transfer.link.left.tcp.statistics.segmentsSent) < 4_000_000 / 5_000)
    }

    @Test(arguments: [1 as UInt64, 2]) func segmentsThatTheCardCutsOverABadLink(
        seed: UInt64
    ) throws {
        var transfer = StreamTransfer(octets: 4 << 20, seed: seed, .bad, cuts: true)
        #expect(seen(try transfer.run(seconds: 600)) == 4 << 20)
        #expect(seen(transfer.link.framesLost) > 20)
    }

    @Test(arguments: [1 as UInt64, 2]) func tenMegabytesOverALinkThatLosesTwoPercent(
        seed: UInt64
    ) throws {
        var transfer = StreamTransfer(octets: 10 << 20, seed: seed, .bad)
        #expect(seen(try transfer.run(seconds: 600)) == 10 << 20)
        #expect(seen(transfer.link.framesLost) > 50)
        #expect(seen(transfer.link.left.tcp.statistics.segmentsRetransmitted) > 50)
    }

    @Test func aConnectionToOurselves() throws {
        var link = SimulatedLink(seed: 3)
        link.configure()
        let listener = try link.left.listen(port: 80, backlog: 1)
        let to = SocketAddress(IPAddress(IPv4Address(127, 0, 0, 1)), port: 80)
        let client = try link.left.connect(to: to, now: link.now)
        link.run(milliseconds: 5)
        let server = try #require(seen(link.left.accept(listener)))
        let payload: [UInt8] = Array("hello".utf8)
        #expect(seen(link.left.send(link.left.handle(client)!, payload.span.bytes)) == 5)
        link.left.flush(client, now: link.now)
        link.run(milliseconds: 5)
        #expect(seen(link.left.withReceived(link.left.handle(server)!) { copy($0) }) == payload)
    }

    @Test func connectWithoutARouteFails() {
        var peer = LonelyStack(configured: false)
        let to = SocketAddress(IPAddress(LonelyStack.stranger), port: 80)
        #expect(throws: TCPError.invalidAddress) {
            _ = try peer.stack.connect(to: to, now: peer.now)
        }
    }

    @Test func aClosedPortIsRefusedThroughTheStack() throws {
        var link = SimulatedLink(seed: 5)
        link.configure()
        let to = SocketAddress(IPAddress(SimulatedLink.rightAddress), port: 81)
        let client = try link.left.connect(to: to, now: link.now)
        link.run(milliseconds: 50)
        #expect(seen(link.left.status(client).failure) == .refused)
    }

    @Test func rfc9293Section3_9_2SegmentsToGroupsAreIgnored() throws {
        var peer = LonelyStack()
        peer.introducePeer()
        _ = try peer.stack.listen(port: 80, backlog: 4)
        for (address, hardware) in [
            (IPv4Address.broadcast, Frames.broadcast), (LonelyStack.address, Frames.broadcast),
            (IPv4Address(192, 168, 7, 255), Frames.broadcast),
        ] {
            let syn = Frames.tcp(
                from: (LonelyStack.peer, 5), to: (address, 80), sequence: 1, acknowledgement: 0,
                flags: 2)
            peer.receivePacket(
                Frames.ipv4(
                    from: LonelyStack.peer, to: address, protocolNumber: 6, syn), to: hardware)
        }
        peer.run(milliseconds: 100)
        #expect(seen(peer.sent().isEmpty))
    }

    @Test func aFloodOf100_000SYNsIsAnsweredWithinBounds() throws {
        var peer = LonelyStack()
        peer.introducePeer()
        _ = try peer.stack.listen(port: 80, backlog: 16)
        var answers = 0
        for index in 0..<100_000 {
            // From everywhere beyond the gateway.
            let source = IPv4Address(bits: 0x0B00_0000 + UInt32(index) * 97)
            let syn = Frames.tcp(
                from: (source, 1024 + index % 60_000), to: (LonelyStack.address, 80),
                sequence: UInt32(index), acknowledgement: 0, flags: 2)
            peer.receivePacket(
                Frames.ipv4(
                    from: source, to: LonelyStack.address, protocolNumber: 6, syn))
            answers += peer.sent().count
        }
        #expect(answers > 90_000)
        #expect(seen(peer.stack.statistics.droppedUnreachable) == 0)
        // A client who means it still gets in.
        let syn = Frames.tcp(
            from: (LonelyStack.peer, 7777), to: (LonelyStack.address, 80), sequence: 500,
            acknowledgement: 0, flags: 2)
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 6, syn))
        let answer = try #require(seen(peer.sent().first))
        let theirs = answer[38..<42].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let acknowledgement = Frames.tcp(
            from: (LonelyStack.peer, 7777), to: (LonelyStack.address, 80), sequence: 501,
            acknowledgement: theirs &+ 1, flags: 0x10)
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 6,
                acknowledgement))
        var accepted = false
        while let event = peer.stack.nextEvent() {
            if case .tcp(.acceptable) = event { accepted = true }
        }
        #expect(accepted)
    }
}
