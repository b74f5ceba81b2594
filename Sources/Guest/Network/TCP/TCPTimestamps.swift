// Timestamps: old segments are told from new ones, and spurious retransmissions from needed ones
// (RFC 7323 §3 to §5).

/// The timestamps option: the sender's clock, and the clock value that it answers.
struct TCPTimestamps: Equatable, Sendable {
    /// TSval.
    var value: UInt32
    /// TSecr.
    var echo: UInt32

    /// The option with the padding that all send before it (RFC 7323 appendix A), in front of its
    /// two numbers.
    static var word: UInt32 { 0x0101_080A }
    /// Octets with the padding.
    static var length: Int { 12 }

    init(value: UInt32, echo: UInt32) {
        self.value = value
        self.echo = echo
    }

    /// Reads the option; nil if the segment has none.
    @inline(never)
    init?(_ segment: RawSpan, headerLength: Int) {
        let place = segment.option(8, headerLength: headerLength)
        guard place > 0, segment.octet(at: place + 1) == 10 else { return nil }
        value = segment.number32(at: place + 2)
        echo = segment.number32(at: place + 6)
    }

    /// The clock behind TSval, without the connection's offset: a tick is 2^20 ns, about one
    /// millisecond (RFC 7323 §5.4: one millisecond to one second).
    @inline(__always)
    static func clock(_ now: Instant) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds >> 20)
    }
}

extension TCPControlBlock {
    /// After so long a silence the peer's clock may have wrapped around: 24 days (RFC 7323 §5.5).
    private static var silence: UInt64 { 24 * 86_400_000_000_000 }

    /// TSval for a segment that leaves now.
    @inline(__always)
    func timestamp(_ now: Instant) -> UInt32 { TCPTimestamps.clock(now) &+ timestampOffset }

    /// True if a segment may be taken in as far as its timestamp goes: PAWS (RFC 7323 §5.3, R1),
    /// and one without the option is dropped unless it is a RST (§3.2).
    @inline(never)
    mutating func admits(
        _ stamps: TCPTimestamps?, _ bits: TCPFlags, _ context: inout TCPContext, _ now: Instant
    ) -> Bool {
        if bits.contains(.rst) { return true }
        guard let stamps else { return false }
        if Int32(bitPattern: stamps.value &- timestampRecent) < 0,
            now.since(lastReceivedAt) < Self.silence
        {
            challenge(&context, now)
            return false
        }
        return true
    }

    /// What an entry for TIME-WAIT has to know of the options.
    var lastOptions: TCPSynOptions {
        var options = TCPSynOptions()
        if flags.contains(.timestamps) {
            options.timestamps = TCPTimestamps(value: timestampRecent, echo: 0)
        }
        return options
    }
}
