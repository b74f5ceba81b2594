// Two whole stacks over IPv6: streams over good and bad links, datagrams, both versions at once.

import Testing

@testable import SwiftletNetwork

@Suite struct TwoStacksIPv6Tests {
    /// A link whose stacks have addresses of both versions.
    private func makeLink(
        _ quality: LinkQuality = .perfect, seed: UInt64, cuts: Bool = false
    ) -> SimulatedLink {
        var link = SimulatedLink(seed: seed, cuts: cuts)
        link.configure()
        link.left.configureIPv6(.automatic, now: link.now)
        link.right.configureIPv6(.automatic, now: link.now)
        link.run(milliseconds: 3_000)
        link.quality = quality
        return link
    }

    /// Sends `count` octets from left to right, and expects the same ones.
    private func transfer(
        _ link: inout SimulatedLink, to address: IPAddress, _ count: Int, seed: UInt64
    ) throws {
        var random = SeededRandom(seed: seed)
        let data = random.bytes(count)
        let listener = try link.right.listen(port: 80, backlog: 4)
        let client = try link.left.connect(to: SocketAddress(address, port: 80), now: link.now)
        var server: TCPConnectionID?
        var sent = 0
        var received: [UInt8] = []
        let end = Instant(nanoseconds: link.now.nanoseconds + 300_000_000_000)
        while received.count < count, link.step(until: end) {
            if server == nil { server = link.right.accept(listener) }
            if let handle = link.left.handle(client), sent < count {
                sent += link.left.send(
                    handle, data.span.bytes.extracting(sent..<count))
                link.left.flush(client, now: link.now)
            }
            guard let server, let handle = link.right.handle(server) else { continue }
            while link.right.receivedCount(handle) > 0 {
                let bytes = link.right.withReceived(handle) { copy($0) }
                received += bytes
                link.right.consume(handle, bytes.count, now: link.now)
            }
            while link.left.nextEvent() != nil {}
            while link.right.nextEvent() != nil {}
        }
        #expect(received == data)
        let peer = server.map { link.right.status($0).remote.address }
        #expect(peer?.isV4 == address.isV4)
    }

    @Test func oneListenerServesBothVersions() throws {
        var link = makeLink(seed: 1)
        let own = link.right.addressesIPv6[0].address
        let listener = try link.right.listen(port: 80, backlog: 4)
        var clients: [TCPConnectionID] = []
        for address in [own, IPAddress(SimulatedLink.rightAddress)] {
            clients.append(
                try link.left.connect(to: SocketAddress(address, port: 80), now: link.now))
        }
        link.run(milliseconds: 100)
        for client in clients { #expect(seen(link.left.status(client).state == .established)) }
        var peers: [Bool] = []
        while let server = link.right.accept(listener) {
            peers.append(link.right.status(server).remote.address.isV4)
        }
        #expect(peers.sorted { !$0 && $1 } == [false, true])
        #expect(seen(link.left.status(clients[0]).maximumSegmentSize == 1500 - 60 - 12))
    }

    @Test func streamOverAGoodLink() throws {
        var link = makeLink(seed: 2)
        let own = link.right.addressesIPv6[0].address
        try transfer(&link, to: own, 300_000, seed: 2)
    }

    @Test func cardCutsSegments() throws {
        var link = makeLink(seed: 8, cuts: true)
        let before = link.left.statistics.framesSent
        let own = link.right.addressesIPv6[0].address
        try transfer(&link, to: own, 2_000_000, seed: 8)
        // Far fewer frames went to the card than segments over the link.
        #expect(seen(link.left.statistics.framesSent - before < 1_000))
    }

    @Test(arguments: 1...6) func streamOverABadLink(seed: Int) throws {
        var link = makeLink(.bad, seed: UInt64(seed))
        let own = link.right.addressesIPv6[0].address
        try transfer(&link, to: own, 200_000, seed: UInt64(seed))
    }

    @Test func toOneself() throws {
        var link = makeLink(seed: 3)
        for address in [IPAddress.loopback, link.left.addressesIPv6[0].address] {
            let listener = try link.left.listen(port: 81, backlog: 4)
            let client = try link.left.connect(to: SocketAddress(address, port: 81), now: link.now)
            link.run(milliseconds: 100)
            #expect(seen(link.left.status(client).state == .established))
            link.left.closeListener(listener)
            link.run(milliseconds: 100)
        }
    }

    @Test func datagramsBothWays() throws {
        var link = makeLink(seed: 4)
        let client = try link.left.bindUDP(port: 0)
        let server = try link.right.bindUDP(port: 53)
        let own = link.right.addressesIPv6[0].address
        let payload: [UInt8] = Array("question".utf8)
        try link.left.sendUDP(
            client, payload.span.bytes, to: SocketAddress(own, port: 53), now: link.now)
        link.run(milliseconds: 100)
        let from = link.right.receiveUDP(server) { _, endpoints in endpoints.remote }
        let asker = try #require(from)
        #expect(seen(asker.address == link.left.addressesIPv6[0].address))
        try link.right.sendUDP(server, payload.span.bytes, to: asker, now: link.now)
        link.run(milliseconds: 100)
        #expect(seen(link.left.receiveUDP(client) { bytes, _ in copy(bytes) } == payload))
    }

    /// RFC 3493 §5.3: a port may have one socket for each version, and none for both besides.
    @Test func eachVersionHasAListenerOfItsOwn() throws {
        var link = makeLink(seed: 9)
        let own = link.right.addressesIPv6[0].address
        let any4 = IPAddress(IPv4Address.any)
        let listener4 = try link.right.listen(address: any4, port: 80, backlog: 4)
        let listener6 = try link.right.listen(address: .unspecified, port: 80, backlog: 4)
        for address in [nil, any4, .unspecified, own, IPAddress(SimulatedLink.rightAddress)] {
            #expect(throws: TCPError.addressInUse) {
                _ = try link.right.listen(address: address, port: 80, backlog: 4)
            }
        }
        for (address, listener) in [
            (own, listener6), (IPAddress(SimulatedLink.rightAddress), listener4),
        ] {
            let client = try link.left.connect(to: SocketAddress(address, port: 80), now: link.now)
            link.run(milliseconds: 100)
            #expect(seen(link.left.status(client).state == .established))
            let server = try #require(seen(link.right.accept(listener)))
            #expect(seen(link.right.status(server).local.address == address))
        }
        // Without the one of IPv6, nobody is there.
        link.right.closeListener(listener6)
        let client = try link.left.connect(to: SocketAddress(own, port: 80), now: link.now)
        link.run(milliseconds: 100)
        #expect(seen(link.left.status(client).failure == .refused))
    }

