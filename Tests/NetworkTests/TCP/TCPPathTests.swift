// Segments that the path takes no longer, and takes again: RFC 4821 §7, RFC 8899 §5, RFC 1191 §6.3.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: how long segments may be (RFC 4821, RFC 8899)")
struct TCPPathTests {
    /// A connection over a path that swallows packets with more than `limit` octets of options and
    /// payload, of which it counts those.
    private final class Path {
        let wire: Wire
        let ids: (client: TCPConnectionID, server: TCPConnectionID)
        var limit = Int.max
        var swallowed = 0

        /// - Parameters:
        ///   - rate: octets a second that the path carries; 0: without limit.
        ///   - window: octets that the receiver takes at once.
        init(rate: UInt64 = 0, window: Int = 1 << 20) throws {
            var configuration = TCPConfiguration()
            configuration.maximumReceiveBuffer = window
            wire = Wire(WireFaults(rate: rate), server: configuration)
            ids = try wire.establish()
            wire.drops = { [unowned self] segment, _ in
                guard segment.payload.count + segment.options.count > limit else { return false }
                swallowed += 1
                return true
            }
        }

        var status: TCPStatus { wire.client.status(ids.client) }

        /// Sends so many octets, and runs until they have arrived.
        func send(_ count: Int, within seconds: UInt64 = 100) -> Bool {
            var left = count
            var received = 0
            return wire.run(for: seconds * second) {
                let next = min(left, 10_000)
                if next > 0, wire.client.sendRoom(ids.client) >= next {
                    left -= wire.client.send(
                        ids.client, [UInt8](repeating: 7, count: next))
                }
                received += wire.server.read(ids.server).count
                return received == count
            }
        }

        func rest(_ seconds: UInt64) { wire.run(for: seconds * second) }
    }

    @Test("after ten minutes one long segment tries the path, and no more (RFC 8899 §5.1.1, §5.3)")
    func searchesOncePerInterval() throws {
        let path = try Path()
        let whole = path.status.maximumSegmentSize
        #expect(path.send(200_000))
        path.limit = 1_300
        #expect(path.send(50_000))
        let short = path.status.maximumSegmentSize
        #expect(short == 1_220)
        path.swallowed = 0
        path.rest(500)
        #expect(path.send(200_000))
        #expect(path.swallowed == 0)
        for round in 1...3 {
            path.rest(610)
            let retransmissions = path.status.retransmissions
            #expect(path.send(200_000))
            #expect(path.swallowed == round)
            #expect(path.status.maximumSegmentSize == short)
            // It goes again in two pieces, and nothing else does.
            #expect(path.status.retransmissions == retransmissions + 2)
        }
        path.limit = .max
        path.rest(610)
        #expect(path.send(200_000))
        #expect(path.status.maximumSegmentSize == whole)
        #expect(path.swallowed == 3)
    }

    @Test("a stream that never pauses tries the path too (RFC 8899 §5.3)")
    func steadyStream() throws {
        let path = try Path(rate: 5_000, window: 16_384)
        let whole = path.status.maximumSegmentSize
        path.limit = 1_300
        #expect(path.send(50_000))
        #expect(path.status.maximumSegmentSize == 1_220)
        path.swallowed = 0
        #expect(path.send(2_250_000, within: 500))
        #expect(path.swallowed == 0)
        #expect(path.send(2_250_000, within: 500))
        #expect(path.swallowed == 1 && path.status.maximumSegmentSize == 1_220)
        path.limit = .max
        #expect(path.send(2_250_000, within: 500))
        #expect(path.status.maximumSegmentSize == whole)
    }

    @Test("from the shortest segments it goes up in two steps (RFC 8899 §5.3.2)")
    func twoSteps() throws {
        let path = try Path()
        let whole = path.status.maximumSegmentSize
        path.limit = 600
        #expect(path.send(20_000))
        #expect(path.status.maximumSegmentSize == 536)
        // A router on the way is put right, and another one is not.
        path.limit = 1_300
        path.rest(610)
        #expect(path.send(200_000))
        #expect(path.status.maximumSegmentSize == 1_220)
        path.limit = .max
        path.rest(610)
        #expect(path.send(200_000))
        #expect(path.status.maximumSegmentSize == whole)
    }

    @Test("what a router has told is not for ever (RFC 1191 §6.3)")
    func toldLengths() throws {
        let path = try Path()
        let whole = path.status.maximumSegmentSize
        let client = path.wire.client
        #expect(path.send(100_000))
        client.send(path.ids.client, [UInt8](repeating: 7, count: 2_000))
        path.limit = 1_360
        client.output.maximum = 1_380
        client.tcp.shortenSegments(0, now: client.now, output: &client.output)
        #expect(path.status.maximumSegmentSize == 1_348)
        path.rest(300)
        #expect(path.wire.server.read(path.ids.server).count == 2_000)
        path.swallowed = 0
        #expect(path.send(100_000))
        path.rest(301)
        // The router says it again.
        #expect(path.send(100_000))
        #expect(path.status.maximumSegmentSize == 1_348 && path.swallowed == 1)
        client.output.maximum = 1_480
        path.limit = .max
        path.rest(610)
        #expect(path.send(100_000))
        #expect(path.status.maximumSegmentSize == whole)
    }
}
