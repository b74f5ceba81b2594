// The congestion window by itself: CUBIC (RFC 9438) and HyStart++ (RFC 9406).

import Testing

@testable import SwiftletNetwork

@Suite("TCP: CUBIC (RFC 9438) and HyStart++ (RFC 9406)")
struct TCPCongestionTests {
    private static let mss = 1_460

    /// A window of `segments` in congestion avoidance, after a loss at that window.
    private func afterLoss(_ segments: Int) -> TCPCongestion {
        var congestion = TCPCongestion()
        congestion.begin(mss: Self.mss, afterLoss: false)
        while congestion.window < segments * Self.mss {
            let growth = min(segments * Self.mss - congestion.window, Self.mss)
            congestion.acknowledged(
                growth, mss: Self.mss, limited: true, now: Instant(nanoseconds: 0), roundTrip: 0)
        }
        congestion.enterFastRecovery(inFlight: congestion.window, mss: Self.mss)
        return congestion
    }

    /// The window, in segments, after so many seconds with a full window each round trip.
    private func run(
        _ congestion: inout TCPCongestion, seconds: Double, roundTrip: UInt64, from start: UInt64
    ) -> Double {
        var now = start
        let end = start + UInt64(seconds * 1e9)
        while now < end {
            now += roundTrip
            var left = congestion.window
            while left > 0 {
                congestion.acknowledged(
                    min(left, Self.mss), mss: Self.mss, limited: true,
                    now: Instant(nanoseconds: now), roundTrip: roundTrip)
                left -= Self.mss
            }
        }
        return Double(congestion.window) / Double(Self.mss)
    }

    @Test("loss takes the window to seven tenths (RFC 9438 §4.6)")
    func decrease() {
        let congestion = afterLoss(1_000)
        #expect(congestion.window == 700 * Self.mss)
    }

    @Test("the window follows the cubic function: back at its peak after K (RFC 9438 §4.2)")
    func cubic() {
        var congestion = afterLoss(1_000)
        // K is the cube root of 300 / 0.4: 9.09 seconds.
        let before = run(&congestion, seconds: 4.5, roundTrip: 100 * millisecond, from: second)
        // 1 000 - 0.4 (9.09 - 4.5)^3
        #expect(abs(before - 961) < 12, "\(before)")
        let atPeak = run(
            &congestion, seconds: 4.6, roundTrip: 100 * millisecond, from: second + 4_500_000_000)
        #expect(abs(atPeak - 1_000) < 5, "\(atPeak)")
        let beyond = run(
            &congestion, seconds: 6, roundTrip: 100 * millisecond, from: second + 9_100_000_000)
        #expect(abs(beyond - (1_000 + 0.4 * 216)) < 15, "\(beyond)")
    }

    @Test("on a short path it grows as Reno would (RFC 9438 §4.3)")
    func renoFriendly() {
        var congestion = afterLoss(20)
        let segments = run(&congestion, seconds: 0.5, roundTrip: 10 * millisecond, from: second)
        // 50 round trips: nine seventeenths of a segment each up to 20, a whole one from there.
        #expect(segments > 45 && segments < 65, "\(segments)")
    }

    @Test("a second loss below the last peak leaves room to others (RFC 9438 §4.7)")
    func fastConvergence() {
        var congestion = afterLoss(1_000)
        congestion.enterFastRecovery(inFlight: congestion.window, mss: Self.mss)
        #expect(congestion.window == 490 * Self.mss)
        // The new peak is 700 * 0.85; K the cube root of (595 - 490) / 0.4, 6.4 seconds.
        let segments = run(&congestion, seconds: 6.4, roundTrip: 100 * millisecond, from: second)
        #expect(abs(segments - 595) < 5, "\(segments)")
    }

    @Test("time without need for the window is no time (RFC 9438 §5.8)")
    func limitedByApplication() {
        var congestion = afterLoss(100)
        let start = congestion.window
        for step in 0..<1_000 {
            congestion.acknowledged(
                Self.mss, mss: Self.mss, limited: false,
                now: Instant(nanoseconds: second * UInt64(step)), roundTrip: millisecond)
        }
        #expect(congestion.window == start)
        congestion.acknowledged(
            Self.mss, mss: Self.mss, limited: true,
            now: Instant(nanoseconds: second * 1_001), roundTrip: millisecond)
        #expect(congestion.window - start < Self.mss)
    }

    @Test("a mistaken reduction is taken back (RFC 9438 §4.9)")
    func undo() {
        var congestion = afterLoss(100)
        congestion.undo()
        #expect(congestion.window == 100 * Self.mss)
        #expect(congestion.slowStartThreshold > 1 << 26)
    }

