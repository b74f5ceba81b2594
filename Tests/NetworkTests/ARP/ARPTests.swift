// RFC 826, RFC 1122 §2.3.2 and RFC 5227: neighbours, their expiry, and whose address it is.

import Testing

@testable import SwiftletNetwork

@Suite struct ARPTests {
    private let second: UInt64 = 1_000_000_000

    private func at(_ seconds: UInt64) -> Instant {
        Instant(nanoseconds: seconds * second)
    }

    @Test func rfc826PacketsAreReadAsWritten() {
        let packet = ARPPacket(
            .reply, senderHardware: 0x0200_0000_0001, sender: IPv4Address(10, 0, 0, 1),
            targetHardware: 0x0200_0000_0002, target: IPv4Address(10, 0, 0, 2))
        var bytes = [UInt8](repeating: 0xEE, count: 30)
        do {
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            packet.write(into: &raw, at: 2)
        }
        let expected = Frames.arp(
            operation: 2, sender: (0x0200_0000_0001, IPv4Address(10, 0, 0, 1)),
            target: (0x0200_0000_0002, IPv4Address(10, 0, 0, 2)), to: 0)
        #expect(Array(bytes[2...]) == Array(expected[14...]))
        #expect(seen(ARPPacket(bytes.span.bytes.extracting(2..<30)) == packet))
    }

    @Test func malformedPacketsAreRefused() {
        let good = Array(
            Frames.arp(
                operation: 1, sender: (2, IPv4Address(10, 0, 0, 1)),
                target: (0, IPv4Address(10, 0, 0, 2)), to: 0)[14...])
        #expect(seen(ARPPacket(good.span.bytes) != nil))
        for length in 0..<28 {
            #expect(seen(ARPPacket(good.span.bytes.extracting(0..<length)) == nil))
        }
        // Hardware type, protocol, lengths, operation; then a group as sender.
        for index in 0..<8 {
            var bad = good
            bad[index] ^= 0x40
            #expect(seen(ARPPacket(bad.span.bytes) == nil))
        }
        var group = good
        group[8] |= 1
        #expect(seen(ARPPacket(group.span.bytes) == nil))
    }

    @Test func rfc1122Section2_3_2_1RequestsAreOneASecondAndEnd() {
        var cache = ARPCache()
        let address = IPv4Address(10, 0, 0, 9)
        #expect(seen(cache.resolve(address, now: at(1)) == .request))
        #expect(seen(cache.resolve(address, now: at(1)) == .pending))
        var requests = 1
        var failed = false
        var now = at(1)
        while cache.nextDeadline != .never {
            #expect(seen(cache.nextDeadline.nanoseconds - now.nanoseconds >= second))
            now = cache.nextDeadline
            while let due = cache.nextDue(now: now) {
                if due == .request(address, hardware: nil) { requests += 1 }
                if due == .failed(address) { failed = true }
            }
        }
        #expect(requests == Int(ARPCache.maximumRequests))
        #expect(failed)
        #expect(seen(cache.resolve(address, now: now) == .request))
    }

    @Test func entriesExpireUnlessUsed() {
        var cache = ARPCache()
        let idle = IPv4Address(10, 0, 0, 3)
        let busy = IPv4Address(10, 0, 0, 4)
        _ = cache.learn(idle, hardware: 0x33, create: true, now: at(0))
        _ = cache.learn(busy, hardware: 0x44, create: true, now: at(0))
        #expect(seen(cache.resolve(busy, now: at(30)) == .known(0x44)))
        let before = cache.generation
        #expect(seen(cache.nextDue(now: at(60)) == .request(busy, hardware: 0x44)))
        #expect(seen(cache.nextDue(now: at(60)) == nil))
        #expect(seen(cache.generation != before))
        #expect(seen(cache.resolve(busy, now: at(60)) == .known(0x44)))
        #expect(seen(cache.resolve(idle, now: at(60)) == .request))
        // The answer renews it without news for those who remember it.
        let generation = cache.generation
        #expect(seen(!cache.learn(busy, hardware: 0x44, create: false, now: at(61))))
        #expect(seen(cache.generation == generation))
    }

