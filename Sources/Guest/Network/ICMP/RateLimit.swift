// A token bucket: how often the stack answers what anyone may ask (RFC 1812 §4.3.2.8).

/// Allows `perSecond` events a second, and `burst` at once.
struct RateLimit {
    private let interval: UInt64
    private let burst: UInt64
    /// Credit in nanoseconds; an event costs `interval`.
    private var credit: UInt64
    private var last = Instant(nanoseconds: 0)

    init(perSecond: UInt64, burst: UInt64) {
        interval = 1_000_000_000 / max(1, perSecond)
        self.burst = interval * max(1, burst)
        credit = self.burst
    }

    /// Takes one event's worth if there is that much.
    mutating func allows(now: Instant) -> Bool {
        let gained = min(now.since(last), burst)
        last = max(last, now)
        credit = min(burst, credit + gained)
        guard credit >= interval else { return false }
        credit -= interval
        return true
    }
}
