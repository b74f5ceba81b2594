// RFC 4862, 7217, 4429, 4861 §6.3, 8106, 3810: addresses of our own making, routers, reports.

import Testing

@testable import SwiftletNetwork

@Suite struct AutoconfigurationTests {
    @Test func rfc4862StartReportsProbesAndAsksForRouters() throws {
        var peer = LonelyStack(configured: false)
        peer.stack.configureIPv6(.automatic, now: peer.now)
        let frames = peer.sent()
        let own = peer.linkLocal
        #expect(own.isLinkLocal)
        #expect(frames.count == 3)
        // A report of the group, then the question whether somebody has the address.
        #expect(frames[0][62] == 143)
        #expect(address6(frames[0], 38) == v6("ff02::16"))
        #expect(address6(frames[0], 74) == v6("ff02::1:ff00:0").joined(own))
        #expect(holds6(frames[0], start: 62))
        #expect(frames[1][54] == 135)
        #expect(address6(frames[1], 22) == .unspecified && address6(frames[1], 62) == own)
        #expect(frames[1].count == 78 && frames[1][21] == 255 && holds6(frames[1]))
        // RFC 4429 §3.2: nothing that others would put into their caches.
        #expect(frames[2][54] == 133 && frames[2].count == 62 && holds6(frames[2]))
        #expect(seen(peer.stack.addressesIPv6[0].isTentative))
        peer.run(milliseconds: 1_100)
        #expect(seen(!peer.stack.addressesIPv6[0].isTentative))
    }

    @Test func rfc7217AddressesAreStableAndDifferByNetworkAndSecret() {
        func addresses(_ key: UInt64, _ prefix: IPAddress) -> [IPAddress] {
            var peer = LonelyStack(ipv6: .automatic) { $0.stableKey = (key, 7) }
            peer.receiveRouter(Frames.prefixOption(prefix))
            return peer.stack.addressesIPv6.map(\.address)
        }
        let one = addresses(1, LonelyStack.prefix)
        #expect(one == addresses(1, LonelyStack.prefix))
        #expect(one.count == 2 && one[1].high == LonelyStack.prefix.high)
        #expect(one[0].low != one[1].low)
        #expect(addresses(2, LonelyStack.prefix)[1] != one[1])
        #expect(addresses(1, v6("2001:db8:2::"))[1].low != one[1].low)
        // The hardware address does not show (RFC 4291 appendix A).
        #expect(one[1].low != 0x0000_00FF_FE00_0001)
    }

    @Test func rfc4862DuplicateIsGivenUpAndAnotherOneMade() {
        var peer = LonelyStack(configured: false)
        peer.stack.configureIPv6(.automatic, now: peer.now)
        let first = peer.linkLocal
        // Somebody has it (§5.4.4) …
        peer.receiveGroup6(
            Frames.icmpV6(
                from: first, to: v6("ff02::1"), type: 136,
                be32(0x2000_0000) + be128(first)
                    + Frames.hardwareOption(2, LonelyStack.peerHardware)))
        let second = peer.linkLocal
        #expect(second != first)
        // … or asks for it at the same time (§5.4.3).
        peer.receiveSolicitation(of: second, from: .unspecified, options: [])
        #expect(peer.linkLocal != second)
        #expect(seen(peer.stack.statistics.addressConflicts == 2))
        // In the end there is none (RFC 7217 §6).
        for _ in 0..<2 {
            peer.receiveSolicitation(of: peer.linkLocal, from: .unspecified, options: [])
        }
        #expect(seen(peer.stack.addressesIPv6.isEmpty))
    }

    @Test func rfc4862CheckedAddressIsKeptAndDefended() {
        var peer = LonelyStack(ipv6: .automatic)
        let own = peer.linkLocal
        peer.receiveSolicitation(of: own, from: .unspecified, options: [])
        let answers = peer.sentMessages(136)
        #expect(answers.count == 1)
        #expect(answers.first.map { address6($0, 38) } == v6("ff02::1"))
        #expect(peer.linkLocal == own)
    }

    @Test func rfc4862AddressIsNotUsedBeforeItsCheckIfSoConfigured() {
        var peer = LonelyStack(configured: false) { $0.addressCheck = .beforeUse }
        peer.stack.configureIPv6(.automatic, now: peer.now)
        #expect(peer.sentMessages(133).isEmpty)
        peer.receiveSolicitation(of: peer.linkLocal)
        #expect(peer.sentMessages(136).isEmpty)
        peer.run(milliseconds: 2_500)
        #expect(peer.sentMessages(133).count == 1)
    }

