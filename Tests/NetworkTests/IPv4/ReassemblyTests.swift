// RFC 791 §3.2, RFC 5722 and RFC 1858: fragments, friendly and hostile.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct ReassemblyTests {
    private let from = IPv4Address(10, 0, 0, 1)
    private let to = IPv4Address(10, 0, 0, 2)
    private let now = Instant(nanoseconds: 1_000_000_000)

    /// Offset in octets, length, more fragments.
    private typealias Piece = (Int, Int, Bool)

    private func feed(
        _ reassembly: inout Reassembly, _ pieces: [Piece], of payload: [UInt8],
        identification: Int = 1, at instant: Instant? = nil
    ) -> [Reassembly.Outcome] {
        var outcomes: [Reassembly.Outcome] = []
        for (offset, length, more) in pieces {
            let packet = Frames.ipv4(
                from: from, to: to, protocolNumber: 17,
                Array(payload[offset..<min(payload.count, offset + length)]),
                identification: identification, fragment: (more ? 0x2000 : 0) | offset / 8)
            guard let header = IPv4Header(packet.span.bytes) else {
                outcomes.append(.dropped)
                continue
            }
            outcomes.append(
                reassembly.receive(
                    Fragment(header), payload: packet.span.bytes.extracting(20..<packet.count),
                    now: instant ?? now))
        }
        return outcomes
    }

    @Test func everyOrderOfThreeFragmentsGivesTheDatagram() {
        var random = SeededRandom(seed: 3)
        let payload = random.bytes(100)
        let pieces: [Piece] = [(0, 40, true), (40, 40, true), (80, 20, false)]
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
        for order in orders {
            var reassembly = Reassembly()
            let outcomes = feed(&reassembly, order.map { pieces[$0] }, of: payload)
            #expect(outcomes == [.stored, .stored, .completed])
            let whole = reassembly.takeCompleted()
            #expect(Array(whole[20...]) == payload)
            #expect(seen(IPv4Header(whole.span.bytes)?.isFragment == false))
            #expect(seen(reassembly.memory == 0 && reassembly.count == 0))
        }
    }

    @Test func duplicatesChangeNothing() {
        var random = SeededRandom(seed: 4)
        let payload = random.bytes(64)
        var reassembly = Reassembly()
        let outcomes = feed(
            &reassembly, [(0, 32, true), (0, 32, true), (32, 32, false)], of: payload)
        #expect(outcomes == [.stored, .dropped, .completed])
        #expect(seen(Array(reassembly.takeCompleted()[20...]) == payload))
    }

    @Test func rfc5722OverlapsKillTheDatagram() {
        var random = SeededRandom(seed: 5)
        let payload = random.bytes(128)
        let attacks: [[Piece]] = [
            [(0, 32, true), (24, 32, true)], [(24, 32, true), (0, 32, true)],
            [(0, 64, true), (16, 8, true)], [(16, 8, true), (0, 64, true)],
            // A teardrop: the last one inside the first.
            [(0, 64, true), (32, 8, false)],
            // Two ends, and data behind the end.
            [(64, 16, false), (64, 32, false)], [(32, 16, false), (64, 16, true)],
            [(64, 16, true), (32, 16, false)],
        ]
        for attack in attacks {
            var reassembly = Reassembly()
            let first = feed(&reassembly, attack, of: payload)
            #expect(first == [.stored, .dropped])
            #expect(seen(reassembly.memory == 0))
            // Nothing that comes later revives it.
            let later = feed(&reassembly, [(0, 64, true), (64, 64, false)], of: payload)
            #expect(later == [.dropped, .dropped])
            // After its time, the identification is free again.
            while reassembly.expire(now: Instant(nanoseconds: 100_000_000_000)) {}
            let again = feed(&reassembly, [(0, 64, true), (64, 64, false)], of: payload)
            #expect(again == [.stored, .completed])
        }
    }

    @Test func malformedFragmentsAreRefused() {
        var reassembly = Reassembly()
        let payload = [UInt8](repeating: 1, count: 65_535)
        // Not a multiple of eight; beyond 65 535 (the ping of death).
        #expect(seen(feed(&reassembly, [(0, 33, true)], of: payload) == [.dropped]))
        #expect(seen(feed(&reassembly, [(65_528, 7, false)], of: payload) == [.dropped]))
        #expect(seen(reassembly.memory == 0))
    }

    @Test func rfc1122Section3_3_2IncompleteDatagramsExpire() {
        var reassembly = Reassembly()
        let payload = [UInt8](repeating: 1, count: 64)
        _ = feed(&reassembly, [(0, 32, true)], of: payload)
        #expect(seen(reassembly.nextDeadline.nanoseconds == 31_000_000_000))
        #expect(seen(reassembly.expire(now: reassembly.nextDeadline)))
        #expect(seen(!reassembly.expire(now: .never)))
        #expect(seen(reassembly.count == 0 && reassembly.memory == 0))
        #expect(seen(reassembly.nextDeadline == .never))
        #expect(seen(reassembly.expired == 1))
    }

    @Test func numberMemoryAndPiecesAreBounded() {
        var reassembly = Reassembly()
        let payload = [UInt8](repeating: 1, count: 65_000)
        for identification in 0..<5000 {
            _ = feed(
                &reassembly, [(64_000, 800, true)], of: payload, identification: identification)
            #expect(seen(reassembly.memory <= 256 << 10))
            #expect(seen(reassembly.count <= 16))
        }
        var tiny = Reassembly()
        var pieces: [Piece] = []
        for index in 0..<200 { pieces.append((index * 16, 8, true)) }
        let outcomes = feed(&tiny, pieces, of: payload)
        #expect(outcomes.filter { $0 == .stored }.count == 64)
        #expect(seen(tiny.memory == 0))
    }

    @Test func theLargestDatagramIsReassembled() {
        var random = SeededRandom(seed: 6)
        let payload = random.bytes(65_515)
        var pieces: [Piece] = []
        for offset in stride(from: 0, to: 65_515, by: 1480) {
            pieces.append((offset, 1480, offset + 1480 < 65_515))
        }
        pieces.shuffle(using: &random)
        var reassembly = Reassembly()
        #expect(seen(feed(&reassembly, pieces, of: payload).last == .completed))
        #expect(seen(Array(reassembly.takeCompleted()[20...]) == payload))
    }

    @Test func aFragmentedDatagramReachesItsSocket() throws {
        var peer = LonelyStack()
        var random = SeededRandom(seed: 7)
        let payload = random.bytes(3000)
        let socket = try peer.stack.bindUDP(port: 99)
        let datagram = Frames.udp(
            from: (LonelyStack.peer, 5), to: (LonelyStack.address, 99), payload)
        for offset in [1480, 0, 2960] {
            let end = min(datagram.count, offset + 1480)
            peer.receivePacket(
                Frames.ipv4(
                    from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 17,
                    Array(datagram[offset..<end]),
                    fragment: (end < datagram.count ? 0x2000 : 0) | offset / 8))
        }
        #expect(seen(peer.stack.receiveUDP(socket) { bytes, _ in copy(bytes) } == payload))
        #expect(seen(peer.stack.statistics.datagramsReassembled == 1))
    }
}