    @Test func strangersDoNotEnterAndNewsChangeTheGeneration() {
        var cache = ARPCache()
        let address = IPv4Address(10, 0, 0, 5)
        #expect(seen(!cache.learn(address, hardware: 1, create: false, now: at(0))))
        #expect(seen(cache.resolve(address, now: at(0)) == .request))
        let generation = cache.generation
        #expect(seen(cache.learn(address, hardware: 1, create: false, now: at(0))))
        #expect(seen(cache.generation != generation))
        let known = cache.generation
        #expect(seen(!cache.learn(address, hardware: 2, create: false, now: at(0))))
        #expect(seen(cache.generation != known))
        #expect(seen(cache.resolve(address, now: at(0)) == .known(2)))
    }

    @Test func theGatewayKeepsItsPlaceAndIsLookedForInACrowd() {
        var cache = ARPCache()
        let gateway = IPv4Address(10, 0, 0, 1)
        #expect(seen(cache.resolve(gateway, isGateway: true, now: at(0)) == .request))
        _ = cache.learn(gateway, hardware: 0x11, create: false, now: at(0))
        // More strangers than there are places, in every set; then more that are looked for.
        for host in 2..<UInt32(2_000) {
            let address = IPv4Address(bits: 0x0A00_0000 + host)
            if host < 1_000 {
                _ = cache.learn(address, hardware: 1, create: true, now: at(1))
            } else {
                _ = cache.resolve(address, now: at(1))
            }
        }
        #expect(seen(cache.resolve(gateway, isGateway: true, now: at(2)) == .known(0x11)))
        #expect(seen(cache.resolve(IPv4Address(10, 9, 9, 9), now: at(2)) == .refused))
        let other = IPv4Address(10, 9, 9, 10)
        #expect(seen(cache.resolve(other, isGateway: true, now: at(2)) == .request))
    }

    @Test func aScanOfTheSubnetIsBounded() {
        var cache = ARPCache()
        var requests = 0
        for host in 0..<UInt32(60_000) {
            let address = IPv4Address(bits: 0x0A00_0000 + host)
            if cache.resolve(address, now: at(1)) == .request { requests += 1 }
        }
        #expect(requests <= ARPCache.maximumIncomplete)
        for host in 0..<UInt32(60_000) {
            _ = cache.learn(
                IPv4Address(bits: 0x0A00_0000 + host), hardware: 1, create: true, now: at(1))
        }
        var failures = 0
        while let due = cache.nextDue(now: at(1000)) {
            if case .failed = due { failures += 1 }
        }
        #expect(failures <= ARPCache.maximumIncomplete)
    }

    @Test func rfc826TheStackAnswersRequestsForItsAddressOnly() {
        var peer = LonelyStack()
        for (target, answers) in [(LonelyStack.address, 1), (IPv4Address(192, 168, 7, 11), 0)] {
            peer.receive(
                Frames.arp(
                    operation: 1, sender: (LonelyStack.peerHardware, LonelyStack.peer),
                    target: (0, target), to: Frames.broadcast))
            let sent = peer.sent()
            #expect(sent.count == answers)
            if answers == 1 {
                let expected = Frames.arp(
                    operation: 2, sender: (LonelyStack.hardware, LonelyStack.address),
                    target: (LonelyStack.peerHardware, LonelyStack.peer),
                    to: LonelyStack.peerHardware)
                #expect(sent[0] == expected)
            }
        }
    }