    @Test("a timeout leaves one segment, and cubic growth begins anew (RFC 9438 §4.8)")
    func timeout() {
        var congestion = TCPCongestion()
        congestion.begin(mss: Self.mss, afterLoss: false)
        let before = congestion.window
        congestion.timedOut(inFlight: before, mss: Self.mss, first: true)
        #expect(congestion.window == Self.mss)
        #expect(congestion.slowStartThreshold == before * 7 / 10)
        // The second timeout of one flight takes no more from what is to be reached again.
        congestion.timedOut(inFlight: Self.mss, mss: Self.mss, first: false)
        #expect(congestion.slowStartThreshold == before * 7 / 10)
        // Slow start up to there.
        for _ in 0..<4 {
            congestion.acknowledged(
                Self.mss, mss: Self.mss, limited: true, now: Instant(nanoseconds: second),
                roundTrip: millisecond)
        }
        #expect(congestion.window == 5 * Self.mss)
    }

    @Test("one acknowledgement grows the window by eight segments at most (RFC 9406 §4.2, L)")
    func hystartLimit() {
        var congestion = TCPCongestion()
        congestion.begin(mss: Self.mss, afterLoss: false)
        let before = congestion.window
        congestion.acknowledged(
            100 * Self.mss, mss: Self.mss, limited: true, now: Instant(nanoseconds: 0),
            roundTrip: 0)
        #expect(congestion.window == before + 8 * Self.mss)
    }

    @Test("whatever happens, the window keeps within its bounds")
    func bounds() {
        for mss in [64, 536, 1_460, 65_475] {
            var congestion = TCPCongestion()
            congestion.begin(mss: mss, afterLoss: false)
            for step in 0..<20_000 {
                let now = Instant(nanoseconds: UInt64(step) &* 0x9E37_79B9_7F4A_7C15)
                switch step % 97 {
                case 13: congestion.enterFastRecovery(inFlight: step % 5_000, mss: mss)
                case 41: congestion.timedOut(inFlight: step, mss: mss, first: true)
                case 77: congestion.undo()
                default:
                    congestion.acknowledged(
                        1 << 20, mss: mss, limited: true, now: now, roundTrip: now.nanoseconds)
                }
                #expect(congestion.window >= mss && congestion.window <= 1 << 26)
            }
        }
    }

    /// Rounds of slow start, eight samples each; returns the window after them.
    private func slowStart(_ congestion: inout TCPCongestion, roundTrips: [UInt32]) {
        for ticks in roundTrips {
            for sample in 0..<8 {
                congestion.acknowledged(
                    2 * Self.mss, mss: Self.mss, limited: true, now: Instant(nanoseconds: second),
                    roundTrip: UInt64(ticks) << 10)
                congestion.measured(ticks, startsRound: sample == 0)
            }
        }
    }

    @Test("slow start ends after five careful rounds when round trips grow (RFC 9406 §4.2)")
    func hystart() {
        var congestion = TCPCongestion()
        congestion.begin(mss: Self.mss, afterLoss: false)
        slowStart(&congestion, roundTrips: [50_000, 50_000, 50_000])
        let open = congestion.slowStartThreshold
        var before = congestion.window
        slowStart(&congestion, roundTrips: [60_000])
        #expect(congestion.slowStartThreshold == open)
        before = congestion.window
        slowStart(&congestion, roundTrips: [60_000])
        // A quarter of the growth.
        #expect(congestion.window - before == 8 * 2 * Self.mss / 4)
        slowStart(&congestion, roundTrips: [60_000, 60_000, 60_000, 60_000])
        #expect(congestion.slowStartThreshold < open)
    }

    @Test("a delay that goes away was no queue: slow start goes on (RFC 9406 §4.2)")
    func hystartResumes() {
        var congestion = TCPCongestion()
        congestion.begin(mss: Self.mss, afterLoss: false)
        slowStart(&congestion, roundTrips: [50_000, 50_000, 60_000, 50_000])
        let before = congestion.window
        slowStart(&congestion, roundTrips: [50_000, 50_000, 50_000, 50_000, 50_000, 50_000])
        #expect(congestion.window - before == 6 * 8 * 2 * Self.mss)
        #expect(congestion.slowStartThreshold > 1 << 26)
    }

    @Test("a few milliseconds are no sign (RFC 9406 §4.2: at least 4 ms)")
    func hystartNoise() {
        var congestion = TCPCongestion()
        congestion.begin(mss: Self.mss, afterLoss: false)
        slowStart(&congestion, roundTrips: [500, 500, 4_000, 500, 4_000, 500, 4_000])
        #expect(congestion.slowStartThreshold > 1 << 26)
    }

    @Test("send times: few marks, and none of them too early")
    func sentTimes() {
        var times = TCPSentTimes()
        let first = SequenceNumber(0xFFFF_F000)
        var sent: [(end: SequenceNumber, time: UInt32)] = []
        for step in 0..<300 {
            let end = first + (step + 1) * 1_000
            sent.append((end, UInt32(step)))
            times.add(end, UInt32(step), step: 1_000 * (step / 10), first: first)
            #expect(times.count <= 8)
        }
        for (end, time) in sent {
            #expect(times.time(of: end + -1).map { $0 >= time } == true)
        }
        #expect(times.time(of: first + 300_000) == nil)
        #expect(times.remove(through: first) == nil)
        #expect(times.remove(through: first + 300_000) == 299)
        #expect(times.count == 0)
    }
}