    @Test func eachVersionHasADatagramSocketOfItsOwn() throws {
        var link = makeLink(seed: 10)
        let own6 = link.right.addressesIPv6[0].address
        let own4 = IPAddress(SimulatedLink.rightAddress)
        let any4 = IPAddress(IPv4Address.any)
        let socket4 = try link.right.bindUDP(address: any4, port: 53)
        let socket6 = try link.right.bindUDP(address: .unspecified, port: 53)
        #expect(throws: UDPError.addressInUse) { _ = try link.right.bindUDP(port: 53) }
        let client = try link.left.bindUDP(port: 0)
        #expect(throws: UDPError.addressInUse) {
            let port = link.left.portUDP(client) ?? 0
            _ = try link.left.bindUDP(address: any4, port: port)
        }
        let payload: [UInt8] = [1, 2, 3]
        for address in [own4, own6] {
            try link.left.sendUDP(
                client, payload.span.bytes, to: SocketAddress(address, port: 53), now: link.now)
        }
        link.run(milliseconds: 100)
        #expect(seen(link.right.receivedCountUDP(socket4) == 1))
        #expect(seen(link.right.receivedCountUDP(socket6) == 1))
        let asker = try #require(
            seen(link.right.receiveUDP(socket6) { _, endpoints in endpoints.remote }))
        try link.right.sendUDP(socket6, payload.span.bytes, to: asker, now: link.now)
        // A socket of one version does not send to the other.
        #expect(throws: UDPError.unreachable) {
            try link.right.sendUDP(socket4, payload.span.bytes, to: asker, now: link.now)
        }
        link.run(milliseconds: 100)
        #expect(seen(link.left.receivedCountUDP(client) == 1))
    }

    /// RFC 8201: a router in the middle carries less, and says so; what was lost goes again.
    @Test func rfc8201PacketTooBigShortensSegments() throws {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter()
        let own = peer.stack.addressesIPv6[1].address
        let client = try peer.stack.connect(
            to: SocketAddress(LonelyStack.far, port: 80), now: peer.now)
        func segment(_ flags: UInt8, _ sequence: UInt32, _ acknowledgment: UInt32, _ port: Int)
            -> [UInt8]
        {
            let options: [UInt8] = flags & 2 != 0 ? [2, 4] + be16(1440) : []
            let words = UInt8(5 + options.count / 4)
            return Frames.summed6(
                from: LonelyStack.far, to: own, next: 6, field: 16,
                be16(80) + be16(port) + be32(sequence) + be32(acknowledgment)
                    + [words << 4, flags] + be16(65535) + be32(0) + options)
        }
        let syn = try #require(peer.sent().first { $0[20] == 6 })
        let port = Int(syn[54]) << 8 | Int(syn[55])
        let first = syn[58..<62].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        peer.receive6(segment(0x12, 1000, first &+ 1, port))
        let established = peer.stack.handle(client)
        let handle = try #require(established)
        let data = [UInt8](repeating: 7, count: 4000)
        _ = peer.sent()
        _ = peer.stack.send(handle, data.span.bytes)
        peer.stack.flush(client, now: peer.now)
        let long = try #require(peer.sent().first { $0[20] == 6 })
        #expect(long.count == 1514)
        let quote = Array(long[14..<14 + 1232])
        peer.receive6(
            Frames.icmpV6(
                from: LonelyStack.router, to: own, type: 2, hopLimit: 64, be32(1320) + quote))
        let shorter = peer.sent().filter { $0[20] == 6 }
        #expect(!shorter.isEmpty && shorter.allSatisfy { $0.count <= 1334 && holds6($0) })
        #expect(seen(peer.stack.interface.maximumSegment(to: LonelyStack.far) == 1280))
    }
}
