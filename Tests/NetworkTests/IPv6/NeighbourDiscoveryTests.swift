// RFC 4861: solicitations, advertisements, unreachability, and what is not believed.

import Testing

@testable import SwiftletNetwork

@Suite struct NeighbourDiscoveryTests {
    private func socket(_ peer: inout LonelyStack) throws -> UDPSocketID {
        try peer.stack.bindUDP(port: 9)
    }

    private func send(_ peer: inout LonelyStack, _ id: UDPSocketID, to address: IPAddress) throws {
        let payload: [UInt8] = [1, 2, 3]
        try peer.stack.sendUDP(
            id, payload.span.bytes, to: SocketAddress(address, port: 7), now: peer.now)
    }

    @Test func section7_2_4SolicitationIsAnsweredToTheAsker() throws {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveSolicitation(of: peer.linkLocal)
        let answers = peer.sentMessages(136)
        let answer = try #require(answers.first)
        #expect(answers.count == 1)
        #expect(Array(answer[0..<6]) == be48(LonelyStack.peerHardware))
        #expect(answer[21] == 255 && answer[20] == 58)
        #expect(address6(answer, 22) == peer.linkLocal)
        #expect(address6(answer, 38) == LonelyStack.neighbour)
        // Solicited and overriding, of the target, with our hardware address.
        #expect(Array(answer[58..<62]) == be32(0x6000_0000))
        #expect(address6(answer, 62) == peer.linkLocal)
        #expect(Array(answer[78...]) == Frames.hardwareOption(2, LonelyStack.hardware))
        #expect(holds6(answer))
    }

    @Test func section7_1MalformedOrForwardedSolicitationsAreDropped() {
        var peer = LonelyStack(ipv6: .automatic)
        let own = peer.linkLocal
        peer.receiveSolicitation(of: own, hopLimit: 254)
        peer.receiveSolicitation(of: own, options: [1, 0, 0, 0, 0, 0, 0, 0])
        peer.receiveSolicitation(of: own, options: [1, 2, 0, 0, 0, 0, 0, 0])
        peer.receiveSolicitation(of: own, options: [1])
        // From nobody, it must not name a hardware address.
        peer.receiveSolicitation(of: own, from: .unspecified)
        #expect(seen(peer.stack.statistics.droppedNeighbours == 5))
        #expect(peer.sentMessages(136).isEmpty)
    }

    @Test func section7_2_2NeighbourIsSolicitedThreeTimesThenGivenUp() throws {
        var peer = LonelyStack(ipv6: .automatic)
        let id = try socket(&peer)
        let stranger = v6("fe80::77:8899")
        try send(&peer, id, to: stranger)
        let first = try #require(peer.sentMessages(135).first)
        #expect(Array(first[0..<6]) == [0x33, 0x33, 0xFF, 0x77, 0x88, 0x99])
        #expect(address6(first, 38) == v6("ff02::1:ff77:8899"))
        #expect(address6(first, 62) == stranger)
        #expect(Array(first[78...]) == Frames.hardwareOption(1, LonelyStack.hardware))
        peer.run(milliseconds: 2500)
        #expect(peer.sentMessages(135).count == 2)
        let lost = peer.stack.statistics.droppedUnreachable
        peer.run(milliseconds: 2000)
        #expect(peer.sentMessages(135).isEmpty)
        #expect(seen(peer.stack.statistics.droppedUnreachable == lost + 1))
        #expect(seen(peer.stack.interface.neighbours.state(of: stranger) == .free))
    }

