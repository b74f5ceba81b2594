// Loss and its repair: RFC 6298, RFC 5681, RFC 6582, RFC 2018, RFC 6675, RFC 3042, RFC 6928.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite("TCP: retransmission and congestion (RFC 6298, RFC 5681)")
struct TCPRetransmissionTests {
    private static let sackOptions: [UInt8] = [2, 4, 5, 0xB4, 4, 2]

    /// A connection whose window is wide, with `count` full segments queued.
    private func sending(
        _ count: Int, sack: Bool = false, _ configuration: TCPConfiguration = TCPConfiguration()
    ) throws -> ScriptedPeer {
        let peer = ScriptedPeer(configuration)
        try peer.establish(options: sack ? Self.sackOptions : [2, 4, 5, 0xB4])
        peer.host.send(peer.id, peer.data(1_460 * count, from: 0))
        return peer
    }

    @Test("the timeout doubles, goes back after an answer, and gives up (RFC 6298 §5)")
    func backoff() throws {
        let peer = try sending(1)
        let host = peer.host
        let start = host.now.nanoseconds
        var times: [UInt64] = []
        for _ in 0..<5 {
            #expect(host.takeSent().map(\.seq) == [peer.ack])
            times.append((host.now.nanoseconds - start) / second)
            host.now = host.nextDeadline
            host.poll()
        }
        #expect(times == [0, 1, 3, 7, 15])
        // One segment, and a shorter one: long ones might be what does not arrive.
        #expect(host.status(peer.id).congestionWindow == host.status(peer.id).maximumSegmentSize)
        #expect(host.status(peer.id).maximumSegmentSize == 536)
        peer.deliver(.ack, ack: peer.ack &+ 1_460)
        #expect(host.status(peer.id).unacknowledged == 0)
        // No sample from what was sent twice (Karn): still the initial second.
        #expect(host.status(peer.id).roundTripNanoseconds == 0)
        _ = host.takeSent()
        host.send(peer.id, [1])
        let sentAt = host.now.nanoseconds
        while host.takeSent().count < 2 {
            host.now = host.nextDeadline
            host.poll()
            if host.output.sent.count > 0 { break }
        }
        #expect(host.now.nanoseconds - sentAt == second)
        while host.state(peer.id) != .closed {
            host.now = host.nextDeadline
            host.poll()
        }
        #expect(host.status(peer.id).failure == .timedOut)
        #expect(host.takeSent().last?.flags == [.rst, .ack])
        #expect(host.memoryInUse == 0)
    }

    @Test("a measured round trip sets the timeout (RFC 6298 §2.2), at least the minimum")
    func measured() throws {
        let peer = try sending(1)
        let host = peer.host
        host.advance(300 * millisecond)
        peer.deliver(.ack, ack: peer.ack &+ 1_460)
        // Send times are kept in ticks of 1 024 ns.
        #expect(host.status(peer.id).roundTripNanoseconds / 1_024 == 300 * millisecond / 1_024)
        _ = host.takeSent()
        host.send(peer.id, [1])
        host.advance(899 * millisecond)  // R + 4 R/2
        #expect(host.takeSent().count == 1)
        host.advance(2 * millisecond)
        #expect(host.takeSent().count == 1)
    }

