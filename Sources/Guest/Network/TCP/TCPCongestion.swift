// How much may be in flight, and how long an answer may take: RFC 5681, RFC 6928, RFC 6298.

/// The congestion window: slow start and congestion avoidance of RFC 5681 with byte counting
/// (RFC 3465). CUBIC would stand beside it, with the same four calls.
struct TCPCongestion {
    /// cwnd, in octets.
    private(set) var window = 0
    private(set) var slowStartThreshold = 1 << 30
    /// Octets acknowledged towards the next growth in congestion avoidance.
    private var counted = 0

    /// IW of RFC 6928 §2; after a lost SYN one segment (RFC 5681 §3.1).
    mutating func begin(mss: Int, afterLoss: Bool) {
        window = afterLoss ? mss : Self.initialWindow(mss)
    }

    static func initialWindow(_ mss: Int) -> Int {
        min(10 * mss, max(2 * mss, 14_600))
    }

    /// New data was acknowledged, outside of fast recovery. `limited`: the window was what held
    /// the sender back; else it does not grow (RFC 7661 §4).
    @inline(__always)
    mutating func acknowledged(_ octets: Int, mss: Int, limited: Bool) {
        guard limited else { return }
        if window < slowStartThreshold {
            window &+= min(octets, 2 &* mss)
        } else {
            counted &+= octets
            if counted >= window {
                counted &-= window
                window &+= mss
            }
        }
        window = min(window, 1 << 26)
    }

    /// Loss told by duplicates or SACK: halves (RFC 5681 §3.2, equation 4).
    mutating func enterFastRecovery(inFlight: Int, mss: Int) {
        slowStartThreshold = max(inFlight / 2, 2 * mss)
        window = slowStartThreshold
        counted = 0
    }

    /// A retransmission timeout: one segment (RFC 5681 §3.1). `first`: of this flight.
    mutating func timedOut(inFlight: Int, mss: Int, first: Bool) {
        if first { slowStartThreshold = max(inFlight / 2, 2 * mss) }
        window = mss
        counted = 0
    }

    /// Nothing was sent for longer than an RTO (RFC 5681 §4.1).
    mutating func restartAfterIdle(mss: Int) {
        window = min(window, Self.initialWindow(mss))
    }
}

/// SRTT, RTTVAR and RTO of RFC 6298, in nanoseconds.
struct TCPRoundTrip {
    private(set) var smoothed: UInt64 = 0
    private var variation: UInt64 = 0
    private var base: UInt64
    /// Doublings since the last answer (RFC 6298 §5.5).
    var backoff: UInt8 = 0

    init(initial: UInt64) {
        base = initial
    }

    /// A measured round trip (RFC 6298 §2.2, §2.3).
    @inline(__always)
    mutating func sample(_ nanoseconds: UInt64) {
        let measured = max(min(nanoseconds, 1 << 40), 1)
        if smoothed == 0 {
            smoothed = measured
            variation = measured / 2
        } else {
            let difference = smoothed > measured ? smoothed &- measured : measured &- smoothed
            // No overflow: nothing here exceeds 2^42.
            variation = variation &- variation / 4 &+ difference / 4
            smoothed = max(smoothed &- smoothed / 8 &+ measured / 8, 1)
        }
        base = smoothed &+ max(4 &* variation, 1_000_000)
    }

    /// The handshake lost a segment: with no measurement, RTO starts at three seconds
    /// (RFC 6298 §5.7).
    mutating func lostInHandshake() {
        backoff = 0
        if smoothed == 0 { base = 3_000_000_000 }
    }

    /// RTO with its backoff and bounds.
    @inline(__always)
    func timeout(_ configuration: borrowing TCPConfiguration) -> UInt64 {
        let least = max(base, configuration.minimumRetransmissionNanoseconds)
        if backoff == 0 { return min(least, configuration.maximumRetransmissionNanoseconds) }
        let doubled = least << UInt64(min(backoff, 16))
        return min(doubled, configuration.maximumRetransmissionNanoseconds)
    }
}
