// What all connections of one TCP share: bounds, ring storage, timers, events, totals.

/// What a control block needs of its TCP beside itself.
struct TCPContext: ~Copyable {
    let configuration: TCPConfiguration
    /// The window scale that this side offers (RFC 7323 §2.2).
    let windowShift: UInt8
    /// Octets of ring storage in use from which on memory is short.
    let shortage: Int
    var pool: BlockPool
    var timers = TimerHeap()
    var events = TCPEventQueue()
    var statistics = TCPStatistics()
    /// The time of the last call that told one: for calls that do not.
    var latest = Instant(nanoseconds: 0)
    /// The packet of the segment that is being received was marked by a router.
    var isMarked = false

    init(configuration: TCPConfiguration) {
        self.configuration = configuration
        shortage = configuration.memoryLimit / 2
        pool = BlockPool(
            limit: configuration.memoryLimit, cacheLimit: configuration.memoryCache,
            idleLimit: configuration.memoryForIdle)
        var shift: UInt8 = 0
        while shift < 14, configuration.maximumReceiveBuffer >> Int(shift) > 0xFFFF { shift += 1 }
        windowShift = shift
    }

    /// What ring storage may reach for octets to send: the last quarter is kept for receiving,
    /// without which no acknowledgement would free anything.
    var sendCeiling: Int { configuration.memoryLimit / 4 * 3 }
    /// The same for rings of more than `smallRing`: a few readers that do not read must not keep the
    /// rest from being answered.
    var grownCeiling: Int { configuration.memoryLimit / 2 }
    static var smallRing: Int { 16_384 }

    /// True when ring storage runs short: windows then stop growing, and stop at a minimum.
    @inline(__always) var isShortOfMemory: Bool { pool.used > shortage }
}

extension Instant {
    /// A later instant; the end of time does not wrap.
    @inline(__always)
    func advanced(by nanoseconds: UInt64) -> Instant {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return overflow ? .never : Instant(nanoseconds: sum)
    }

    /// Nanoseconds since an earlier instant; 0 if that is later.
    @inline(__always)
    func since(_ earlier: Instant) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds &- earlier.nanoseconds : 0
    }
}