    /// Few with data; of those that are as short as a handshake's, a crowd's.
    @Test(arguments: [(octets: 100, bound: 16), (octets: 1, bound: 256)])
    func packetsForAnUnknownNeighbourWaitInABoundedQueue(octets: Int, bound: Int) throws {
        var peer = LonelyStack()
        let socket = try peer.stack.bindUDP(port: 9)
        let to = SocketAddress(IPAddress(LonelyStack.stranger), port: 9)
        let payload = [UInt8](repeating: 1, count: octets)
        var queued = 0
        for _ in 0..<300 {
            do {
                try peer.stack.sendUDP(socket, payload.span.bytes, to: to, now: peer.now)
                queued += 1
            } catch {
                #expect(error == .busy)
            }
        }
        #expect(queued == bound)
        // One request, for the gateway.
        let sent = peer.sent()
        #expect(sent.count == 1)
        #expect(seen(Array(sent[0][38..<42]) == be32(LonelyStack.peer.bits)))
        peer.receive(
            Frames.arp(
                operation: 2, sender: (LonelyStack.peerHardware, LonelyStack.peer),
                target: (LonelyStack.hardware, LonelyStack.address), to: LonelyStack.hardware))
        let flushed = peer.sent()
        #expect(flushed.count == bound)
        #expect(flushed.allSatisfy { Array($0[0..<6]) == be48(LonelyStack.peerHardware) })
    }

    @Test func waitingPacketsAreDroppedWhenNobodyAnswers() throws {
        var peer = LonelyStack()
        let socket = try peer.stack.bindUDP(port: 9)
        let to = SocketAddress(IPAddress(IPv4Address(192, 168, 7, 77)), port: 9)
        let payload: [UInt8] = [1]
        try peer.stack.sendUDP(socket, payload.span.bytes, to: to, now: peer.now)
        peer.run(milliseconds: 20_000)
        #expect(seen(peer.sent().count == Int(ARPCache.maximumRequests)))
        #expect(seen(peer.stack.statistics.droppedUnreachable == 1))
    }

    // MARK: RFC 5227

    @Test func rfc5227Section2_1ProbesComeBeforeUse() {
        var peer = LonelyStack(configured: false) { $0.addressCheck = .beforeUse }
        let network = IPv4Network(LonelyStack.address, prefixLength: 24)
        peer.stack.configure(.static(IPv4Configuration(network, gateway: nil)), now: peer.now)
        #expect(seen(peer.stack.configuration == nil))
        peer.run(milliseconds: 12_000)
        #expect(seen(peer.stack.configuration?.address == LonelyStack.address))
        let sent = peer.sent()
        #expect(sent.count == 5)
        for (index, frame) in sent.enumerated() {
            let sender = index < 3 ? IPv4Address.any : LonelyStack.address
            #expect(
                frame
                    == Frames.arp(
                        operation: 1, sender: (LonelyStack.hardware, sender),
                        target: (0, LonelyStack.address), to: Frames.broadcast))
        }
    }

    @Test func rfc5227Section2_4OneDefenceInTenSeconds() {
        var peer = LonelyStack()
        let claim = Frames.arp(
            operation: 1, sender: (0x0200_0000_0099, LonelyStack.address),
            target: (0, LonelyStack.address), to: Frames.broadcast)
        peer.receive(claim)
        #expect(seen(peer.sent().count == 1))
        peer.receive(claim)
        #expect(seen(peer.sent().isEmpty))
        peer.run(milliseconds: 11_000)
        peer.receive(claim)
        #expect(seen(peer.sent().count == 1))
        #expect(seen(peer.stack.statistics.addressConflicts == 3))
        var conflicts = 0
        while let event = peer.stack.nextEvent() {
            if event == .addressConflict { conflicts += 1 }
        }
        #expect(conflicts == 1)
        #expect(seen(peer.stack.configuration?.address == LonelyStack.address))
    }

    @Test func anothersProbeForOurAddressIsAnswered() {
        var peer = LonelyStack()
        peer.receive(
            Frames.arp(
                operation: 1, sender: (LonelyStack.peerHardware, .any),
                target: (0, LonelyStack.address), to: Frames.broadcast))
        let sent = peer.sent()
        #expect(sent.count == 1)
        #expect(sent.first.map { Array($0[20..<22]) } == [0, 2])
    }
}
