// Windows and small segments: RFC 9293 §3.8.6 (zero window, silly windows), §3.7.4 (Nagle),
// §3.8.6.3 (delayed ACK), §3.8.4 (keepalive).

import Testing

@testable import SwiftletNetwork

@Suite("TCP: windows, Nagle, delayed ACK, keepalive (RFC 9293 §3.8)")
struct TCPWindowTests {
    @Test("a closed window is probed with backoff, for as long as the peer answers (§3.8.6.1)")
    func zeroWindow() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        peer.window = 0
        peer.deliver()
        host.send(peer.id, peer.data(3_000, from: 0))
        #expect(host.takeSent().isEmpty)
        var gaps: [UInt64] = []
        for _ in 0..<40 {
            let before = host.now.nanoseconds
            while host.output.sent.isEmpty {
                host.now = host.nextDeadline
                host.poll()
            }
            gaps.append((host.now.nanoseconds - before) / second)
            let probe = host.takeSent()
            #expect(probe.count == 1)
            #expect(probe.first?.payload.count == 1)
            #expect(probe.first?.seq == peer.ack)
            peer.deliver()
        }
        #expect(gaps.prefix(4) == [1, 2, 4, 8])
        #expect(gaps.last == 60)
        #expect(host.state(peer.id) == .established)
        peer.window = 65_535
        peer.deliver()
        #expect(host.takeSent().map(\.payload.count) == [1_460, 1_460, 80])
    }

    @Test("a probe that the peer takes counts as sent")
    func probeTaken() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.window = 0
        peer.deliver()
        peer.host.send(peer.id, [1, 2, 3])
        peer.host.advance(second)
        #expect(peer.host.takeSent().first?.payload == [1])
        peer.ack &+= 1
        peer.window = 100
        peer.deliver()
        #expect(peer.host.takeSent().first?.payload == [2, 3])
    }

    @Test("probes that cross: both windows open, each side has taken the other's octet")
    func crossingProbes() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        peer.window = 0
        peer.deliver()
        host.send(peer.id, [1, 2, 3])
        host.advance(second)
        #expect(host.takeSent().first?.payload == [1])
        // The peer's probe, sent before it took ours; then its answer, with the number it probed.
        peer.deliver(payload: [9], at: peer.seq)
        peer.window = 100
        peer.deliver(.ack, at: peer.seq, ack: peer.ack &+ 1)
        #expect(host.takeSent().contains { $0.payload == [2, 3] })
        #expect(host.read(peer.id) == [9])
    }

    @Test("a probe without answer ends in a timeout")
    func probeUnanswered() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.window = 0
        peer.deliver()
        peer.host.send(peer.id, [1])
        peer.host.advance(3_600 * second)
        #expect(peer.host.status(peer.id).failure == .timedOut)
    }

    @Test("our closed window refuses octets, takes ACKs, and opens by the rules (§3.8.6.2.2)")
    func receiverWindow() throws {
        var configuration = TCPConfiguration()
        configuration.initialReceiveBuffer = 4_000
        configuration.maximumReceiveBuffer = 4_000
        let peer = ScriptedPeer(configuration)
        try peer.establish()
        let host = peer.host
        peer.deliver(payload: peer.data(1_460, from: peer.seq))
        peer.deliver(payload: peer.data(1_460, from: peer.seq))
        peer.deliver(payload: peer.data(1_080, from: peer.seq))
        host.advance(50 * millisecond)
        #expect(host.takeSent().last?.window == 0)
        host.send(peer.id, [1])
        _ = host.takeSent()
        peer.ack &+= 1
        peer.deliver(payload: [9], at: peer.seq)
        #expect(host.takeSent().last?.ack == peer.seq)
        #expect(host.status(peer.id).unacknowledged == 0)
        #expect(host.receivedCount(peer.id) == 4_000)
        // Small reads tell nothing; half of the buffer does.
        _ = host.read(peer.id, most: 1_000)
        #expect(host.takeSent().isEmpty)
        _ = host.read(peer.id, most: 1_000)
        #expect(host.takeSent().map(\.window) == [2_000])
        // The window that was told never shrinks.
        peer.deliver(payload: peer.data(2_000, from: peer.seq))
        #expect(host.receivedCount(peer.id) == 4_000)
    }

    @Test("consuming small requests sends no window updates")
    func noNeedlessUpdates() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        for _ in 0..<1_000 {
            peer.deliver(payload: peer.data(100, from: peer.seq))
            _ = peer.host.read(peer.id)
            peer.host.send(peer.id, [1, 2, 3])
            peer.ack &+= 3
        }
        let sent = peer.host.takeSent()
        #expect(sent.count == 1_000)
        #expect(sent.allSatisfy { $0.payload == [1, 2, 3] })
        #expect(sent.last?.ack == peer.seq)
    }

    @Test("a reader that keeps up gets a larger window")
    func growingWindow() throws {
        let peer = ScriptedPeer()
        try peer.establish(options: [2, 4, 5, 0xB4, 1, 3, 3, 7])
        var largest = 0
        for _ in 0..<3_000 {
            peer.deliver(payload: peer.data(1_460, from: peer.seq))
            _ = peer.host.read(peer.id)
            for segment in peer.host.takeSent() { largest = max(largest, Int(segment.window) << 5) }
        }
        #expect(largest > 1_000_000)
        #expect(peer.host.memoryInUse == 0)
    }

    @Test("Nagle: a small segment waits while something is in flight (§3.7.4)")
    func nagle() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        host.tcp.setOptions(peer.id, TCPOptions(noDelay: false), now: host.now)
        host.send(peer.id, [1])
        host.send(peer.id, [2])
        host.send(peer.id, [3])
        #expect(host.takeSent().map(\.payload) == [[1]])
        peer.ack &+= 1
        peer.deliver()
        #expect(host.takeSent().map(\.payload) == [[2, 3]])
        host.tcp.setOptions(peer.id, TCPOptions(noDelay: true), now: host.now)
        host.send(peer.id, [4])
        #expect(host.takeSent().map(\.payload) == [[4]])
    }

    @Test("silly windows: a sliver of a window is not used at once (§3.8.6.2.1)")
    func sillyWindow() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        peer.window = 10
        peer.deliver()
        host.send(peer.id, peer.data(5_000, from: 0))
        #expect(host.takeSent().isEmpty)
        host.advance(second)  // the override timer
        #expect(host.takeSent().map(\.payload.count) == [10])
        peer.ack &+= 10
        peer.window = 1_460
        peer.deliver()
        #expect(host.takeSent().map(\.payload.count) == [1_460])
    }

    @Test("ACKs: every second full segment at once, else after 40 ms, or with data (§3.8.6.3)")
    func delayedAck() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        peer.deliver(payload: peer.data(1_460, from: peer.seq))
        #expect(host.takeSent().isEmpty)
        peer.deliver(payload: peer.data(1_460, from: peer.seq))
        #expect(host.takeSent().map(\.ack) == [peer.seq])
        peer.deliver(payload: peer.data(1_460, from: peer.seq))
        host.advance(39 * millisecond)
        #expect(host.takeSent().isEmpty)
        host.advance(millisecond)
        #expect(host.takeSent().map(\.ack) == [peer.seq])
        peer.deliver(payload: [1])
        host.send(peer.id, [2])
        #expect(host.takeSent().map(\.ack) == [peer.seq])
        host.advance(100 * millisecond)
        #expect(host.takeSent().isEmpty)
        peer.deliver(payload: [1], at: peer.seq &+ 1)
        #expect(host.takeSent().map(\.ack) == [peer.seq])  // out of order: at once
    }

    @Test("keepalive: probes when idle, ends when nobody answers (§3.8.4)")
    func keepalive() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        let options = TCPOptions(keepaliveNanoseconds: 100 * second)
        host.tcp.setOptions(peer.id, options, now: host.now)
        host.advance(99 * second)
        #expect(host.takeSent().isEmpty)
        host.advance(second)
        let probe = try #require(host.takeSent().first)
        #expect(probe.seq == peer.ack &- 1)
        #expect(probe.payload.isEmpty)
        peer.deliver()
        host.advance(99 * second)
        #expect(host.takeSent().isEmpty)
        host.advance(9 * 75 * second + 2 * second)
        let sent = host.takeSent()
        #expect(sent.count == 10)
        #expect(sent.last?.flags == [.rst, .ack])
        #expect(host.status(peer.id).failure == .timedOut)
    }

    @Test("a keepalive probe from the peer is answered")
    func keepaliveAnswer() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.deliver(at: peer.seq &- 1)
        #expect(peer.host.takeSent().map(\.ack) == [peer.seq])
    }

    @Test("send takes what fits; writable comes when there is room")
    func writable() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        let taken = host.send(peer.id, [UInt8](repeating: 1, count: 300 << 10))
        #expect(taken == 64 << 10)
        #expect(host.sendRoom(peer.id) == 0)
        _ = host.takeSent()
        peer.ack &+= 1_460
        peer.deliver()
        #expect(host.events.isEmpty)
        var acknowledged = 1_460
        while host.events.isEmpty, acknowledged < taken {
            let octets = host.takeSent().reduce(0) { $0 + $1.payload.count }
            if octets == 0 { host.advance(second) }
            peer.ack &+= UInt32(octets)
            acknowledged += octets
            peer.deliver()
        }
        #expect(host.events == [.writable(peer.id)])
        #expect(host.sendRoom(peer.id) >= 16 << 10)
    }

    @Test("a sender told of room that is gone when it looks is told again")
    func roomShrinks() throws {
        var configuration = TCPConfiguration()
        configuration.initialSendBuffer = 4 << 10
        let peer = ScriptedPeer(configuration)
        try peer.establish()
        let host = peer.host
        // Two initial windows (RFC 6928) fit at first, and one is on its way.
        let taken = host.send(peer.id, [UInt8](repeating: 1, count: 100 << 10))
        #expect(taken == 2 * 14_600)
        #expect(host.takeSent().count == 10)
        for _ in 0..<6 where host.events.isEmpty {
            peer.ack &+= 1_460
            peer.deliver()
        }
        #expect(host.events == [.writable(peer.id)])
        // Before the sender looks, a timeout takes the congestion window down (RFC 5681 §3.1).
        host.advance(2 * second)
        _ = host.takeSent()
        #expect(host.sendRoom(peer.id) == 0)
        host.events = []
        for _ in 0..<10 where host.events.isEmpty {
            peer.ack &+= 2_920
            peer.deliver()
        }
        #expect(host.events == [.writable(peer.id)])
        #expect(host.sendRoom(peer.id) > 0)
    }

    @Test("data that finds no room goes soon, though an acknowledgement went meanwhile")
    func blockedData() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        host.output.longest = 100
        host.send(peer.id, [UInt8](repeating: 1, count: 3_000))
        #expect(host.takeSent().isEmpty)
        for _ in 0..<2 { peer.deliver([.ack, .psh], payload: peer.data(1_460, from: peer.seq)) }
        #expect(host.takeSent().map(\.payload.count) == [0])
        host.output.longest = .max
        host.advance(millisecond)
        #expect(host.takeSent().map(\.payload.count) == [1_460, 1_460, 80])
    }
}