    @Test func section7_2_5AnswerSendsWhatWaited() throws {
        var peer = LonelyStack(ipv6: .automatic)
        let id = try socket(&peer)
        try send(&peer, id, to: LonelyStack.neighbour)
        _ = peer.sent()
        peer.receiveAdvertisement(of: LonelyStack.neighbour)
        let frames = peer.sent()
        #expect(frames.count == 1)
        #expect(frames.first?[20] == 17)
        #expect(frames.first.map { Array($0[0..<6]) } == be48(LonelyStack.peerHardware))
        #expect(frames.first.map { holds6($0) } == true)
        #expect(
            seen(peer.stack.interface.neighbours.state(of: LonelyStack.neighbour) == .reachable))
    }

    /// §7.3.3: reachable, stale, delay, probe, and gone.
    @Test func section7_3NeighbourThatFallsSilentIsProbedAndForgotten() throws {
        var peer = LonelyStack(ipv6: .automatic)
        let id = try socket(&peer)
        try send(&peer, id, to: LonelyStack.neighbour)
        peer.receiveAdvertisement(of: LonelyStack.neighbour)
        func state(_ peer: borrowing LonelyStack) -> NeighbourCache.State {
            peer.stack.interface.neighbours.state(of: LonelyStack.neighbour)
        }
        #expect(seen(state(peer) == .reachable))
        peer.run(milliseconds: 31_000)
        #expect(seen(state(peer) == .stale))
        _ = peer.sent()
        // What is sent goes out at once, and begins the delay.
        try send(&peer, id, to: LonelyStack.neighbour)
        #expect(peer.sent().count == 1)
        #expect(seen(state(peer) == .delay))
        peer.run(milliseconds: 5_100)
        #expect(seen(state(peer) == .probe))
        let probe = try #require(peer.sentMessages(135).first)
        #expect(Array(probe[0..<6]) == be48(LonelyStack.peerHardware))
        #expect(address6(probe, 38) == LonelyStack.neighbour)
        // It still is there.
        peer.receiveAdvertisement(of: LonelyStack.neighbour, flags: 0x4000_0000, hardware: nil)
        #expect(seen(state(peer) == .reachable))
        peer.run(milliseconds: 31_000)
        try send(&peer, id, to: LonelyStack.neighbour)
        peer.run(milliseconds: 9_000)
        #expect(seen(state(peer) == .free))
        #expect(peer.sentMessages(135).count == 3)
    }

    @Test func section7_2_5OverrideFlagDecides() {
        var cache = NeighbourCache(key: 5)
        let now = Instant(nanoseconds: 0)
        let address = LonelyStack.neighbour
        #expect(seen(cache.resolve(address, now: now) == .solicit))
        func receive(_ cache: inout NeighbourCache, _ hardware: UInt64, _ overrides: Bool) {
            _ = cache.receive(
                NeighbourCache.Advertisement(
                    hardware: hardware, isSolicited: true, overrides: overrides, isRouter: false),
                from: address, now: now)
        }
        receive(&cache, 0x0200_0000_00AA, false)
        #expect(seen(cache.state(of: address) == .reachable))
        // Another one without the flag casts doubt, and changes nothing.
        receive(&cache, 0x0200_0000_00BB, false)
        #expect(seen(cache.state(of: address) == .stale))
        #expect(seen(cache.resolve(address, now: now) == .known(0x0200_0000_00AA)))
        receive(&cache, 0x0200_0000_00BB, true)
        #expect(seen(cache.resolve(address, now: now) == .known(0x0200_0000_00BB)))
        #expect(seen(cache.state(of: address) == .reachable))
    }

    @Test func theRouterKeepsItsPlaceAndIsLookedForInACrowd() {
        let router = IPAddress(high: 0xFE80 << 48, low: 1)
        for key in 0..<UInt64(20) {
            var cache = NeighbourCache(key: key &* 0x9E37_79B9_7F4A_7C15)
            let now = Instant(nanoseconds: 0)
            #expect(seen(!cache.note(router, hardware: 0x11, isRouter: true)))
            var refused = 0
            // Addresses that differ only in the bits that a multiplication does not carry down, too.
            for host in 0..<UInt64(2_000) {
                let stranger = IPAddress(high: 0xFE80 << 48, low: host << 60 | host << 20 | 1)
                guard stranger != router else { continue }
                if cache.resolve(stranger, now: now) == .refused { refused += 1 }
            }
            #expect(refused > 1_900)
            #expect(seen(cache.resolve(router, isRouter: true, now: now) == .known(0x11)))
        }
    }

    @Test func packetsForWhomNobodyIsAskedAreNotKept() {
        var peer = LonelyStack(ipv6: .automatic)
        let before = peer.stack.statistics.droppedUnreachable
        var waiting: UInt64 = 0
        for host in 0..<UInt64(300) {
            let result = peer.stack.interface.sendPacket(
                protocolNumber: 17, from: LonelyStack.neighbour,
                to: IPAddress(high: 0xFE80 << 48, low: 0x1000 + host), head: 0,
                [0, 0, 0, 0, 0, 0, 0, 0].span.bytes, waits: true)
            #expect(result == .waiting || result == .busy)
            if result == .waiting { waiting += 1 }
        }
        #expect((16...32).contains(waiting))
        // Nobody answers, and all that was kept is given up.
        peer.run(milliseconds: 10_000)
        #expect(seen(peer.stack.statistics.droppedUnreachable == before + waiting))
    }

    @Test func unsolicitedAdvertisementsOfStrangersCreateNothing() {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveAdvertisement(of: LonelyStack.neighbour)
        #expect(seen(peer.stack.interface.neighbours.state(of: LonelyStack.neighbour) == .free))
    }

    @Test func section8RedirectsAreNotHeeded() throws {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter()
        let before = peer.stack.statistics.droppedNeighbours
        peer.receive6(
            Frames.icmpV6(
                from: LonelyStack.router, to: peer.linkLocal, type: 137,
                be32(0) + be128(LonelyStack.neighbour) + be128(LonelyStack.far)))
        #expect(seen(peer.stack.statistics.droppedNeighbours == before + 1))
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == LonelyStack.router))
    }

    /// A flood of neighbours that do not exist displaces none that is in use.
    @Test func floodOfSolicitationsKeepsNeighboursInUse() throws {
        var peer = LonelyStack(ipv6: .automatic)
        let id = try socket(&peer)
        try send(&peer, id, to: LonelyStack.neighbour)
        peer.receiveAdvertisement(of: LonelyStack.neighbour)
        var random = SeededRandom(seed: 61)
        for _ in 0..<20_000 {
            let source = IPAddress(high: 0xFE80 << 48, low: random.next())
            peer.receiveSolicitation(
                of: peer.linkLocal, from: source,
                options: Frames.hardwareOption(1, 0x0200_0000_0000 | random.next() & 0xFFFF_FFFF))
            if random.next() % 64 == 0 { _ = peer.sent() }
        }
        _ = peer.sent()
        #expect(
            seen(peer.stack.interface.neighbours.state(of: LonelyStack.neighbour) == .reachable))
        try send(&peer, id, to: LonelyStack.neighbour)
        let frames = peer.sent()
        #expect(frames.count == 1 && frames[0][20] == 17)
    }

    /// Who makes us send to many strangers causes no more solicitations at a time than the bound.
    @Test func solicitationsUnderWayAreBounded() throws {
        var peer = LonelyStack(ipv6: .automatic)
        let id = try socket(&peer)
        for host in 1...500 {
            try? send(&peer, id, to: IPAddress(high: 0xFE80 << 48, low: UInt64(host) << 20))
        }
        #expect(peer.sentMessages(135).count <= 32)
    }
}