    @Test("the user timeout ends sooner (RFC 9293 §3.8.3)")
    func userTimeout() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let options = TCPOptions(userTimeoutNanoseconds: 5 * second)
        peer.host.tcp.setOptions(peer.id, options, now: peer.host.now)
        peer.host.send(peer.id, [1])
        peer.host.advance(8 * second)
        #expect(peer.host.status(peer.id).failure == .timedOut)
    }

    @Test("the initial window is ten segments (RFC 6928); slow start doubles it (RFC 5681 §3.1)")
    func initialWindow() throws {
        let peer = try sending(40)
        let host = peer.host
        #expect(host.takeSent().count == 10)
        peer.deliver(.ack, ack: peer.ack &+ 2 * 1_460)
        #expect(host.takeSent().count == 4)
    }

    @Test("limited transmit, fast retransmit, partial ACK, full ACK (RFC 3042, RFC 6582 §3.2)")
    func newReno() throws {
        let peer = try sending(40)
        let host = peer.host
        let first = peer.ack
        _ = host.takeSent()
        // Segments 0 and 4 of the ten are lost.
        peer.deliver(.ack)
        #expect(host.takeSent().map(\.seq) == [first &+ 10 * 1_460])
        peer.deliver(.ack)
        #expect(host.takeSent().map(\.seq) == [first &+ 11 * 1_460])
        peer.deliver(.ack)
        #expect(host.takeSent().map(\.seq) == [first])
        // Seven tenths of the twelve in flight (RFC 9438 §4.6): eight segments and a piece.
        #expect(host.status(peer.id).congestionWindow == 12 * 146 * 7)
        for _ in 0..<5 { peer.deliver(.ack) }
        #expect(host.takeSent().map(\.seq) == (12...15).map { first &+ $0 * 1_460 })
        peer.ack = first &+ 4 * 1_460
        peer.deliver(.ack)
        // The hole at once, and one new segment: seven of eight are in flight.
        #expect(host.takeSent().map(\.seq) == [4, 16].map { first &+ $0 * 1_460 })
        peer.ack = first &+ 17 * 1_460
        peer.deliver(.ack)
        #expect(host.status(peer.id).retransmissions == 2)
        #expect(host.status(peer.id).congestionWindow == 12 * 146 * 7)
        #expect(host.takeSent().first?.seq == first &+ 17 * 1_460)
    }

    @Test("SACK: only what is missing goes again (RFC 2018 §5, RFC 6675)")
    func sackSender() throws {
        let peer = try sending(40, sack: true)
        let host = peer.host
        let first = peer.ack
        _ = host.takeSent()
        host.advance(40 * millisecond)
        // Segments 0 and 2 are lost; 1 and 3 to 9 arrive.
        func sack(_ ranges: [(Int, Int)]) -> [UInt8] { sackOption(first, ranges) }
        peer.deliver(.ack, options: sack([(1, 2)]))
        #expect(host.takeSent().map(\.seq) == [first &+ 10 * 1_460])
        peer.deliver(.ack, options: sack([(3, 4), (1, 2)]))
        #expect(host.takeSent().map(\.seq) == [first &+ 11 * 1_460])
        peer.deliver(.ack, options: sack([(3, 6), (1, 2)]))
        #expect(host.takeSent().map(\.seq).contains(first))
        peer.deliver(.ack, options: sack([(3, 10), (1, 2)]))
        #expect(host.status(peer.id).retransmissions == 2)
    }

    @Test("SACK: a receiver tells its newest range first (RFC 2018 §4)")
    func sackReceiver() throws {
        let peer = ScriptedPeer()
        try peer.establish(options: Self.sackOptions)
        let base = peer.seq
        for place: UInt32 in [2, 6, 4] {
            peer.deliver(payload: peer.data(100, from: place), at: base &+ place * 100)
        }
        let last = try #require(peer.host.takeSent().last)
        #expect(last.ack == base)
        let expected: [(UInt32, UInt32)] = [(4, 5), (6, 7), (2, 3)]
        #expect(last.sack.map(\.0) == expected.map { base &+ $0.0 * 100 })
        #expect(last.sack.map(\.1) == expected.map { base &+ $0.1 * 100 })
    }

    @Test(
        "SACK: what is in flight is neither told nor lost, and the window bounds it (RFC 6675 §4)")
    func pipe() throws {
        let peer = try sending(60, sack: true)
        let host = peer.host
        let first = peer.ack
        _ = host.takeSent()
        host.advance(40 * millisecond)
        // Of ten segments the first four are lost. Seven tenths of ten: the window is seven.
        peer.deliver(.ack, options: sackOption(first, [(4, 7)]))
        var sent = host.takeSent().map { Int($0.seq &- first) / 1_460 }
        // Three are still in flight, so that four may go: the lost ones, in their order.
        #expect(sent == [0, 1, 2, 3])
        #expect(host.status(peer.id).congestionWindow == 7 * 1_460)
        // Each that arrives lets one more go, and nothing goes a third time.
        for last in 8...10 {
            peer.deliver(.ack, options: sackOption(first, [(4, last)]))
            sent += host.takeSent().map { Int($0.seq &- first) / 1_460 }
        }
        #expect(sent == [0, 1, 2, 3, 10, 11, 12])
        #expect(host.status(peer.id).retransmissions == 4)
    }

    @Test("a peer may drop what it had told by SACK: after a timeout all goes again (RFC 2018 §8)")
    func reneging() throws {
        let peer = try sending(10, sack: true)
        let host = peer.host
        let first = peer.ack
        _ = host.takeSent()
        host.advance(20 * millisecond)
        peer.deliver(.ack, options: sackOption(first, [(1, 10)]))
        #expect(host.takeSent().map(\.seq) == [first])
        // Nothing more is heard of it until the timeout, and then only of what it has.
        host.advance(2 * second)
        var again: Set<UInt32> = Set(host.takeSent().map { ($0.seq &- first) / 1_460 })
        for count: UInt32 in 1...10 {
            peer.deliver(.ack, ack: first &+ count * 1_460)
            again.formUnion(host.takeSent().map { ($0.seq &- first) / 1_460 })
        }
        #expect(again == Set(0...9))
        #expect(host.status(peer.id).unacknowledged == 0)
    }

    @Test("SACK ranges that lie do no harm")
    func sackLies() throws {
        let peer = try sending(10, sack: true)
        let first = peer.ack
        for (start, end) in [(0, 5), (20_000, 90_000), (3_000, 1_000), (-5_000, 3_000)] {
            var option: [UInt8] = [1, 1, 5, 10]
            for edge in [start, end] {
                let number = first &+ UInt32(truncatingIfNeeded: edge)
                option += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
            }
            peer.deliver(.ack, options: option)
        }
        #expect(peer.host.status(peer.id).retransmissions == 0)
        peer.deliver(.ack, ack: first &+ 14_600)
        #expect(peer.host.status(peer.id).unacknowledged == 0)
    }

    @Test("sequence numbers wrap around in both directions (§3.4)")
    func wraparound() throws {
        let peer = ScriptedPeer()
        try peer.establish(isn: .max - 500)
        for _ in 0..<5 {
            let data = peer.data(300, from: peer.seq)
            peer.deliver(payload: data)
            #expect(peer.host.read(peer.id) == data)
        }
        #expect(peer.seq < 2_000)
        let a = SequenceNumber(.max - 1)
        #expect(a < a + 5)
        #expect((a + 5) - a == 5)
        #expect(a - (a + 5) == -5)
        #expect(SequenceNumber.later(a, a + 5) == a + 5)
    }

    @Test("octets out of order wait in place, with duplicates and overlaps (§3.10.7.4, seventh)")
    func reassembly() throws {
        for seed in 0..<50 {
            var random = SeededRandom(seed: UInt64(seed))
            let peer = ScriptedPeer()
            try peer.establish(isn: UInt32(truncatingIfNeeded: random.next()))
            let base = peer.seq
            let all = peer.data(8_000, from: base)
            var read: [UInt8] = []
            while read.count < all.count {
                let start = min(
                    read.count + peer.host.receivedCount(peer.id) + Int(random.next() % 3_000),
                    all.count - 1)
                let early = max(0, start - Int(random.next() % 1_000))
                let end = min(all.count, start + 1 + Int(random.next() % 1_000))
                peer.deliver(payload: Array(all[early..<end]), at: base &+ UInt32(early))
                if random.chance(0.3) { read += peer.host.read(peer.id, most: 500) }
            }
            #expect(read == all, "seed \(seed)")
            #expect(peer.host.memoryInUse == 0)
        }
    }

    @Test("an output without room is tried again soon")
    func blockedOutput() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.host.output.room = 3
        peer.host.send(peer.id, peer.data(1_460 * 6, from: 0))
        #expect(peer.host.takeSent().count == 3)
        peer.host.output.room = .max
        peer.host.advance(millisecond)
        #expect(peer.host.takeSent().count == 3)
        #expect(peer.host.status(peer.id).retransmissions == 0)
    }
}
