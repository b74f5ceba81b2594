// SYN cookies: the half-open connection lives in the sequence number itself (RFC 4987 §3.6, appendix A).

/// Makes and checks SYN cookies. Layout: five bits of a 64-second counter, three bits of MSS
/// index, 24 bits of keyed hash over all that and the peer's ISN.
struct TCPCookies {
    private static var period: UInt64 { 64_000_000_000 }
    /// Ascending; what most links have is in it.
    private static var segmentSizes: InlineArray<8, UInt16> {
        [536, 1_220, 1_300, 1_360, 1_400, 1_440, 1_460, 8_960]
    }

    let key: (UInt64, UInt64)
    /// When one was last sent: long after that, none is believed.
    private var lastSent: Instant?

    init(key: (UInt64, UInt64)) {
        self.key = key
    }

    /// The ISS that answers a SYN without keeping anything.
    mutating func make(
        _ tuple: TCPTuple, peerSequence: SequenceNumber, maximumSegmentSize: UInt16, now: Instant
    ) -> SequenceNumber {
        lastSent = now
        var index = 0
        for candidate in 1..<8 where Self.segmentSizes[candidate] <= maximumSegmentSize {
            index = candidate
        }
        return cookie(
            tuple, peerSequence, counter: now.nanoseconds / Self.period, sizeIndex: UInt32(index))
    }

    private func cookie(
        _ tuple: TCPTuple, _ peerSequence: SequenceNumber, counter: UInt64, sizeIndex: UInt32
    ) -> SequenceNumber {
        let salt = UInt64(peerSequence.value) << 32 | (counter & 0xFF_FFFF) << 8 | UInt64(sizeIndex)
        let hash = UInt32(
            truncatingIfNeeded: tuple.secureHash(key: (~key.0, key.1), salt: salt) & 0xFF_FFFF)
        let time = UInt32(truncatingIfNeeded: counter & 31)
        return SequenceNumber(time << 27 | sizeIndex << 24 | hash)
    }

    /// A timestamp for the SYN-ACK that carries what the sequence number has no room for: in its
    /// last six bits, which the peer echoes. It is not ahead of `stamp`.
    static func hide(_ options: TCPSynOptions, in stamp: UInt32) -> UInt32 {
        let hidden =
            UInt32(options.windowShift ?? 15) | (options.sackPermitted ? 16 : 0)
            | (options.heedsMarks ? 32 : 0)
        let value = stamp & ~63 | hidden
        return value & 63 > stamp & 63 ? value &- 64 : value
    }

    /// What was hidden in the timestamp that `stamps` echoes. A peer that lies harms itself alone.
    static func reveal(_ stamps: TCPTimestamps) -> TCPSynOptions {
        var options = TCPSynOptions()
        options.timestamps = stamps
        let shift = UInt8(truncatingIfNeeded: stamps.echo & 15)
        if shift < 15 { options.windowShift = shift }
        options.sackPermitted = stamps.echo & 16 != 0
        options.heedsMarks = stamps.echo & 32 != 0
        return options
    }

    /// The MSS that the peer told in its SYN, if `value` is a cookie of ours from the last two
    /// minutes; else nil.
    func check(
        _ value: SequenceNumber, _ tuple: TCPTuple, peerSequence: SequenceNumber, now: Instant
    ) -> UInt16? {
        guard let lastSent, now.since(lastSent) < 2 * Self.period else { return nil }
        let sizeIndex = value.value >> 24 & 7
        let counter = now.nanoseconds / Self.period
        for age in 0...min(counter, 1) {
            let expected = cookie(
                tuple, peerSequence, counter: counter - age, sizeIndex: sizeIndex)
            if expected == value { return Self.segmentSizes[Int(sizeIndex)] }
        }
        return nil
    }
}
