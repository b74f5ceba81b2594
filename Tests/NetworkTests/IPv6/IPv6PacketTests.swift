// RFC 8200, 4443, 5095, 5722, 6946, 7112, 8201: headers, extensions, fragments, errors.

import Testing

@testable import SwiftletNetwork

@Suite struct IPv6PacketTests {
    /// A stack with a socket at port 99, and what a datagram to it looks like.
    private struct Host: ~Copyable {
        var peer: LonelyStack
        let socket: UDPSocketID
        let datagram: [UInt8]

        init() throws {
            var peer = LonelyStack(ipv6: .automatic)
            // The neighbour is known, so that what it is told goes out at once.
            peer.receiveSolicitation(of: peer.linkLocal)
            _ = peer.sent()
            socket = try peer.stack.bindUDP(port: 99)
            let packet = Frames.udp6(
                from: (LonelyStack.neighbour, 5), to: (peer.linkLocal, 99), Array("hello".utf8))
            datagram = Array(packet[40...])
            self.peer = peer
        }

        /// Receives the datagram behind extension headers, whose first is of type `next`.
        mutating func receive(next: UInt8, _ headers: [UInt8]) {
            peer.receive6(
                Frames.ipv6(
                    from: LonelyStack.neighbour, to: peer.linkLocal, next: next,
                    headers + datagram))
        }

        mutating func taken() -> Int {
            var count = 0
            while peer.stack.receiveUDP(socket, { _, _ in true }) != nil { count += 1 }
            return count
        }

        /// Code and pointer of the parameter problem that was sent; nil if none was.
        mutating func problem() -> (code: UInt8, pointer: UInt8)? {
            peer.sentMessages(4).first.map { ($0[55], $0[61]) }
        }
    }

    /// An extension header of 8 octets with six of content.
    private func header(_ next: UInt8, _ content: [UInt8] = [1, 4, 0, 0, 0, 0]) -> [UInt8] {
        [next, 0] + content
    }

    @Test func section4ExtensionHeadersAreSkipped() throws {
        var host = try Host()
        host.receive(next: 17, [])
        host.receive(next: 60, header(17))
        host.receive(next: 0, header(60) + header(43) + [17, 0, 0, 0, 0, 0, 0, 0])
        host.receive(next: 60, [17, 1] + [UInt8](repeating: 0, count: 14))
        #expect(host.taken() == 4)
    }

    @Test func section4ChainsAreBounded() throws {
        var host = try Host()
        var chain: [UInt8] = []
        for index in 0..<20 { chain += header(index == 19 ? 17 : 60) }
        host.receive(next: 60, chain)
        #expect(host.taken() == 0)
        // Options that are no padding are bounded as well (RFC 8504 §5.3).
        let options = [[UInt8]](repeating: [0x1E, 0], count: 20).flatMap { $0 }
        host.receive(next: 60, [17, 5] + options + [1, 4, 0, 0, 0, 0])
        #expect(host.taken() == 0)
        #expect(seen(host.peer.stack.statistics.droppedIPv6Headers == 2))
    }

    @Test func section4TruncatedHeadersAreDropped() throws {
        var host = try Host()
        let whole = Frames.ipv6(
            from: LonelyStack.neighbour, to: host.peer.linkLocal, next: 0,
            header(60) + header(44) + [17, 0, 0, 0, 0, 0, 0, 9] + host.datagram)
        for length in 0..<whole.count { host.peer.receive6(Array(whole[..<length])) }
        for length in 40..<whole.count - 1 {
            var packet = Array(whole[..<length])
            packet[4] = UInt8((length - 40) >> 8)
            packet[5] = UInt8(truncatingIfNeeded: length - 40)
            host.peer.receive6(packet)
        }
        #expect(host.taken() == 0)
        host.peer.receive6(whole)
        #expect(host.taken() == 1)
    }

