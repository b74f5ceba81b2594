// Listening within bounds: accept queue, SYN floods and cookies (RFC 4987), memory.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: listening within bounds (RFC 4987)")
struct TCPListenTests {
    @Test("a SYN flood of 100 000: bounded, and real clients still connect")
    func synFlood() throws {
        let peer = ScriptedPeer()
        let host = peer.host
        let listener = try host.tcp.listen(address: nil, port: 80, backlog: 8)
        for index in 0..<100_000 {
            var syn = Segment(.syn, seq: UInt32(index) &* 7_919, options: [2, 4, 5, 0xB4])
            syn.from = UInt16(1_024 + index % 60_000)
            syn.to = 80
            let from = IPAddress(IPv4Address(bits: 0x0B00_0000 + UInt32(index)))
            host.receive(syn.bytes, from: from)
            if index % 1_000 == 0 { host.output.sent = [] }
        }
        host.output.sent = []
        #expect(host.halfOpenCount == 256)
        #expect(host.connectionCount == 0)
        #expect(host.memoryInUse == 0)
        #expect(host.statistics.cookiesSent == 100_000 - 256)
        // A real client, while the table is full.
        peer.deliver(Segment(.syn, seq: 4_242, options: [2, 4, 5, 0xB4, 1, 3, 3, 7]))
        let answer = try #require(host.takeSent().first)
        #expect(answer.flags == [.syn, .ack])
        #expect(answer.options == [2, 4, 5, 0xB4])
        host.advance(20 * second)
        peer.deliver(
            Segment(.ack, seq: 4_243, ack: answer.seq &+ 1, window: 1_000, payload: [1, 2]))
        let id = try #require(host.accept(listener))
        #expect(host.read(id) == [1, 2])
        #expect(host.status(id).maximumSegmentSize == 1_460)
        #expect(host.statistics.cookiesAccepted == 1)
        host.abort(id)
        host.tcp.release(id)
        host.advance(200 * second)
        #expect(host.halfOpenCount == 0)
        #expect(host.nextDeadline == .never)
    }

    @Test("a made-up or old cookie is refused (RFC 4987 appendix A)")
    func falseCookies() throws {
        var configuration = TCPConfiguration()
        configuration.maximumHalfOpen = 0
        let peer = ScriptedPeer(configuration)
        let host = peer.host
        let listener = try host.tcp.listen(address: nil, port: 80, backlog: 8)
        peer.deliver(Segment(.syn, seq: 10, options: [2, 4, 5, 0xB4]))
        let cookie = try #require(host.takeSent().first).seq
        for wrong: UInt32 in [1, 1 << 24, 1 << 27, .max] {
            peer.deliver(Segment(.ack, seq: 11, ack: cookie &+ 1 &+ wrong))
        }
        peer.deliver(Segment(.ack, seq: 12, ack: cookie &+ 1))
        peer.deliver(Segment(.ack, seq: 11, ack: cookie &+ 1), port: 40_001)
        #expect(host.takeSent().map(\.flags) == [.rst, .rst, .rst, .rst, .rst, .rst])
        host.advance(300 * second)
        peer.deliver(Segment(.ack, seq: 11, ack: cookie &+ 1))
        #expect(host.accept(listener) == nil)
        peer.deliver(Segment(.syn, seq: 10, options: [2, 4, 5, 0xB4]))
        let fresh = try #require(host.takeSent().last).seq
        peer.deliver(Segment(.ack, seq: 11, ack: fresh &+ 1))
        #expect(host.accept(listener) != nil)
    }

    @Test("the accept queue is bounded; who waits outside gets in when there is room")
    func acceptQueue() throws {
        let wire = Wire()
        let listener = try wire.server.tcp.listen(address: nil, port: 80, backlog: 3)
        var ids: [TCPConnectionID] = []
        for _ in 0..<6 {
            ids.append(
                try wire.client.tcp.connect(
                    from: clientAddress, to: SocketAddress(serverAddress, port: 80),
                    now: wire.client.now, output: &wire.client.output))
        }
        wire.run(for: 100 * millisecond)
        #expect(wire.server.connectionCount == 3)
        var accepted = 0
        wire.run(for: 30 * second) {
            while wire.server.accept(listener) != nil { accepted += 1 }
            return accepted == 6
        }
        #expect(accepted == 6)
        #expect(ids.allSatisfy { wire.client.state($0) == .established })
    }

    @Test("connections are bounded")
    func connectionBound() throws {
        var configuration = TCPConfiguration()
        configuration.maximumConnections = 2
        let host = Host(clientAddress, configuration)
        for _ in 0..<2 {
            _ = try host.tcp.connect(
                from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: host.now,
                output: &host.output)
        }
        var error: TCPError?
        do throws(TCPError) {
            _ = try host.tcp.connect(
                from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: host.now,
                output: &host.output)
        } catch let caught {
            error = caught
        }
        #expect(error == .tooManyConnections)
    }

    @Test("one port, one listener; a specific address goes before all")
    func addresses() throws {
        let wire = Wire()
        let own = try wire.server.tcp.listen(address: serverAddress, port: 80, backlog: 3)
        var error: TCPError?
        do throws(TCPError) {
            _ = try wire.server.tcp.listen(address: nil, port: 80, backlog: 3)
        } catch let caught {
            error = caught
        }
        #expect(error == .addressInUse)
        wire.server.tcp.closeListener(own)
        _ = try wire.server.tcp.listen(address: clientAddress, port: 80, backlog: 3)
        let id = try wire.client.tcp.connect(
            from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: wire.client.now,
            output: &wire.client.output)
        wire.run(for: second)
        #expect(wire.client.status(id).failure == .refused)
    }

    @Test("ring memory is bounded; every connection still gets its octets through")
    func memoryBound() throws {
        var configuration = TCPConfiguration()
        configuration.memoryLimit = 256 << 10
        let wire = Wire(client: configuration, server: configuration)
        let listener = try wire.server.tcp.listen(address: nil, port: 80, backlog: 32)
        var ids: [TCPConnectionID] = []
        for _ in 0..<16 {
            ids.append(
                try wire.client.tcp.connect(
                    from: clientAddress, to: SocketAddress(serverAddress, port: 80),
                    now: wire.client.now, output: &wire.client.output))
        }
        wire.run(for: 100 * millisecond)
        var accepted: [TCPConnectionID] = []
        while let id = wire.server.accept(listener) { accepted.append(id) }
        try #require(accepted.count == 16)
        let piece = [UInt8](repeating: 5, count: 30_000)
        var left = [Int](repeating: 100_000, count: 16)
        var received = 0
        let done = wire.run(for: 600 * second) {
            for (index, id) in ids.enumerated() where left[index] > 0 {
                let taken = wire.client.tcp.send(
                    id, piece.span.bytes.extracting(first: min(piece.count, left[index])))
                left[index] -= taken
                wire.client.tcp.flush(id, now: wire.client.now, output: &wire.client.output)
            }
            for id in accepted { received += wire.server.read(id).count }
            return received == 1_600_000
        }
        #expect(done, "\(received)")
        #expect(wire.client.memoryInUse <= 256 << 10)
    }
}
