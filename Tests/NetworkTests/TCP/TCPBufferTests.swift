// Buffers that grow with what a connection needs, and what it tells of itself.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: buffers and statistics")
struct TCPBufferTests {
    /// What the client's connection holds at most while it sends through a path.
    private func mostHeld(_ faults: WireFaults, seconds: UInt64) throws -> (Int, UInt64) {
        let wire = Wire(faults)
        let ids = try wire.establish()
        let piece = [UInt8](repeating: 7, count: 65_536)
        var most = 0
        wire.run(for: seconds * second) {
            wire.client.send(ids.client, piece)
            _ = wire.server.read(ids.server)
            most = max(most, wire.client.status(ids.client).unacknowledged)
            return false
        }
        return (most, wire.client.tcp.connectionStatistics(ids.client).octetsSent)
    }

    @Test("the send buffer follows the congestion window within its bounds")
    func sendBuffer() throws {
        // 100 ms and 20 MB/s: two megabytes are on their way.
        let fast = try mostHeld(
            WireFaults(delay: 50 * millisecond, rate: 20_000_000), seconds: 5)
        #expect(fast.0 == 1 << 20)
        // 10 ms and 200 KB/s, where a queue of 20 ms marks: a few segments.
        let slow = try mostHeld(
            WireFaults(delay: 5 * millisecond, rate: 200_000, markingQueue: 20 * millisecond),
            seconds: 5)
        #expect(slow.0 == 64 << 10)
        // The round trip is what limits the first, the rate the second.
        #expect(fast.1 > 30_000_000)
        #expect(slow.1 > 800_000)
    }

    @Test("the receive window grows with the path, and not for a peer that trickles")
    func receiveWindow() throws {
        for (gap, grows) in [(UInt64(0), true), (second, false)] {
            let wire = Wire(WireFaults(delay: 10 * millisecond))
            let ids = try wire.establish()
            // Octets that way first, so that the server knows the round trip.
            wire.server.send(ids.server, [1])
            wire.run(for: second)
            let piece = [UInt8](repeating: 7, count: 16_384)
            var received = 0
            var nextAt = wire.now
            wire.run(for: 1_000 * second) {
                if wire.now >= nextAt {
                    wire.client.send(ids.client, piece)
                    nextAt = wire.now + gap
                }
                received += wire.server.read(ids.server).count
                // Something happens each millisecond, for the time to go on.
                if wire.now < nextAt { wire.run(for: millisecond) }
                return received > 1_000_000
            }
            let window = wire.server.tcp.connectionStatistics(ids.server).receiveWindow
            #expect((window > 65_535) == grows, "\(window)")
        }
    }

    @Test("statistics count octets both ways, and say what was agreed on")
    func statistics() throws {
        let wire = Wire(WireFaults(delay: 10 * millisecond))
        let ids = try wire.establish()
        wire.client.send(ids.client, [UInt8](repeating: 1, count: 5_000))
        wire.run(for: second)
        #expect(wire.server.read(ids.server, most: 2_000).count == 2_000)
        wire.server.send(ids.server, [1, 2, 3])
        wire.client.finish(ids.client)
        wire.run(for: second)
        var figures = wire.client.tcp.connectionStatistics(ids.client)
        #expect(figures.octetsSent == 5_000)
        #expect(figures.octetsReceived == 3)
        #expect(figures.octetsQueued == 0)
        #expect(figures.retransmissions == 0)
        #expect(figures.maximumSegmentSize == 1_448)
        #expect(figures.usesTimestamps && figures.usesSelectiveAcknowledgements)
        #expect(figures.usesCongestionNotification)
        #expect((19...21).contains(figures.leastRoundTripNanoseconds / millisecond))
        #expect(figures.retransmissionTimeoutNanoseconds == 200 * millisecond)
        figures = wire.server.tcp.connectionStatistics(ids.server)
        #expect(figures.octetsSent == 3)
        #expect(figures.octetsReceived == 5_000)
        wire.server.tcp.release(ids.server)
        #expect(wire.server.tcp.connectionStatistics(ids.server) == TCPConnectionStatistics())
    }

    @Test("half-closed both ways: each side's octets arrive after the other's FIN (§3.6)")
    func halfClose() throws {
        for clientFirst in [true, false] {
            let wire = Wire(WireFaults(loss: 0.1, delay: millisecond), seed: 5)
            let ids = try wire.establish()
            let (first, second_) =
                clientFirst
                ? ((wire.client, ids.client), (wire.server, ids.server))
                : ((wire.server, ids.server), (wire.client, ids.client))
            first.0.send(first.1, [1])
            first.0.finish(first.1)
            wire.run(for: 10 * second)
            #expect(second_.0.read(second_.1) == [1])
            #expect(second_.0.state(second_.1) == .closeWait)
            #expect(first.0.state(first.1) == .finWait2)
            var received: [UInt8] = []
            let all = [UInt8](repeating: 9, count: 50_000)
            #expect(second_.0.send(second_.1, all) == all.count)
            second_.0.finish(second_.1)
            wire.run(for: 60 * second) {
                received += first.0.read(first.1)
                return received.count == all.count && second_.0.state(second_.1) == .closed
            }
            #expect(received == all)
            #expect(first.0.state(first.1) == .timeWait)
        }
    }

    @Test("a control block is small: ten thousand idle connections are ten megabytes at most")
    func size() {
        #expect(MemoryLayout<TCPControlBlock>.stride <= 1_000)
        #expect(MemoryLayout<TCPCompactEntry>.stride <= 128)
    }
}
