// A bounded, sorted list of sequence ranges: octets out of order at the receiver, and the
// sender's SACK scoreboard (RFC 2018, RFC 6675).

/// Sequence numbers from `start` up to, not including, `end`.
struct SequenceInterval: Equatable, Sendable {
    var start: SequenceNumber
    var end: SequenceNumber

    @inline(__always) var count: Int { end - start }
}

/// Disjoint ranges in ascending order, no two of them touching. Holds no memory while empty.
struct SequenceIntervals: ~Copyable {
    /// Bounds what a peer can make this side hold and walk.
    static var maximum: Int { 128 }

    private var list = PooledList<SequenceInterval>()

    @inline(__always) var isEmpty: Bool { list.isEmpty }
    @inline(__always) var count: Int { list.count }
    subscript(_ index: Int) -> SequenceInterval { list[index] }

    /// Adds a range, and joins it with those it touches.
    ///
    /// - Returns: false if the list is full; nothing was added.
    mutating func insert(
        _ new: SequenceInterval, from pool: inout BlockPool
    ) -> Bool {
        // From the back: the newest range is mostly the highest.
        var after = list.count
        while after > 0, list[after - 1].start > new.end { after -= 1 }
        var first = after
        while first > 0, list[first - 1].end >= new.start { first -= 1 }
        guard first < after else {
            return list.insert(new, at: after, maximum: Self.maximum, from: &pool)
        }
        if new.start < list[first].start { list[first].start = new.start }
        list[first].end = SequenceNumber.later(list[after - 1].end, new.end)
        list.remove((first + 1)..<after, into: &pool)
        return true
    }

    /// Forgets everything before `sequence`.
    mutating func removeBelow(_ sequence: SequenceNumber, into pool: inout BlockPool) {
        var gone = 0
        while gone < list.count, list[gone].end <= sequence { gone += 1 }
        list.remove(0..<gone, into: &pool)
        if !list.isEmpty, list[0].start < sequence { list[0].start = sequence }
    }

    mutating func clear(into pool: inout BlockPool) {
        list.clear(into: &pool)
    }

    /// The index of the range that holds `sequence`.
    borrowing func index(of sequence: SequenceNumber) -> Int? {
        for index in 0..<list.count
        where list[index].start <= sequence && sequence < list[index].end {
            return index
        }
        return nil
    }

    /// Octets of `range` that no interval holds.
    borrowing func gaps(from start: SequenceNumber, to end: SequenceNumber) -> Int {
        guard start < end else { return 0 }
        var octets = end - start
        for index in 0..<list.count {
            let lower = SequenceNumber.later(list[index].start, start)
            let upper = list[index].end < end ? list[index].end : end
            if lower < upper { octets -= upper - lower }
        }
        return octets
    }

    /// The first gap at or after `sequence` and before `end`.
    borrowing func gap(from sequence: SequenceNumber, to end: SequenceNumber) -> SequenceInterval? {
        var start = sequence
        for index in 0..<list.count {
            let interval = list[index]
            if interval.end <= start { continue }
            if interval.start > start {
                let stop = interval.start < end ? interval.start : end
                return start < stop ? SequenceInterval(start: start, end: stop) : nil
            }
            start = interval.end
        }
        return start < end ? SequenceInterval(start: start, end: end) : nil
    }
}
