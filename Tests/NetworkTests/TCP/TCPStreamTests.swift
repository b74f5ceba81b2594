// Streams over a wire with faults: whatever it does, the octets arrive, in order, once.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

/// Sends `size` octets of a pattern each way, and checks each octet that arrives.
private final class Exchange {
    let wire: Wire
    let ids: (client: TCPConnectionID, server: TCPConnectionID)
    let size: Int
    let block: [UInt8]
    var sent = [0, 0]
    var received = [0, 0]
    var wrong = 0

    init(_ wire: Wire, size: Int) throws {
        self.wire = wire
        self.size = size
        // 65 521 is prime: no window or segment is a multiple of the pattern.
        block = (0..<65_521).map { UInt8(truncatingIfNeeded: $0 &* 167 >> 3) }
        ids = try wire.establish()
    }

    func pump(_ host: Host, _ id: TCPConnectionID, _ side: Int, _ limit: Int) {
        while sent[side] < limit {
            let start = sent[side] % block.count
            let count = min(block.count - start, limit - sent[side])
            let piece = Array(block[start..<(start + count)])
            let taken = host.tcp.send(id, piece.span.bytes)
            sent[side] += taken
            if taken < count { break }
        }
        host.tcp.flush(id, now: host.now, output: &host.output)
        if sent[side] == limit { host.finish(id) }
        while true {
            let position = received[side]
            let start = position % block.count
            let same = host.tcp.withReceived(id) { span -> (Int, Bool) in
                let count = min(span.byteCount, block.count - start)
                return (
                    count,
                    span.withUnsafeBytes { bytes in
                        block.withUnsafeBytes { expected in
                            bytes.prefix(count).elementsEqual(expected[start..<(start + count)])
                        }
                    }
                )
            }
            if same.0 == 0 { break }
            if !same.1 { wrong += 1 }
            received[side] += same.0
            host.tcp.consume(id, same.0, now: host.now, output: &host.output)
        }
    }

    /// Runs to the end; nil if it does not end in time, else the time it took.
    func run(bothWays: Bool, within limit: UInt64) -> UInt64? {
        let start = wire.now
        let back = bothWays ? size : 0
        let done = wire.run(for: limit) { [self] in
            pump(wire.client, ids.client, 0, size)
            pump(wire.server, ids.server, 1, back)
            return received[1] == size && received[0] == back
                && wire.client.tcp.status(ids.client).peerFinished
                && wire.server.tcp.status(ids.server).peerFinished
        }
        return done ? wire.now - start : nil
    }
}

@Suite("TCP: streams over a faulty wire")
struct TCPStreamTests {
    @Test("small streams both ways, many seeds", arguments: 0..<4)
    func manySeeds(part: Int) throws {
        for seed in 0..<50 {
            var random = SeededRandom(seed: UInt64(part * 50 + seed))
            let faults = WireFaults(
                loss: Double(random.next() % 12) / 100,
                duplication: Double(random.next() % 5) / 100,
                reordering: Double(random.next() % 20) / 100,
                delay: 50_000 + random.next() % 20_000_000, jitter: 1 + random.next() % 10_000_000)
            let wire = Wire(faults, seed: random.next())
            let exchange = try Exchange(wire, size: 20_000 + Int(random.next() % 40_000))
            let time = exchange.run(bothWays: true, within: 3_600 * second)
            #expect(time != nil, "seed \(part * 50 + seed) \(faults)")
            #expect(exchange.wrong == 0)
            expectCleanEnd(wire, exchange.ids)
        }
    }

    @Test("5 MB through 2 % loss", arguments: [1, 2])
    func twoPercent(seed: UInt64) throws {
        let wire = Wire(WireFaults(loss: 0.02, delay: 1_000_000), seed: seed)
        let exchange = try Exchange(wire, size: 5 << 20)
        let time = try #require(exchange.run(bothWays: false, within: 600 * second))
        #expect(exchange.wrong == 0)
        #expect(time < 3 * second)  // of simulated time: retransmission timeouts are rare
        expectCleanEnd(wire, exchange.ids)
    }

    @Test("5 MB through 10 % loss with reordering and duplicates")
    func tenPercent() throws {
        let wire = Wire(
            WireFaults(loss: 0.1, duplication: 0.02, reordering: 0.05, delay: 1_000_000), seed: 3)
        let exchange = try Exchange(wire, size: 5 << 20)
        let time = try #require(exchange.run(bothWays: false, within: 6_000 * second))
        #expect(exchange.wrong == 0)
        #expect(time < 60 * second)
        expectCleanEnd(wire, exchange.ids)
    }

    /// Both sides let go; everything comes back to where it was.
    private func expectCleanEnd(
        _ wire: Wire, _ ids: (client: TCPConnectionID, server: TCPConnectionID)
    ) {
        wire.client.tcp.release(ids.client)
        wire.server.tcp.release(ids.server)
        wire.faults = WireFaults()
        wire.run(for: 2_000 * second)
        for host in [wire.client, wire.server] {
            #expect(host.connectionCount == 0)
            #expect(host.timeWaitCount == 0)
            #expect(host.memoryInUse == 0)
            #expect(host.nextDeadline == .never)
        }
    }
}