    @Test func rfc4861PrefixRouterAndMTUAreTaken() throws {
        var peer = LonelyStack(ipv6: .automatic)
        #expect(throws: TCPError.invalidAddress) {
            try peer.stack.connect(to: SocketAddress(LonelyStack.far, port: 80), now: peer.now)
        }
        peer.receiveRouter(Frames.prefixOption(LonelyStack.prefix) + [5, 1, 0, 0] + be32(1400))
        #expect(seen(peer.stack.addressesIPv6.count == 2))
        #expect(seen(peer.stack.nextEvent() == .addressChanged))
        let onLink = IPAddress(high: LonelyStack.prefix.high, low: 0x99)
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: onLink) == onLink))
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == LonelyStack.router))
        #expect(seen(peer.stack.interface.maximumSegment(to: LonelyStack.far) == 1360))
        _ = peer.sent()
        _ = try peer.stack.connect(to: SocketAddress(LonelyStack.far, port: 80), now: peer.now)
        let syn = try #require(peer.sent().first { $0[20] == 6 })
        #expect(address6(syn, 22) == peer.stack.addressesIPv6[1].address)
        #expect(Array(syn[74..<78]) == [2, 4] + be16(1340) && holds6(syn))
    }

    @Test func rfc4861RouterWithLifetimeZeroIsNoDefaultRouter() {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter()
        peer.receiveRouter(lifetime: 0)
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == nil))
        peer.receiveRouter(lifetime: 10)
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == LonelyStack.router))
        peer.run(milliseconds: 11_000)
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == nil))
        // And one is looked for again.
        #expect(!peer.sentMessages(133).isEmpty)
    }

    @Test func rfc4861OtherRouterIsAskedWhenOneFallsSilent() throws {
        var peer = LonelyStack(ipv6: .automatic)
        let second = v6("fe80::2")
        peer.receiveRouter()
        peer.receiveRouter(from: second)
        let id = try peer.stack.bindUDP(port: 9)
        let payload: [UInt8] = [1]
        let far = SocketAddress(LonelyStack.far, port: 7)
        try peer.stack.sendUDP(id, payload.span.bytes, to: far, now: peer.now)
        peer.run(milliseconds: 9_000)
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == second))
    }

    @Test func rfc4862LifetimesEndAndCannotBeCutShort() {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter(Frames.prefixOption(LonelyStack.prefix, valid: 20_000, preferred: 100))
        // §5.5.3 (e): not below two hours by one unauthenticated packet.
        peer.receiveRouter(Frames.prefixOption(LonelyStack.prefix, valid: 1, preferred: 1))
        #expect(
            seen(peer.stack.addressesIPv6[1].validUntil.since(peer.now) == 7_200_000_000_000))
        let global = peer.stack.addressesIPv6[1].address
        peer.run(milliseconds: 2_000)
        // Deprecated, and still the only one for what is far.
        #expect(
            seen(peer.stack.interface.ipv6.source(for: LonelyStack.far, now: peer.now) == global))
        peer.run(milliseconds: 7_200_000)
        #expect(seen(peer.stack.addressesIPv6.count == 1))
    }

    @Test func rfc4862PrefixesThatMakeNoSenseMakeNoAddress() {
        var peer = LonelyStack(ipv6: .automatic)
        let prefix = LonelyStack.prefix
        peer.receiveRouter(Frames.prefixOption(prefix, length: 48))
        peer.receiveRouter(Frames.prefixOption(prefix, flags: 0x80))
        peer.receiveRouter(Frames.prefixOption(prefix, valid: 10, preferred: 20))
        peer.receiveRouter(Frames.prefixOption(v6("fe80::")))
        peer.receiveRouter(Frames.prefixOption(v6("ff02::")))
        peer.receiveRouter(Frames.prefixOption(.unspecified))
        peer.receiveRouter(Frames.prefixOption(prefix, length: 200))
        #expect(seen(peer.stack.addressesIPv6.count == 1))
    }

    @Test func rfc4861AdvertisementsFromElsewhereAreDropped() {
        var peer = LonelyStack(ipv6: .automatic)
        let option = Frames.prefixOption(LonelyStack.prefix)
        peer.receiveGroup6(Frames.routerAdvertisement(from: LonelyStack.far, option))
        peer.receiveGroup6(
            Frames.routerAdvertisement(from: LonelyStack.router, hopLimit: 64, option))
        peer.receiveGroup6(Frames.routerAdvertisement(from: LonelyStack.router, [3, 0]))
        #expect(seen(peer.stack.addressesIPv6.count == 1))
        #expect(seen(peer.stack.statistics.droppedNeighbours == 3))
    }

    /// A flood of routers and prefixes displaces nobody who was there before (RFC 6104).
    @Test func floodOfRoutersIsBounded() {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter(
            Frames.prefixOption(LonelyStack.prefix) + [25, 3, 0, 0] + be32(600)
                + be128(v6("2001:db8::53")))
        let first = peer.stack.addressesIPv6
        var random = SeededRandom(seed: 62)
        for _ in 0..<2_000 {
            let prefix = IPAddress(high: 0x2001_0DB8 << 32 | random.next() & 0xFFFF_FFFF, low: 0)
            let server = IPAddress(high: prefix.high, low: random.next())
            peer.receiveRouter(
                Frames.prefixOption(prefix) + [25, 3, 0, 0] + be32(600) + be128(server),
                from: IPAddress(high: 0xFE80 << 48, low: random.next()))
            peer.run(milliseconds: 1)
            _ = peer.sent()
        }
        let addresses = peer.stack.addressesIPv6
        #expect(addresses.count == 8)
        #expect(addresses[0].address == first[0].address)
        #expect(addresses[1].address == first[1].address)
        #expect(seen(peer.stack.nameServers.count == IPv6Host.mostAdvertised))
        #expect(seen(peer.stack.nameServers.first == v6("2001:db8::53")))
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == LonelyStack.router))
    }

    @Test func rfc8106NameServersComeAndGo() {
        var peer = LonelyStack(ipv6: .automatic)
        let option = [25, 5, 0, 0] + be32(60) + be128(v6("2001:db8::53")) + be128(v6("fe80::53"))
        peer.receiveRouter(option)
        #expect(seen(peer.stack.nameServers == [v6("2001:db8::53"), v6("fe80::53")]))
        peer.receiveRouter([25, 3, 0, 0] + be32(0) + be128(v6("2001:db8::53")))
        #expect(seen(peer.stack.nameServers == [v6("fe80::53")]))
        peer.run(milliseconds: 61_000)
        #expect(seen(peer.stack.nameServers.isEmpty))
    }

    @Test func rfc3810QueryIsAnsweredWithAllGroups() {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter()
        peer.run(milliseconds: 5_000)
        _ = peer.sent()
        // The first one allows two hours and more, and does not stand in the second one's way (§6.2).
        for code in [0xFFFF, 1000] {
            let query = Frames.summed(
                LonelyStack.router, v6("ff02::1"), 58, 2,
                [130, 0, 0, 0] + be16(code) + be16(0) + be128(.unspecified) + [2, 125, 0, 0])
            peer.receiveGroup6(
                Frames.ipv6(
                    from: LonelyStack.router, to: v6("ff02::1"), next: 0, hopLimit: 1,
                    [58, 0, 5, 2, 0, 0, 1, 0] + query))
        }
        #expect(peer.sentMessages(143).isEmpty)
        peer.run(milliseconds: 1_000)
        let reports = peer.sentMessages(143)
        #expect(reports.count == 1)
        // MODE_IS_EXCLUDE for each address's group.
        #expect(reports.first.map { $0[62 + 7] } == 2)
        #expect(reports.first.map { $0[62 + 8] } == 2)
    }

    @Test func rfc7559RoutersAreAskedForMoreAndMoreSeldom() {
        var peer = LonelyStack(ipv6: .automatic)
        peer.run(milliseconds: 600_000)
        let count = peer.sentMessages(133).count
        #expect(count >= 5 && count <= 8)
    }

    @Test func rfc6724SourceFitsTheDestination() {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter()
        peer.receiveRouter(Frames.prefixOption(v6("fd00:1::")))
        let own = peer.stack.addressesIPv6.map(\.address)
        let fit: [(IPAddress, IPAddress)] = [
            (LonelyStack.neighbour, own[0]), (v6("ff02::1"), own[0]), (LonelyStack.far, own[1]),
            (v6("fd00:1::9"), own[2]), (own[0], own[0]),
        ]
        for (destination, source) in fit {
            let chosen = peer.stack.interface.ipv6.source(for: destination, now: peer.now)
            #expect(chosen == source)
        }
    }

    @Test func staticAddressWithGateway() throws {
        let own = v6("2001:db8:5::10")
        let gateway = v6("2001:db8:5::1")
        var peer = LonelyStack(ipv6: .fixed(own, prefixLength: 64, gateway: gateway))
        #expect(seen(peer.stack.interface.ipv6.nextHop(to: LonelyStack.far) == gateway))
        #expect(
            seen(
                peer.stack.interface.ipv6.nextHop(to: v6("2001:db8:5::99")) == v6("2001:db8:5::99"))
        )
        _ = try peer.stack.connect(to: SocketAddress(LonelyStack.far, port: 80), now: peer.now)
        let asked = try #require(peer.sentMessages(135).first)
        #expect(address6(asked, 62) == gateway && address6(asked, 22) == own)
    }
}

extension IPAddress {
    /// The solicited-node group of `own`, whose first octets are this address's.
    fileprivate func joined(_ own: IPAddress) -> IPAddress {
        IPAddress(high: high, low: low | own.low & 0xFF_FFFF)
    }
}
