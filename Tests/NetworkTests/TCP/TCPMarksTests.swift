// Explicit congestion notification: RFC 3168 §6.1; and paths that swallow long segments: RFC 4821.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: congestion notification (RFC 3168) and black holes (RFC 4821)")
struct TCPMarksTests {
    private func established() throws -> ScriptedPeer {
        let peer = ScriptedPeer()
        try peer.establish(heedsMarks: true)
        return peer
    }

    @Test("agreed on in the SYN; only the right bits count (§6.1.1)")
    func negotiation() throws {
        for (bits, isAgreed) in [
            ([.syn, .ece, .cwr] as TCPFlags, true), ([.syn, .ece], false), ([.syn, .cwr], false),
            (.syn, false),
        ] {
            let peer = ScriptedPeer()
            _ = try peer.host.tcp.listen(address: nil, port: 80, backlog: 4)
            peer.deliver(Segment(bits, seq: 1))
            #expect(peer.host.takeSent().first?.flags.contains(.ece) == isAgreed)
        }
        var configuration = TCPConfiguration()
        configuration.congestionNotification = false
        let peer = ScriptedPeer(configuration)
        _ = try peer.host.tcp.listen(address: nil, port: 80, backlog: 4)
        peer.deliver(Segment([.syn, .ece, .cwr], seq: 1))
        #expect(peer.host.takeSent().first?.flags == [.syn, .ack])
    }

    @Test("this side asks, and a SYN that is lost is followed by one that does not (§6.1.1.1)")
    func asking() throws {
        for (answer, isAgreed) in [
            ([.syn, .ack, .ece] as TCPFlags, true), ([.syn, .ack, .ece, .cwr], false),
            ([.syn, .ack], false),
        ] {
            let host = Host(clientAddress)
            let id = try host.tcp.connect(
                from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: host.now,
                output: &host.output)
            let syn = try #require(host.takeSent().first)
            #expect(syn.flags == [.syn, .ece, .cwr])
            #expect(!syn.marks)
            host.advance(second)
            #expect(host.takeSent().first?.flags == .syn)
            var segment = Segment(answer, seq: 50, ack: syn.seq &+ 1, options: [2, 4, 5, 0xB4])
            segment.from = 80
            segment.to = syn.from
            host.receive(segment.bytes, from: serverAddress)
            _ = host.takeSent()
            host.send(id, [1])
            #expect(host.takeSent().first?.marks == isAgreed)
        }
    }

    @Test("new octets may be marked; acknowledgements, repeats and probes not (§6.1.4 to §6.1.6)")
    func whatMayBeMarked() throws {
        let peer = try established()
        let host = peer.host
        host.send(peer.id, [1, 2, 3])
        #expect(host.takeSent().map(\.marks) == [true])
        host.advance(second)
        #expect(host.takeSent().map(\.marks) == [false])
        peer.ack &+= 3
        peer.window = 0
        peer.deliver(payload: [1, 2])
        host.advance(50 * millisecond)
        #expect(host.takeSent().map(\.marks) == [false])
        host.send(peer.id, [4])
        host.advance(2 * second)
        let probes = host.takeSent()
        #expect(!probes.isEmpty && probes.allSatisfy { !$0.marks && $0.payload == [4] })
        // Without agreement nothing is.
        let other = ScriptedPeer()
        try other.establish()
        other.host.send(other.id, [1])
        #expect(other.host.takeSent().map(\.marks) == [false])
    }

    @Test("a mark is echoed at once and in every segment, until the peer has reduced (§6.1.3)")
    func echo() throws {
        let peer = try established()
        let host = peer.host
        var segment = Segment(.ack, seq: peer.seq, ack: peer.ack, payload: [1])
        segment.marks = true
        peer.deliver(segment)
        peer.seq &+= 1
        #expect(host.takeSent().map(\.flags) == [[.ack, .ece]])
        host.send(peer.id, [9])
        #expect(host.takeSent().first?.flags.contains(.ece) == true)
        peer.ack &+= 1
        peer.deliver([.ack, .cwr], payload: [2])
        host.advance(50 * millisecond)
        #expect(host.takeSent().map(\.flags) == [.ack])
        // CWR on a packet that is marked itself: the echo goes on.
        segment = Segment([.ack, .cwr], seq: peer.seq, ack: peer.ack, payload: [3])
        segment.marks = true
        peer.deliver(segment)
        #expect(host.takeSent().map(\.flags) == [[.ack, .ece]])
    }

