// When what is in flight was sent: for round trips (RFC 6298), and for loss told by time (RFC 8985).

/// Send times of the octets in flight, which are sent in order of their numbers: a few marks, each
/// good for an eighth of the congestion window, and not a time for every segment. What was sent
/// again keeps the time of the first sending.
struct TCPSentTimes {
    struct Mark: BitwiseCopyable {
        /// The octets from the mark before up to, not including, this number...
        var end: SequenceNumber
        /// ...were sent at this time at the latest.
        var time: UInt32
    }

    private static var maximum: Int { 8 }
    private var marks = InlineArray<8, Mark>(repeating: Mark(end: SequenceNumber(0), time: 0))
    private var used: UInt8 = 0

    /// The clock of send times: 1 024 ns a tick, about a microsecond; it wraps in 73 minutes.
    @inline(__always)
    static func clock(_ now: Instant) -> UInt32 {
        UInt32(truncatingIfNeeded: now.nanoseconds >> 10)
    }

    @inline(__always) var count: Int { Int(used) }
    subscript(_ index: Int) -> Mark { marks[index] }

    /// Octets up to `end` were sent, with nothing in flight before them.
    @inline(__always)
    mutating func restart(_ end: SequenceNumber, _ time: UInt32) {
        marks[0] = Mark(end: end, time: time)
        used = 1
    }

    /// Nothing is known of what is in flight.
    mutating func clear() { used = 0 }

    /// Octets up to `end` were sent behind others. `step`: octets that a mark may stand for;
    /// `first`: where those in flight begin.
    mutating func add(_ end: SequenceNumber, _ time: UInt32, step: Int, first: SequenceNumber) {
        if used > 0 {
            let start = used > 1 ? marks[count &- 2].end : first
            if end - start <= step {
                marks[count &- 1] = Mark(end: end, time: time)
                return
            }
        }
        if count == Self.maximum { thin() }
        marks[count] = Mark(end: end, time: time)
        used &+= 1
    }

    /// Every other mark goes: the next one, with its later time, stands for its octets.
    @inline(never)
    private mutating func thin() {
        for index in 0..<Self.maximum / 2 { marks[index] = marks[index * 2 + 1] }
        used = UInt8(Self.maximum / 2)
    }

    /// Forgets the marks up to `acknowledgment`; returns the time of the last of them, nil if
    /// there is none.
    @inline(__always)
    mutating func remove(through acknowledgment: SequenceNumber) -> UInt32? {
        guard used > 0, marks[0].end <= acknowledgment else { return nil }
        if used == 1 {
            used = 0
            return marks[0].time
        }
        return removeSeveral(acknowledgment)
    }

    @inline(never)
    private mutating func removeSeveral(_ acknowledgment: SequenceNumber) -> UInt32 {
        var gone = 1
        while gone < count, marks[gone].end <= acknowledgment { gone &+= 1 }
        let time = marks[gone &- 1].time
        for index in gone..<count { marks[index &- gone] = marks[index] }
        used &-= UInt8(truncatingIfNeeded: gone)
        return time
    }

    /// When the octet was sent, at the latest.
    func time(of sequence: SequenceNumber) -> UInt32? {
        for index in 0..<count where marks[index].end > sequence { return marks[index].time }
        return nil
    }
}