    /// §4.2: the two highest bits of an unknown option say what to do.
    @Test func section4_2UnknownOptionsAreTreatedAsTheyAsk() throws {
        var host = try Host()
        for (type, isTaken, isTold) in [
            (0x1E as UInt8, true, false), (0x5E, false, false), (0x9E, false, true),
            (0xDE, false, true),
        ] {
            host.receive(next: 60, header(17, [type, 4, 0, 0, 0, 0]))
            #expect(host.taken() == (isTaken ? 1 : 0))
            let problem = host.problem()
            #expect((problem != nil) == isTold)
            if let problem { #expect(problem.code == 2 && problem.pointer == 42) }
        }
        // To a group only the third is answered (RFC 4443 §2.4 (e.3)).
        for (type, isTold) in [(0x9E as UInt8, true), (0xDE, false)] {
            host.peer.receiveGroup6(
                Frames.ipv6(
                    from: LonelyStack.neighbour, to: v6("ff02::1"), next: 60,
                    header(17, [type, 4, 0, 0, 0, 0]) + host.datagram))
            #expect((host.problem() != nil) == isTold)
        }
    }

    @Test func rfc5095RoutingHeadersWithSegmentsLeftAreRefused() throws {
        var host = try Host()
        for type: UInt8 in [0, 2, 4, 77] {
            host.receive(next: 43, [17, 0, type, 1, 0, 0, 0, 0])
            #expect(host.taken() == 0)
            let problem = host.problem()
            #expect(problem?.code == 0 && problem?.pointer == 42)
        }
    }

    @Test func rfc4443UnknownProtocolIsReported() throws {
        var host = try Host()
        host.peer.receive6(
            Frames.ipv6(from: LonelyStack.neighbour, to: host.peer.linkLocal, next: 200, [1, 2]))
        let problem = host.problem()
        #expect(problem?.code == 1 && problem?.pointer == 6)
        // Hop-by-hop options may come first only.
        host.receive(next: 60, header(0) + header(17))
        let second = host.problem()
        #expect(second?.code == 1 && second?.pointer == 40)
    }

    // MARK: Fragments

    private func fragments(
        _ host: borrowing Host, _ pieces: [(Int, Int, Bool)], identification: UInt32 = 7
    ) -> [[UInt8]] {
        let datagram = host.datagram
        let own = host.peer.linkLocal
        return pieces.map { offset, length, more in
            let word = offset | (more ? 1 : 0)
            let end = min(datagram.count, offset + length)
            let header: [UInt8] = [17, 0] + be16(word) + be32(identification)
            return Frames.ipv6(
                from: LonelyStack.neighbour, to: own, next: 44,
                header + Array(datagram[offset..<end]))
        }
    }

    @Test func section4_5FragmentsAreJoinedInAnyOrder() throws {
        for order in [[0, 1], [1, 0]] {
            var host = try Host()
            let pieces = fragments(host, [(0, 8, true), (8, 100, false)])
            for index in order { host.peer.receive6(pieces[index]) }
            #expect(host.taken() == 1)
            #expect(seen(host.peer.stack.reassembly.memory == 0))
        }
    }

    @Test func rfc5722OverlapPoisonsTheWhole() throws {
        var host = try Host()
        let pieces = fragments(host, [(8, 5, false), (8, 3, false), (0, 8, true)])
        for piece in pieces { host.peer.receive6(piece) }
        #expect(host.taken() == 0)
    }

    /// RFC 6946: one that is whole has nothing to do with fragments of the same name.
    @Test func rfc6946AtomicFragmentsStandAlone() throws {
        var host = try Host()
        host.peer.receive6(fragments(host, [(8, 100, false)])[0])
        host.receive(next: 44, [17, 0, 0, 0] + be32(7))
        #expect(host.taken() == 1)
        #expect(seen(host.peer.stack.reassembly.count == 1))
    }

    @Test func rfc7112FirstFragmentHasTheProtocolsHeader() throws {
        var host = try Host()
        // Shorter than TCP's header, and one that hides it behind another extension.
        for next: UInt8 in [6, 60] {
            host.peer.receive6(
                Frames.ipv6(
                    from: LonelyStack.neighbour, to: host.peer.linkLocal, next: 44,
                    [next, 0, 0, 1] + be32(9) + [UInt8](repeating: 0, count: 16)))
        }
        #expect(seen(host.peer.stack.reassembly.count == 0))
        #expect(seen(host.peer.stack.statistics.droppedIPv6Headers == 2))
    }

    @Test func section4_5BadLengthsAreReported() throws {
        var host = try Host()
        host.peer.receive6(
            Frames.ipv6(
                from: LonelyStack.neighbour, to: host.peer.linkLocal, next: 44,
                [17, 0, 0, 1] + be32(9) + [UInt8](repeating: 0, count: 13)))
        let odd = host.problem()
        #expect(odd?.code == 0 && odd?.pointer == 4)
        host.peer.receive6(
            Frames.ipv6(
                from: LonelyStack.neighbour, to: host.peer.linkLocal, next: 44,
                [17, 0] + be16(0xFFF8) + be32(9) + [UInt8](repeating: 0, count: 16)))
        let long = host.problem()
        #expect(long?.code == 0 && long?.pointer == 42)
    }

    // MARK: ICMPv6

    @Test func rfc4443EchoIsAnsweredOnce() throws {
        var host = try Host()
        let own = host.peer.linkLocal
        host.peer.receive6(
            Frames.icmpV6(
                from: LonelyStack.neighbour, to: own, type: 128, hopLimit: 64,
                [1, 2, 3, 4] + Array("abc".utf8)))
        let frames = host.peer.sent().filter { $0[54] == 129 }
        #expect(frames.count == 1)
        #expect(frames.first.map { Array($0[58...]) } == [1, 2, 3, 4] + Array("abc".utf8))
        #expect(frames.first.map { holds6($0) } == true)
        // Not to groups, and not with a wrong checksum.
        host.peer.receiveGroup6(
            Frames.icmpV6(from: LonelyStack.neighbour, to: v6("ff02::1"), type: 128, be32(0)))
        var broken = Frames.icmpV6(from: LonelyStack.neighbour, to: own, type: 128, be32(0))
        broken[43] ^= 1
        host.peer.receive6(broken)
        #expect(host.peer.sentMessages(129).isEmpty)
    }

    @Test func rfc4443ClosedPortIsReportedWithTheQuote() throws {
        var host = try Host()
        let packet = Frames.udp6(
            from: (LonelyStack.neighbour, 5), to: (host.peer.linkLocal, 98), [1, 2, 3])
        host.peer.receive6(packet)
        let errors = host.peer.sentMessages(1)
        #expect(errors.count == 1)
        #expect(errors.first?[55] == 4)
        #expect(errors.first.map { Array($0[62...]) } == packet)
        #expect(errors.first.map { holds6($0) } == true)
    }

    @Test func section8_1ZeroIsNoChecksum() throws {
        var host = try Host()
        var packet = Frames.udp6(
            from: (LonelyStack.neighbour, 5), to: (host.peer.linkLocal, 99), [1])
        packet[46] = 0
        packet[47] = 0
        host.peer.receive6(packet)
        #expect(host.taken() == 0)
        #expect(seen(host.peer.stack.statistics.droppedChecksums == 1))
    }

    @Test func addressesThatMayNotStandInPacketsAreRefused() throws {
        var host = try Host()
        let own = host.peer.linkLocal
        // A group, IPv4's own in two forms, the loopback's, ours, and none.
        for source in ["ff02::1", "10.0.0.1", "::10.0.0.1", "::1", "::"].map(v6) + [own] {
            let packet = Frames.udp6(from: (source, 5), to: (own, 99), [1])
            host.peer.receive6(packet)
        }
        #expect(host.taken() == 0)
        #expect(seen(host.peer.stack.statistics.droppedIPv6Headers == 6))
        // Who has no address gets no answer, of any kind.
        host.peer.receive6(Frames.udp6(from: (.unspecified, 5), to: (own, 98), [1]))
        host.peer.receive6(Frames.icmpV6(from: .unspecified, to: own, type: 128, be32(0)))
        host.peer.receive6(Frames.ipv6(from: .unspecified, to: own, next: 200, [1, 2]))
        host.peer.receive6(
            Frames.ipv6(from: .unspecified, to: own, next: 6, [UInt8](repeating: 0, count: 20)))
        host.peer.run(milliseconds: 100)
        #expect(host.peer.sent().isEmpty)
    }

    @Test func rfc8201PathMTUIsNeverLessThan1280() {
        var cache = PathMTUCache()
        let now = Instant(nanoseconds: 0)
        let far = LonelyStack.far
        #expect(seen(cache.reduce(to: far, reported: 1400, length: 1500, link: 1500, now: now)))
        #expect(seen(cache.reduce(to: far, reported: 600, length: 1400, link: 1500, now: now)))
        #expect(seen(cache.mtu(to: far, link: 1500, now: now) == 1280))
    }
}
