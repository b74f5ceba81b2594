// RST and blind attacks: RFC 9293 §3.10.7.4, RFC 5961; malformed headers and options.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite("TCP: resets, blind attacks, garbage (RFC 5961)")
struct TCPResetTests {
    @Test("only the exact sequence number resets; in the window: challenge ACK (RFC 5961 §3.2)")
    func reset() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        let host = peer.host
        peer.deliver(.rst, at: peer.seq &+ 70_000)
        peer.deliver(.rst, at: peer.seq &- 1)
        #expect(host.takeSent().isEmpty)
        peer.deliver(.rst, at: peer.seq &+ 10)
        let challenge = host.takeSent()
        #expect(challenge.map(\.flags) == [.ack])
        #expect(challenge.first?.ack == peer.seq)
        #expect(host.state(peer.id) == .established)
        peer.deliver(.rst)
        #expect(host.status(peer.id).failure == .reset)
        #expect(host.events == [.closed(peer.id)])
        #expect(host.takeSent().isEmpty)
    }

    @Test("a SYN in a synchronized state: challenge ACK (RFC 5961 §4.2), limited in rate (§7)")
    func synChallenge() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        for _ in 0..<100 { peer.deliver(.syn, at: peer.seq &+ 5) }
        #expect(peer.host.takeSent().count == 1)
        #expect(peer.host.statistics.challengesSent == 1)
        peer.host.advance(100 * millisecond)
        peer.deliver(.syn, at: peer.seq &+ 5)
        #expect(peer.host.takeSent().count == 1)
        #expect(peer.host.state(peer.id) == .established)
    }

    @Test("acknowledgements of what was never sent, or long ago: challenge ACK (RFC 5961 §5.2)")
    func blindData() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.deliver(payload: [1], at: peer.seq, ack: peer.ack &+ 1)
        #expect(peer.host.takeSent().count == 1)
        peer.host.advance(second)
        peer.deliver(payload: [1], at: peer.seq, ack: peer.ack &- 100_000)
        #expect(peer.host.takeSent().count == 1)
        #expect(peer.host.receivedCount(peer.id) == 0)
    }

    @Test("octets outside of the window are refused with an ACK (§3.10.7.4, first)")
    func outside() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.deliver(payload: [1], at: peer.seq &+ 65_535)
        peer.deliver(payload: [1], at: peer.seq &- 1)
        #expect(peer.host.takeSent().map(\.ack) == [peer.seq, peer.seq])
        #expect(peer.host.receivedCount(peer.id) == 0)
    }

    @Test("urgent data is data (RFC 6093)")
    func urgent() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.deliver([.ack, .urg], payload: [1, 2, 3])
        #expect(peer.host.read(peer.id) == [1, 2, 3])
    }

    @Test("abort sends RST; its peer sees a reset")
    func abort() throws {
        let wire = Wire()
        let ids = try wire.establish()
        wire.client.send(ids.client, [1, 2, 3])
        wire.client.abort(ids.client)
        wire.run(for: second)
        #expect(wire.client.status(ids.client).failure == .aborted)
        #expect(wire.server.status(ids.server).failure == .reset)
        #expect(wire.server.receivedCount(ids.server) == 0)
    }

    @Test("malformed headers are dropped (§3.1)")
    func malformed() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        var good = Segment(.ack, seq: peer.seq, ack: peer.ack, payload: [1, 2, 3])
        good.from = peer.port
        good.to = peer.hostPort
        let bytes = good.bytes
        for length in 0..<20 { peer.host.receive(Array(bytes[..<length]), from: clientAddress) }
        for offset in 0..<5 {
            var bad = bytes
            bad[12] = UInt8(offset << 4)
            peer.host.receive(bad, from: clientAddress)
        }
        var long = bytes
        long[12] = 0xF0
        peer.host.receive(long, from: clientAddress)
        var zeroPort = bytes
        zeroPort[0] = 0
        zeroPort[1] = 0
        peer.host.receive(zeroPort, from: clientAddress)
        #expect(peer.host.statistics.malformed == 27)
        #expect(peer.host.receivedCount(peer.id) == 0)
        #expect(peer.host.takeSent().isEmpty)
    }

    @Test("malformed options are passed over (§3.1, RFC 7323 §2.3)")
    func malformedOptions() {
        func parse(_ options: [UInt8]) -> TCPSynOptions {
            let bytes = Segment(.syn, seq: 1, options: options).bytes
            return TCPSynOptions(bytes.span.bytes, headerLength: bytes.count)
        }
        #expect(parse([2, 4, 5, 0xB4]).maximumSegmentSize == 1_460)
        #expect(parse([2, 3, 5, 0]).maximumSegmentSize == 0)
        #expect(parse([2, 0, 5, 0xB4]).maximumSegmentSize == 0)
        #expect(parse([2, 1, 5, 0xB4]).maximumSegmentSize == 0)
        #expect(parse([1, 1, 1, 2]).maximumSegmentSize == 0)
        #expect(parse([1, 1, 2, 4]).maximumSegmentSize == 0)
        #expect(parse([0, 2, 4, 5]).maximumSegmentSize == 0)
        #expect(parse([99, 4, 0, 0, 2, 4, 1, 0]).maximumSegmentSize == 256)
        #expect(parse([3, 3, 200]).windowShift == 14)
    }

    @Test("an MSS of nothing does not make us send dust")
    func tinyMss() throws {
        let peer = ScriptedPeer()
        try peer.establish(options: [2, 4, 0, 1])
        #expect(peer.host.status(peer.id).maximumSegmentSize == 64)
    }

    @Test("a hundred thousand random segments: nothing breaks, memory returns")
    func fuzz() throws {
        var random = SeededRandom(seed: 99)
        for round in 0..<20 {
            let peer = ScriptedPeer()
            try peer.establish(options: [2, 4, 5, 0xB4, 1, 3, 3, 2, 4, 2])
            let host = peer.host
            for _ in 0..<500 {
                var segment = Segment(
                    TCPFlags(rawValue: UInt8(truncatingIfNeeded: random.next()) & 0x3B | 0x10),
                    seq: peer.seq &+ UInt32(random.next() % 70_000) &- 2_000,
                    ack: peer.ack &+ UInt32(random.next() % 4_000) &- 1_000,
                    window: UInt16(truncatingIfNeeded: random.next() >> random.next() % 16))
                if random.chance(0.5) { segment.seq = peer.seq }
                if random.chance(0.1) { segment.flags.insert(.rst) }
                segment.options = (0..<Int(random.next() % 11 * 4)).map { _ in
                    UInt8(truncatingIfNeeded: random.next() % 11)
                }
                segment.payload = [UInt8](repeating: 7, count: Int(random.next() % 1_400))
                peer.deliver(segment)
                if random.chance(0.2) { host.send(peer.id, segment.payload) }
                if random.chance(0.2) { _ = host.read(peer.id) }
                if random.chance(0.02) { host.finish(peer.id) }
                if random.chance(0.2) { host.advance(random.next() % second) }
                host.output.sent = []
                if host.status(peer.id).state == .closed { break }
            }
            host.tcp.release(peer.id)
            host.advance(4_000 * second)
            #expect(host.connectionCount == 0, "round \(round)")
            #expect(host.memoryInUse == 0)
        }
    }
}
