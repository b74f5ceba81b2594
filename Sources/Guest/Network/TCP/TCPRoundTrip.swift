// How long an answer may take: RFC 6298.

/// SRTT, RTTVAR and RTO of RFC 6298, in nanoseconds.
struct TCPRoundTrip {
    private(set) var smoothed: UInt64 = 0
    private var variation: UInt64 = 0
    private var base: UInt64
    /// The shortest that was ever measured.
    private(set) var least = UInt64.max
    /// Doublings since the last answer (RFC 6298 §5.5).
    var backoff: UInt8 = 0
    /// Those that answers leave: until there is a measurement, as timeouts were too early.
    private var kept: UInt8 = 0

    init(initial: UInt64) {
        base = initial
    }

    /// A measured round trip (RFC 6298 §2.2, §2.3).
    @inline(__always)
    mutating func sample(_ nanoseconds: UInt64) {
        let measured = max(min(nanoseconds, 1 << 40), 1)
        least = min(least, measured)
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
        kept = 0
    }

    /// New octets were acknowledged, or the first ones are in flight.
    @inline(__always)
    mutating func answered() { backoff = kept }

    /// A timeout was too early: the next ones are not, or none would ever be late enough for an answer
    /// to be measured (RFC 6298 §5, at its end).
    mutating func wasEarly() { kept = backoff }

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
