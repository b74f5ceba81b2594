// Peers that mean harm: what they cost in memory and work is bounded.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite("TCP: adversaries")
struct TCPAdversaryTests {
    /// `count` connections from a peer that has carried out each handshake.
    private func connections(
        _ count: Int, _ configuration: TCPConfiguration = TCPConfiguration(), window: UInt16
    ) throws -> (ScriptedPeer, [(id: TCPConnectionID, port: UInt16, ack: UInt32)]) {
        let peer = ScriptedPeer(configuration)
        let listener = try peer.host.tcp.listen(address: nil, port: 80, backlog: count)
        var all: [(id: TCPConnectionID, port: UInt16, ack: UInt32)] = []
        for place in 0..<count {
            let port = UInt16(10_000 + place)
            peer.deliver(Segment(.syn, seq: 1, options: [2, 4, 5, 0xB4]), port: port)
            let answer = try #require(peer.host.takeSent().last)
            peer.deliver(
                Segment(.ack, seq: 2, ack: answer.seq &+ 1, window: window), port: port)
            all.append((try #require(peer.host.accept(listener)), port, answer.seq &+ 1))
        }
        peer.host.events = []
        return (peer, all)
    }

    @Test("closed windows hold bounded memory and work, and end when nobody waits any more")
    func closedWindows() throws {
        var configuration = TCPConfiguration()
        configuration.memoryLimit = 1 << 20
        let (peer, all) = try connections(500, configuration, window: 0)
        let host = peer.host
        let answer = [UInt8](repeating: 7, count: 100_000)
        for one in all { host.send(one.id, answer) }
        #expect(host.memoryInUse <= 1 << 20)
        // Three quarters at most for sending: requests still arrive.
        #expect(host.memoryInUse <= 3 << 18)
        for one in all {
            host.finish(one.id)
            host.tcp.release(one.id)
        }
        // The peer answers each probe: alive, and closed.
        var probes = 0
        for _ in 0..<100 {
            host.advance(3 * second)
            for segment in host.takeSent() where !segment.flags.contains(.rst) {
                probes += 1
                guard let one = all.first(where: { $0.port == segment.to }) else { continue }
                peer.deliver(Segment(.ack, seq: 2, ack: one.ack, window: 0), port: one.port)
            }
        }
        #expect(probes <= 500 * 10)
        #expect(host.connectionCount == 0)
        #expect(host.memoryInUse == 0)
    }

    @Test("readers that do not read: the next answers have room, or wait for an event, and get it")
    func shortStorage() throws {
        var configuration = TCPConfiguration()
        configuration.memoryLimit = 1 << 20
        let (peer, all) = try connections(100, configuration, window: 0)
        let host = peer.host
        let answer = [UInt8](repeating: 7, count: 100_000)
        let taken = all.map { host.send($0.id, answer) }
        // Half of memory for those that have much, so that others have some.
        #expect(taken[..<8].allSatisfy { $0 == 65_536 })
        #expect(taken[8] == 16_384)
        #expect(taken[99] == 0)
        for one in all where host.sendRoom(one.id) > 0 {
            #expect(host.send(one.id, [7]) == 1)
        }
        // Nothing changes: nobody is woken in vain.
        host.events = []
        host.advance(second)
        #expect(host.events.isEmpty)
        for one in all[..<50] { host.abort(one.id) }
        host.advance(20 * millisecond)
        #expect(host.events.contains(.writable(all[99].id)))
        #expect(host.sendRoom(all[99].id) > 0)
        #expect(host.send(all[99].id, [7]) == 1)
    }

    @Test("one octet at a time, out of order: few ranges, few answers, bounded memory")
    func tinySegments() throws {
        let peer = ScriptedPeer()
        try peer.establish(options: [2, 4, 5, 0xB4, 4, 2, 1, 1])
        let host = peer.host
        var random = SeededRandom(seed: 7)
        var sent = 0
        for _ in 0..<50_000 {
            let place = UInt32(random.next() % 30_000) * 2 + 1
            peer.deliver(payload: [1], at: peer.seq &+ place)
            sent += host.output.sent.count
            host.output.sent = []
        }
        #expect(sent <= 50_000)
        #expect(host.memoryInUse <= 128 << 10)
        let index = Int(peer.id.index)
        #expect(host.tcp.connections[index].outOfOrder.count <= SequenceIntervals.maximum)
        // The stream is still right.
        peer.deliver(payload: [5])
        #expect(host.read(peer.id).first == 5)
    }

    @Test("a window that shrinks: nothing more is sent beyond it, and nothing is lost (§3.8.6)")
    func shrinkingWindow() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        let data = peer.data(14_600, from: 0)
        host.send(peer.id, data)
        #expect(host.takeSent().count == 10)
        let first = peer.ack
        var received: [UInt8] = []
        var window = 3_000
        for _ in 0..<400 where received.count < data.count {
            peer.window = UInt16(window)
            peer.ack = first &+ UInt32(received.count)
            peer.deliver()
            host.advance(second)
            for segment in host.takeSent() {
                let offset = Int(segment.seq &- first)
                #expect(offset + segment.payload.count <= received.count + max(window, 1) + 14_600)
                if offset <= received.count, offset + segment.payload.count > received.count {
                    let fresh = segment.payload.dropFirst(received.count - offset)
                    received += fresh.prefix(max(window, 1))
                }
            }
            window = window > 100 ? window - 100 : 1_000
        }
        #expect(received == data)
    }

    @Test("acknowledgements cut into pieces grow the window no faster (RFC 3465 §2)")
    func dividedAcks() throws {
        var windows: [Int] = []
        for pieces in [1, 100] {
            let peer = ScriptedPeer()
            try peer.establish()
            let host = peer.host
            host.send(peer.id, peer.data(60_000, from: 0))
            for piece in 1...pieces {
                peer.deliver(ack: peer.ack &+ UInt32(14_600 * piece / pieces))
            }
            windows.append(host.status(peer.id).congestionWindow)
        }
        // One for all grows it by eight segments, a hundred pieces by what they tell.
        #expect(windows == [18 * 1_460, 20 * 1_460])
    }

    @Test("acknowledgements ahead of what was sent move nothing (RFC 5961 §5.2)")
    func optimisticAcks() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        host.send(peer.id, peer.data(60_000, from: 0))
        _ = host.takeSent()
        let window = host.status(peer.id).congestionWindow
        for step in 1...1_000 { peer.deliver(ack: peer.ack &+ 14_600 &+ UInt32(step * 1_460)) }
        #expect(host.status(peer.id).congestionWindow == window)
        #expect(host.takeSent().count == 1)  // one challenge, not a thousand
    }

