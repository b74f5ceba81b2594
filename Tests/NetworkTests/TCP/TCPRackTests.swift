// Loss told by time, tail loss probes, needless retransmissions: RFC 8985, RFC 3522, RFC 4015.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: RACK-TLP (RFC 8985) and Eifel (RFC 3522)")
struct TCPRackTests {
    private static let offer: [UInt8] = [2, 4, 5, 0xB4, 4, 2, 1, 1]

    /// A connection whose round trip of 100 ms is known, with `count` segments in flight.
    private func sending(_ count: Int, options: [UInt8] = offer) throws -> (ScriptedPeer, UInt32) {
        let peer = ScriptedPeer()
        try peer.establish(options: options)
        peer.host.send(peer.id, [1])
        peer.host.advance(100 * millisecond)
        peer.ack &+= 1
        peer.deliver()
        _ = peer.host.takeSent()
        let size = peer.host.status(peer.id).maximumSegmentSize
        peer.host.send(peer.id, peer.data(size * count, from: 0))
        #expect(peer.host.takeSent().count == min(count, 10))
        return (peer, peer.ack)
    }

    @Test("one segment out of order waits a quarter of the round trip (§6.2, step 4)")
    func late() throws {
        let (peer, first) = try sending(3)
        let host = peer.host
        host.advance(100 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(1, 2)]))
        #expect(host.takeSent().isEmpty)
        host.advance(20 * millisecond)
        #expect(host.takeSent().isEmpty)
        peer.deliver(.ack, ack: first &+ 3 * 1_460)  // it was only late
        host.advance(400 * millisecond)
        #expect(host.takeSent().isEmpty)
        #expect(host.status(peer.id).retransmissions == 0)
    }

    @Test("after that it is lost, without a third duplicate (§6.2, step 5)")
    func lostAlone() throws {
        let (peer, first) = try sending(2)
        let host = peer.host
        host.advance(100 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(1, 2)]))
        host.advance(24 * millisecond)
        #expect(host.takeSent().isEmpty)
        host.advance(2 * millisecond)
        #expect(host.takeSent().map(\.seq) == [first])
        #expect(host.status(peer.id).congestionWindow < 10 * 1_460)
    }

    @Test("three segments SACKed tell of loss at once (§6.2, step 4)")
    func threeSacked() throws {
        let (peer, first) = try sending(4)
        peer.host.advance(100 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(1, 4)]))
        #expect(peer.host.takeSent().map(\.seq) == [first])
    }

    @Test("where segments come out of order, three are no loss yet (§6.2, step 4)")
    func reordering() throws {
        let (peer, first) = try sending(10)
        let host = peer.host
        host.advance(100 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(1, 2)]))
        peer.deliver(.ack, ack: first &+ 2 * 1_460)  // the first came after the second
        _ = host.takeSent()
        peer.ack = first &+ 2 * 1_460
        peer.deliver(.ack, options: sackOption(first, [(3, 10)]))
        #expect(host.takeSent().allSatisfy { $0.seq != peer.ack })
        #expect(host.status(peer.id).retransmissions == 0)
        host.advance(26 * millisecond)
        #expect(host.status(peer.id).retransmissions == 1)
    }

    @Test("what was sent after the last octets that arrived is not lost (§6.2, step 5)")
    func newerIsNotLost() throws {
        let (peer, first) = try sending(4)
        let host = peer.host
        host.advance(90 * millisecond)
        host.send(peer.id, peer.data(4 * 1_460, from: 0))
        #expect(host.takeSent().count == 4)
        host.advance(10 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(1, 4)]))
        #expect(host.takeSent().map(\.seq) == [first])
        #expect(host.status(peer.id).retransmissions == 1)
    }

    @Test("a retransmission that is lost in its turn is noticed (§6.2, step 2)")
    func lostAgain() throws {
        let (peer, first) = try sending(10)
        let host = peer.host
        host.advance(100 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(1, 10)]))
        #expect(host.takeSent().first?.seq == first)
        host.advance(10 * millisecond)
        host.send(peer.id, peer.data(4 * 1_460, from: 0))
        let new = host.takeSent()
        #expect(new.map(\.seq) == (10...13).map { first &+ $0 * 1_460 })
        host.advance(99 * millisecond)
        #expect(host.takeSent().isEmpty)
        peer.deliver(.ack, options: sackOption(first, [(1, 14)]))
        #expect(host.takeSent().map(\.seq) == [first])
    }

    @Test("a lost tail is probed after two round trips, with its last segment (§7.3)")
    func probe() throws {
        let (peer, first) = try sending(4)
        let host = peer.host
        host.advance(204 * millisecond)
        #expect(host.takeSent().isEmpty)
        host.advance(2 * millisecond)
        #expect(host.takeSent().map(\.seq) == [first &+ 3 * 1_460])
        // Its answer shows what else is lost, and no timeout is needed.
        host.advance(90 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(3, 4)]))
        host.advance(30 * millisecond)
        // Seven tenths of the four in flight: two at a time.
        #expect(host.takeSent().map(\.seq) == [0, 1].map { first &+ $0 * 1_460 })
        #expect(host.status(peer.id).congestionWindow > 2 * 1_460)
    }

    @Test("a probe is new octets, if there are any (§7.3)")
    func newProbe() throws {
        let (peer, first) = try sending(12)
        let host = peer.host
        host.advance(206 * millisecond)
        #expect(host.takeSent().map(\.seq) == [first &+ 10 * 1_460])
        host.advance(90 * millisecond)
        peer.deliver(.ack, ack: first &+ 11 * 1_460)
        #expect(host.status(peer.id).retransmissions == 0)
        #expect(host.status(peer.id).congestionWindow >= 10 * 1_460)
    }

    @Test("one probe a flight; then the timeout (§7.3)")
    func oneProbe() throws {
        let (peer, _) = try sending(4)
        let host = peer.host
        host.advance(206 * millisecond)
        #expect(host.takeSent().count == 1)
        host.advance(250 * millisecond)
        #expect(host.takeSent().isEmpty)
        host.advance(100 * millisecond)
        #expect(host.takeSent().count == 1)
        #expect(host.status(peer.id).congestionWindow == 1_460)
    }

    @Test("a probe that mended a loss counts as one, one that the peer had twice does not (§7.4)")
    func probeMends() throws {
        for hadTwice in [false, true] {
            let (peer, first) = try sending(4)
            let host = peer.host
            let window = host.status(peer.id).congestionWindow
            host.advance(206 * millisecond)
            _ = host.takeSent()
            let told = hadTwice ? sackOption(first, [(3, 4)]) : []
            peer.deliver(.ack, options: told, ack: first &+ 4 * 1_460)
            peer.ack = first &+ 4 * 1_460
            host.send(peer.id, [1])
            host.advance(100 * millisecond)
            peer.ack &+= 1
            peer.deliver()
            #expect((host.status(peer.id).congestionWindow < window) == !hadTwice)
        }
    }

    @Test("a single segment is left to its timeout: its answer may be delayed (§7.2)")
    func noProbeForOne() throws {
        let (peer, _) = try sending(1)
        peer.host.advance(250 * millisecond)
        #expect(peer.host.takeSent().isEmpty)
    }

    @Test("a timeout that was too early is taken back (RFC 3522 §3.2, RFC 4015 §3)")
    func spuriousTimeout() throws {
        for wasLate in [true, false] {
            let peer = ScriptedPeer()
            try peer.establish(
                options: [2, 4, 5, 0xB4, 1, 1, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0])
            let host = peer.host
            host.send(peer.id, [1])
            host.advance(100 * millisecond)
            peer.ack &+= 1
            peer.deliver()
            _ = host.takeSent()
            let first = peer.ack
            host.send(peer.id, peer.data(1_448 * 8, from: 0))
            let sent = host.takeSent()
            #expect(sent.count == 8)
            let window = host.status(peer.id).congestionWindow
            host.now = host.nextDeadline
            host.poll()
            let again = host.takeSent()
            #expect(again.map(\.seq) == [first])
            #expect(host.status(peer.id).congestionWindow == 1_448)
            peer.stamps?.echo = try #require((wasLate ? sent : again)[0].stamps).value
            peer.deliver(.ack, ack: first &+ 1_448)
            if wasLate {
                #expect(host.status(peer.id).congestionWindow >= window)
                #expect(host.takeSent().isEmpty)  // what is in flight is still on its way
            } else {
                #expect(host.status(peer.id).congestionWindow == 2 * 1_448)
                #expect(host.takeSent().map(\.seq) == [1, 2].map { first &+ $0 * 1_448 })
            }
        }
    }

    @Test("a path that has become slower than the timeout is learnt (RFC 6298 §5, RFC 3522 §3.2)")
    func slowerPath() throws {
        let wire = Wire(WireFaults(delay: 10 * millisecond))
        let ids = try wire.establish()
        func send(_ count: Int, within seconds: UInt64) -> Bool {
            var left = count
            var received = 0
            return wire.run(for: seconds * second) {
                if left > 0, wire.client.sendRoom(ids.client) >= min(left, 10_000) {
                    left -= wire.client.send(
                        ids.client, [UInt8](repeating: 7, count: min(left, 10_000)))
                }
                received += wire.server.read(ids.server).count
                return received == count
            }
        }
        #expect(send(100_000, within: 10))
        let before = wire.client.status(ids.client)
        #expect(before.roundTripNanoseconds < 100 * millisecond && before.retransmissions == 0)
        // A segment takes 0.3 s from now on, and a window many seconds: nothing is lost.
        wire.faults.rate = 5_000
        #expect(send(400_000, within: 100))
        let after = wire.client.status(ids.client)
        #expect(after.roundTripNanoseconds > second)
        #expect(after.retransmissions < 12, "\(after.retransmissions)")
    }

    @Test("a needless fast retransmission is taken back, and teaches patience (RFC 4015 §3)")
    func spuriousRecovery() throws {
        let peer = ScriptedPeer()
        try peer.establish(
            options: [2, 4, 5, 0xC0, 1, 1, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0, 4, 2, 1, 1])
        let host = peer.host
        #expect(host.status(peer.id).maximumSegmentSize == 1_448)
        host.send(peer.id, peer.data(1_448 * 10, from: 0))
        let first = peer.ack
        let sent = host.takeSent()
        let window = host.status(peer.id).congestionWindow
        host.advance(50 * millisecond)
        peer.deliver(
            .ack,
            options: [1, 1, 5, 10]
                + [first &+ 1_448, first &+ 10 * 1_448].flatMap { number in
                    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
                })
        #expect(host.takeSent().first?.seq == first)
        #expect(host.status(peer.id).congestionWindow < window)
        host.advance(2 * millisecond)
        peer.stamps?.echo = try #require(sent[0].stamps).value
        peer.deliver(.ack, ack: first &+ 10 * 1_448)
        #expect(host.status(peer.id).congestionWindow >= window)
    }

    @Test("octets that came twice are told, once, before the ranges out of order (RFC 2883 §4)")
    func duplicates() throws {
        let peer = ScriptedPeer()
        try peer.establish(options: Self.offer)
        let host = peer.host
        let base = peer.seq
        func told() -> [[UInt32]] {
            (host.takeSent().last?.sack ?? []).map { [$0.0 &- base, $0.1 &- base] }
        }
        peer.deliver(payload: peer.data(100, from: base))
        host.advance(50 * millisecond)
        #expect(told() == [])
        peer.deliver(payload: peer.data(100, from: base), at: base)
        #expect(told() == [[0, 100]])
        peer.deliver(payload: peer.data(100, from: base &+ 200), at: base &+ 200)
        #expect(told() == [[200, 300]])
        peer.deliver(payload: peer.data(50, from: base &+ 220), at: base &+ 220)
        #expect(told() == [[220, 270], [200, 300]])
        peer.deliver(payload: peer.data(80, from: base &+ 40), at: base &+ 40)
        #expect(told() == [[40, 100], [200, 300]])
        #expect(host.receivedCount(peer.id) == 120)
        // Octets of this side do not hide it.
        host.send(peer.id, peer.data(100, from: 0))
        _ = host.takeSent()
        peer.deliver(payload: peer.data(10, from: base &+ 400), at: base &+ 400)
        host.send(peer.id, peer.data(100, from: 0))
        #expect(host.takeSent().first?.sack.count == 2)
        // Without SACK there is nobody to tell.
        let other = ScriptedPeer()
        try other.establish()
        other.deliver(payload: [1])
        other.deliver(payload: [1], at: other.seq &- 1)
        #expect(other.host.takeSent().allSatisfy { $0.options.isEmpty })
    }
}
