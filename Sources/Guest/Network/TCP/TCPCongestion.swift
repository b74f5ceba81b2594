// How much may be in flight: CUBIC (RFC 9438), HyStart++ (RFC 9406), RFC 6928.

/// The congestion window. Slow start grows it until round trips grow longer (HyStart++), then
/// CUBIC does: fast while far from where loss was last met, slowly near there.
struct TCPCongestion {
    /// cwnd, in octets.
    private(set) var window = 0
    private(set) var slowStartThreshold = TCPCongestion.unlimited
    private static var unlimited: Int { 1 << 30 }

    // CUBIC. Times are ticks of 2^20 ns.
    /// W_max: the window at which loss was last met, or less of it (RFC 9438 §4.7).
    private var peak = 0
    /// When this epoch of congestion avoidance began; 0: it has not.
    private var epoch: UInt32 = 0
    /// K: ticks from the epoch's beginning until the window is at `peak` again.
    private var ticksToPeak: UInt32 = 0
    /// W_est: what Reno would have (RFC 9438 §4.3), and octets acknowledged towards its growth.
    private var reno = 0
    private var counted = 0
    /// What was before the last reduction, should that turn out to be wrong.
    private var before = (window: 0, threshold: 0, peak: 0)

    // HyStart++. Round trips are ticks of `TCPSentTimes`.
    private var leastOfLastRound = UInt32.max
    private var leastOfRound = UInt32.max
    private var baseline = UInt32.max
    private var samples: UInt8 = 0
    /// Rounds of conservative slow start; 0: slow start proper.
    private var conservativeRounds: UInt8 = 0

    /// IW of RFC 6928 §2; after a lost SYN one segment (RFC 5681 §3.1).
    mutating func begin(mss: Int, afterLoss: Bool) {
        window = afterLoss ? mss : Self.initialWindow(mss)
    }

    static func initialWindow(_ mss: Int) -> Int {
        min(10 * mss, max(2 * mss, 14_600))
    }

    /// New data was acknowledged, outside of fast recovery. `limited`: the window was what held
    /// the sender back; else it does not grow (RFC 9438 §5.8, RFC 7661 §4).
    @inline(__always)
    mutating func acknowledged(
        _ octets: Int, mss: Int, limited: Bool, now: Instant, roundTrip: UInt64
    ) {
        guard limited else {
            epoch = 0
            return
        }
        grow(octets, mss, UInt32(truncatingIfNeeded: now.nanoseconds >> 20), roundTrip)
    }

    @inline(never)
    private mutating func grow(_ octets: Int, _ mss: Int, _ now: UInt32, _ roundTrip: UInt64) {
        if window < slowStartThreshold {
            // RFC 9406 §4.2: L is 8 without pacing, and a quarter of the growth while conservative.
            let growth = min(octets, 8 &* mss)
            window &+= conservativeRounds > 0 ? growth / 4 : growth
        } else {
            avoidCongestion(octets, mss, now, roundTrip)
        }
        window = min(window, 1 << 26)
    }

    /// RFC 9438 §4.2 to §4.5.
    private mutating func avoidCongestion(
        _ octets: Int, _ mss: Int, _ now: UInt32, _ roundTrip: UInt64
    ) {
        if epoch == 0 {
            epoch = max(now, 1)
            reno = window
            counted = 0
            peak = max(peak, window)
            let distance = ((peak &- window) << 30) / (Self.scale &* mss)
            ticksToPeak = Self.cubeRoot(distance << 10)
        }
        let elapsed = Int(now &- epoch)
        // W_est grows by a segment for each window acknowledged, or for 17/9 of it while below
        // the last window (alpha is 3 (1 - 0.7) / (1 + 0.7)).
        counted &+= octets
        let step = reno < before.window ? window &* 17 / 9 : window
        if counted >= step {
            counted &-= step
            reno &+= mss
        }
        if cubic(elapsed, mss) < reno {
            window = max(window, reno)
            return
        }
        let target = min(
            cubic(elapsed &+ Int(truncatingIfNeeded: roundTrip >> 20), mss), window &* 3 / 2)
        window &+= max(target &- window, 0) &* octets / max(window, 1)
    }

    /// C, 0.4 segments a cubic second, for cubic ticks: times 2^40.
    private static var scale: Int { 507 }

    /// W_cubic of RFC 9438 §4.2, figure 1, in octets.
    private func cubic(_ ticks: Int, _ mss: Int) -> Int {
        let distance = min(max(ticks &- Int(ticksToPeak), -32_767), 32_767)
        return peak &+ ((distance &* distance &* distance) >> 10 &* Self.scale &* mss) >> 30
    }

    /// The cube root of what is below 2^45, rounded down.
    private static func cubeRoot(_ value: Int) -> UInt32 {
        var root = 0
        var bit = 1 << 14
        while bit > 0 {
            let more = root | bit
            if more &* more &* more <= value { root = more }
            bit >>= 1
        }
        return UInt32(truncatingIfNeeded: root)
    }

    /// A round trip was measured while the window was in use: when they grow longer, slow start
    /// goes on carefully, and after five rounds of that it ends (RFC 9406 §4.2). `startsRound`: all
    /// that was in flight when the last round began has been acknowledged.
    @inline(never)
    mutating func measured(_ ticks: UInt32, startsRound: Bool) {
        guard slowStartThreshold == Self.unlimited else { return }
        if startsRound {
            leastOfLastRound = leastOfRound
            leastOfRound = .max
            samples = 0
            if conservativeRounds > 0 {
                conservativeRounds &+= 1
                if conservativeRounds > 5 { slowStartThreshold = window }
            }
        }
        leastOfRound = min(leastOfRound, ticks)
        samples = min(samples &+ 1, 100)
        // A sample stands for an eighth of a window: four of them for the eight segments of the RFC.
        guard samples >= 4, leastOfLastRound != .max else { return }
        if conservativeRounds == 0 {
            let margin = max(min(leastOfLastRound / 8, 15_625), 3_906)  // 16 ms and 4 ms
            guard leastOfRound >= leastOfLastRound &+ margin else { return }
            baseline = leastOfRound
            conservativeRounds = 1
        } else if leastOfRound < baseline {
            conservativeRounds = 0
        }
    }

    /// RFC 9438 §4.6 and §4.7.
    private mutating func reduce(_ inFlight: Int, _ mss: Int) {
        before = (window, slowStartThreshold, peak)
        peak = window < peak ? window &* 17 / 20 : window
        slowStartThreshold = max(inFlight &* 7 / 10, 2 &* mss)
        epoch = 0
    }

    /// Loss told by duplicates, SACK or time, or a router's mark.
    @inline(never)
    mutating func enterFastRecovery(inFlight: Int, mss: Int) {
        reduce(inFlight, mss)
        window = slowStartThreshold
    }

    /// A retransmission timeout: one segment (RFC 5681 §3.1). `first`: of this flight.
    mutating func timedOut(inFlight: Int, mss: Int, first: Bool) {
        if first { reduce(inFlight, mss) }
        window = mss
    }

    /// The last reduction was a mistake (RFC 4015 §3.3, RFC 9438 §4.9).
    mutating func undo() {
        window = max(window, before.window)
        slowStartThreshold = before.threshold
        peak = before.peak
        epoch = 0
    }

    /// Nothing was sent for longer than an RTO (RFC 5681 §4.1).
    mutating func restartAfterIdle(mss: Int) {
        window = min(window, Self.initialWindow(mss))
        epoch = 0
    }
}