    @Test("an echo reduces the window once a round trip, and says so (§6.1.2)")
    func reduction() throws {
        let peer = try established()
        let host = peer.host
        host.send(peer.id, peer.data(1_460 * 40, from: 0))
        #expect(host.takeSent().count == 10)
        peer.ack &+= 1_460
        peer.deliver([.ack, .ece])
        let window = host.status(peer.id).congestionWindow
        #expect(window < 10 * 1_460)
        _ = host.takeSent()
        peer.ack &+= 1_460
        peer.deliver([.ack, .ece])
        #expect(host.status(peer.id).congestionWindow == window)
        var sent: [Segment] = []
        for _ in 0..<8 {
            peer.ack &+= 1_460
            peer.deliver([.ack, .ece])
            sent += host.takeSent()
        }
        #expect(sent.first?.flags.contains(.cwr) == true)
        #expect(sent.dropFirst().allSatisfy { !$0.flags.contains(.cwr) })
        #expect(host.status(peer.id).retransmissions == 0)
        // The next round trip's echo counts anew.
        peer.ack = sent.last!.seq &+ UInt32(sent.last!.payload.count)
        peer.deliver([.ack, .ece])
        host.send(peer.id, peer.data(1_460 * 40, from: 0))
        peer.deliver([.ack, .ece])
        #expect(host.status(peer.id).congestionWindow < window)
    }

    @Test("marks and echoes mean nothing without agreement")
    func unasked() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        var segment = Segment([.ack, .ece], seq: peer.seq, ack: peer.ack, payload: [1])
        segment.marks = true
        host.send(peer.id, peer.data(1_460 * 4, from: 0))
        let window = host.status(peer.id).congestionWindow
        _ = host.takeSent()
        peer.deliver(segment)
        host.advance(50 * millisecond)
        #expect(host.takeSent().map(\.flags) == [.ack])
        #expect(host.status(peer.id).congestionWindow == window)
    }

    @Test("through a queue that marks, nothing is lost")
    func queue() throws {
        let faults = WireFaults(
            delay: 5 * millisecond, rate: 2_000_000, markingQueue: 10 * millisecond)
        let wire = Wire(faults)
        let ids = try wire.establish()
        let piece = [UInt8](repeating: 7, count: 65_536)
        var received = 0
        let done = wire.run(for: 60 * second) {
            wire.client.send(ids.client, piece)
            received += wire.server.read(ids.server).count
            return received > 5_000_000
        }
        #expect(done)
        #expect(wire.marked > 10)
        #expect(wire.dropped == 0)
        #expect(wire.client.status(ids.client).retransmissions == 0)
    }

    @Test("a path that swallows long segments without a word is found out (RFC 4821 §7.7)")
    func blackHole() throws {
        for limit in [1_300, 600] {
            let wire = Wire()
            let ids = try wire.establish()
            wire.drops = { segment, _ in segment.payload.count + segment.options.count > limit }
            wire.client.send(ids.client, [UInt8](repeating: 7, count: 20_000))
            var received = 0
            let done = wire.run(for: 60 * second) {
                received += wire.server.read(ids.server).count
                return received == 20_000
            }
            #expect(done, "\(limit)")
            #expect(wire.client.status(ids.client).maximumSegmentSize < limit)
        }
    }

    @Test("a peer that is gone for a while does not shorten small segments")
    func silenceIsNoBlackHole() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.host.send(peer.id, [1, 2, 3])
        peer.host.advance(20 * second)
        #expect(peer.host.status(peer.id).maximumSegmentSize == 1_460)
    }
}