    @Test("a blind attacker's resets, SYNs and data: at most ten answers a second (RFC 5961 §7)")
    func blind() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        var random = SeededRandom(seed: 11)
        var answers = 0
        for step in 0..<20_000 {
            let at = peer.seq &+ 1 &+ UInt32(random.next() % 60_000)
            switch step % 3 {
            case 0: peer.deliver(.rst, at: at)
            case 1: peer.deliver(.syn, at: at)
            default: peer.deliver(.ack, at: at, ack: peer.ack &+ 1 &+ UInt32(random.next() % 1_000))
            }
            if step % 20 == 0 { host.advance(millisecond) }
            answers += host.takeSent().count
        }
        #expect(host.state(peer.id) == .established)
        #expect(answers <= 11)
        peer.deliver(payload: [1])
        #expect(host.read(peer.id) == [1])
    }

    @Test("SACK ranges of single octets: the scoreboard is bounded, and so is what goes again")
    func sackDust() throws {
        let peer = ScriptedPeer()
        try peer.establish(options: [2, 4, 5, 0xB4, 4, 2, 1, 1])
        let host = peer.host
        host.send(peer.id, peer.data(60_000, from: 0))
        let first = peer.ack
        var sent = host.takeSent().count
        for step in 0..<5_000 {
            var option: [UInt8] = [1, 1, 5, 34]
            for block in 0..<4 {
                let start = first &+ 1 &+ UInt32((step * 8 + block * 2) % 14_000)
                for edge in [start, start &+ 1] {
                    option += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: edge >> $0) }
                }
            }
            peer.deliver(options: option)
            sent += host.takeSent().count
        }
        let index = Int(peer.id.index)
        #expect(host.tcp.connections[index].sacked.count <= SequenceIntervals.maximum)
        #expect(sent < 5_000)
        peer.deliver(ack: first &+ 14_600)
        #expect(host.status(peer.id).unacknowledged <= 60_000 - 14_600)
    }

    @Test("two confused sides do not answer each other for ever (RFC 5961 §7)")
    func noStorm() throws {
        let wire = Wire()
        let ids = try wire.establish()
        // Each believes the other to be elsewhere, as after an injected segment.
        let index = Int(ids.client.index)
        wire.client.tcp.connections[index].rcvNxt += 1_000_000
        wire.client.tcp.connections[index].rcvEdge += 1_000_000
        let before = wire.carried
        wire.client.send(ids.client, [1])
        wire.run(for: 10 * second)
        #expect(wire.carried - before < 300)
    }
}
