// Closing a connection: RFC 9293 §3.6, TIME-WAIT, and what is left when the application is gone.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: closing (RFC 9293 §3.6)")
struct TCPCloseTests {
    @Test("this side closes first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT (§3.6, figure 12)")
    func activeClose() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        host.finish(peer.id)
        #expect(host.state(peer.id) == .finWait1)
        #expect(try #require(host.takeSent().first).flags == [.ack, .fin])
        #expect(host.hasUndelivered)
        peer.ack &+= 1
        peer.deliver()
        #expect(host.state(peer.id) == .finWait2)
        #expect(!host.hasUndelivered)
        peer.deliver(payload: [1, 2, 3])  // half-closed: the peer may go on
        #expect(host.read(peer.id) == [1, 2, 3])
        peer.deliver([.fin, .ack])
        #expect(host.state(peer.id) == .timeWait)
        #expect(host.events.contains(.closed(peer.id)))
        #expect(host.takeSent().last?.ack == peer.seq)
        #expect(host.timeWaitCount == 1)
        host.advance(61 * second)
        #expect(host.timeWaitCount == 0)
    }

    @Test("the peer closes first: CLOSE-WAIT, LAST-ACK, CLOSED")
    func passiveClose() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        peer.deliver([.fin, .ack], payload: [9])
        #expect(host.state(peer.id) == .closeWait)
        #expect(host.status(peer.id).peerFinished)
        #expect(host.read(peer.id) == [9])
        #expect(host.takeSent().last?.ack == peer.seq)
        host.send(peer.id, [5])
        host.finish(peer.id)
        #expect(host.state(peer.id) == .lastAck)
        let sent = host.takeSent()
        #expect(sent.map(\.payload) == [[5], []])
        #expect(host.hasUndelivered)
        peer.ack &+= 2
        peer.deliver()
        #expect(!host.hasUndelivered)
        #expect(host.state(peer.id) == .closed)
        #expect(host.status(peer.id).failure == nil)
        #expect(host.events.last == .closed(peer.id))
        #expect(host.timeWaitCount == 0)
    }

    @Test("both close at once: CLOSING, TIME-WAIT (§3.6, figure 13)")
    func simultaneousClose() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.host.finish(peer.id)
        peer.deliver([.fin, .ack])
        #expect(peer.host.state(peer.id) == .closing)
        peer.ack &+= 1
        peer.deliver()
        #expect(peer.host.state(peer.id) == .timeWait)
    }

    @Test("FIN and the ACK of ours in one segment: FIN-WAIT-1 to TIME-WAIT")
    func finWithAck() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.host.finish(peer.id)
        peer.ack &+= 1
        peer.deliver([.fin, .ack])
        #expect(peer.host.state(peer.id) == .timeWait)
    }

    @Test("a FIN whose octets are missing waits for them")
    func finOutOfOrder() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        peer.deliver([.fin, .ack], payload: [3, 4], at: peer.seq &+ 2)
        #expect(host.state(peer.id) == .established)
        #expect(!host.status(peer.id).peerFinished)
        peer.deliver(payload: [1, 2])
        #expect(host.state(peer.id) == .closeWait)
        #expect(host.read(peer.id) == [1, 2, 3, 4])
        #expect(host.takeSent().last?.ack == peer.seq &+ 3)
    }

    @Test("TIME-WAIT acknowledges a repeated FIN and waits anew (§3.10.7.8); RST does not end it")
    func timeWaitFin() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        host.finish(peer.id)
        peer.ack &+= 1
        peer.deliver([.fin, .ack])
        _ = host.takeSent()
        host.advance(50 * second)
        peer.deliver([.fin, .ack], at: peer.seq &- 1)
        #expect(host.takeSent().first?.ack == peer.seq)
        peer.deliver(.rst)
        host.advance(50 * second)
        #expect(host.timeWaitCount == 1)
        host.advance(11 * second)
        #expect(host.timeWaitCount == 0)
    }

    @Test("a SYN beyond the old numbers reuses TIME-WAIT; an old one does not (§3.6.1, RFC 6191)")
    func timeWaitReuse() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        host.finish(peer.id)
        peer.ack &+= 1
        peer.deliver([.fin, .ack])
        _ = host.takeSent()
        peer.deliver(Segment(.syn, seq: peer.seq &- 100))
        #expect(host.takeSent().map(\.flags) == [.ack])
        #expect(host.timeWaitCount == 1)
        peer.deliver(Segment(.syn, seq: peer.seq &+ 1_000))
        let answer = try #require(host.takeSent().first)
        #expect(answer.flags == [.syn, .ack])
        #expect(SequenceNumber(answer.seq) > SequenceNumber(peer.ack))
        #expect(host.timeWaitCount == 0)
        #expect(host.halfOpenCount == 1)
    }

    @Test("TIME-WAIT entries are bounded: the oldest goes")
    func timeWaitBound() throws {
        var configuration = TCPConfiguration()
        configuration.maximumTimeWait = 10
        let wire = Wire(client: configuration)
        let listener = try wire.server.tcp.listen(address: nil, port: 80, backlog: 16)
        for _ in 0..<40 {
            let id = try wire.client.tcp.connect(
                from: clientAddress, to: SocketAddress(serverAddress, port: 80),
                now: wire.client.now, output: &wire.client.output)
            wire.run(for: second) { wire.client.state(id) == .established }
            wire.run(for: millisecond)
            let accepted = try #require(wire.server.accept(listener))
            wire.client.finish(id)
            wire.run(for: millisecond)
            wire.server.finish(accepted)
            wire.run(for: millisecond)
            #expect(wire.client.state(id) == .timeWait)
            wire.client.tcp.release(id)
            wire.server.tcp.release(accepted)
        }
        #expect(wire.client.timeWaitCount == 10)
        #expect(wire.client.connectionCount == 0)
        #expect(wire.server.connectionCount == 0)
    }

    @Test("FIN-WAIT-2 without an owner ends after a while")
    func finWait2() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        host.finish(peer.id)
        peer.ack &+= 1
        peer.deliver()
        host.advance(500 * second)
        #expect(host.state(peer.id) == .finWait2)
        host.tcp.release(peer.id)
        host.advance(59 * second)
        #expect(host.connectionCount == 1)
        host.advance(2 * second)
        #expect(host.connectionCount == 0)
    }

    @Test("released with unread octets: RST (RFC 2525 §2.17); data after release: RST")
    func releaseUnread() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.deliver(payload: [1])
        peer.host.tcp.release(peer.id)
        peer.host.poll()
        #expect(peer.host.takeSent().last?.flags == [.rst, .ack])
        #expect(peer.host.connectionCount == 0)
        #expect(peer.host.memoryInUse == 0)

        let late = ScriptedPeer()
        try late.establish()
        late.host.tcp.release(late.id)
        late.host.poll()
        #expect(late.host.takeSent().last?.flags == [.ack, .fin])
        late.deliver(payload: [1])
        #expect(late.host.takeSent().last?.flags == [.rst, .ack])
        #expect(late.host.connectionCount == 0)
    }

    @Test("a released id is dead, even when its place is used again")
    func staleIdentifier() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let old = try #require(peer.id)
        peer.host.abort(old)
        peer.host.tcp.release(old)
        #expect(peer.host.connectionCount == 0)
        peer.deliver(Segment(.syn, seq: 1), port: 41_000)
        let answer = try #require(peer.host.takeSent().last)
        peer.deliver(Segment(.ack, seq: 2, ack: answer.seq &+ 1), port: 41_000)
        #expect(peer.host.connectionCount == 1)
        #expect(peer.host.status(old).state == .closed)
        #expect(peer.host.send(old, [1]) == 0)
        #expect(peer.host.receivedCount(old) == 0)
    }

    @Test("closing a listener resets what waits there, and forgets what is half-open")
    func closeListener() throws {
        let wire = Wire()
        let listener = try wire.server.tcp.listen(address: nil, port: 80, backlog: 4)
        let id = try wire.client.tcp.connect(
            from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: wire.client.now,
            output: &wire.client.output)
        wire.run(for: second)
        #expect(wire.client.state(id) == .established)
        wire.server.tcp.closeListener(listener)
        wire.run(for: second)
        #expect(wire.client.status(id).failure == .reset)
        #expect(wire.server.connectionCount == 0)
    }
}
