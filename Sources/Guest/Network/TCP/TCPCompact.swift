// Connections that need no control block: half-open ones, and those in TIME-WAIT.
//
// A SYN flood and a busy server's TIME-WAITs are many and idle, so their entries are small. All
// entries of one list wait equally long: insertion order is deadline order, and no heap is needed.

/// One half-open or TIME-WAIT connection.
struct TCPCompactEntry {
    let tuple: TCPTuple
    let hash: UInt32
    /// Half-open: ISS. TIME-WAIT: SND.NXT.
    var sending: SequenceNumber
    /// RCV.NXT.
    var receiving: SequenceNumber
    /// Half-open: whose SYN it was. TIME-WAIT: meaningless.
    var listener: TCPListenerID
    /// Half-open: what the peer offered. Its timestamp, as the one to echo, in both cases.
    var options: TCPSynOptions
    /// What our timestamps are ahead of our clock.
    let timestampOffset: UInt32
    fileprivate(set) var deadline: UInt64 = .max
    /// 0: TIME-WAIT; n: the SYN-ACK was sent n times.
    fileprivate(set) var list: UInt8
    fileprivate var previous: Int32 = -1
    fileprivate var next: Int32 = -1

    init(
        tuple: TCPTuple, hash: UInt32, sending: SequenceNumber, receiving: SequenceNumber,
        listener: TCPListenerID, options: TCPSynOptions, timestampOffset: UInt32, isTimeWait: Bool
    ) {
        self.tuple = tuple
        self.hash = hash
        self.sending = sending
        self.receiving = receiving
        self.listener = listener
        self.options = options
        self.timestampOffset = timestampOffset
        list = isTimeWait ? 0 : 1
    }

    var isTimeWait: Bool { list == 0 }
}

/// All compact entries, in lists by how long they wait.
struct TCPCompactEntries: ~Copyable {
    private struct List: BitwiseCopyable {
        var head: Int32 = -1
        var tail: Int32 = -1
    }

    static var listCount: Int { 9 }

    private var entries = Slab<TCPCompactEntry>()
    private var lists = InlineArray<9, List>(repeating: List())
    private(set) var timeWaitCount = 0
    private(set) var halfOpenCount = 0
    /// Not later than the earliest deadline; .max if there is no entry. Every turn of the event
    /// loop asks, so it is not searched for.
    private(set) var earliest = UInt64.max

    init() {}

    subscript(_ index: Int) -> TCPCompactEntry { entries[index] }

    /// How long the entries of a list wait.
    private static func wait(_ list: UInt8, _ configuration: borrowing TCPConfiguration) -> UInt64 {
        list == 0
            ? configuration.timeWaitNanoseconds
            : configuration.initialRetransmissionNanoseconds << UInt64(list &- 1)
    }

    mutating func insert(
        _ entry: TCPCompactEntry, now: Instant, _ configuration: borrowing TCPConfiguration
    ) -> Int {
        if entry.isTimeWait { timeWaitCount += 1 } else { halfOpenCount += 1 }
        let index = entries.insert { _, _ in entry }
        append(index, now, configuration)
        return index
    }

    mutating func remove(_ index: Int) {
        if entries[index].isTimeWait { timeWaitCount -= 1 } else { halfOpenCount -= 1 }
        unlink(index)
        entries.remove(index)
        if entries.count == 0 { earliest = .max }
    }

    /// The entry waits anew: a half-open one in the next list, since its SYN-ACK was sent again.
    mutating func restart(
        _ index: Int, now: Instant, _ configuration: borrowing TCPConfiguration
    ) {
        unlink(index)
        if entries[index].list != 0, Int(entries[index].list) < Self.listCount - 1 {
            entries[index].list += 1
        }
        append(index, now, configuration)
    }

    private mutating func append(
        _ index: Int, _ now: Instant, _ configuration: borrowing TCPConfiguration
    ) {
        let list = entries[index].list
        entries[index].deadline = now.advanced(by: Self.wait(list, configuration)).nanoseconds
        earliest = min(earliest, entries[index].deadline)
        let tail = lists[Int(list)].tail
        entries[index].previous = tail
        entries[index].next = -1
        let place = Int32(truncatingIfNeeded: index)
        if tail >= 0 { entries[Int(tail)].next = place } else { lists[Int(list)].head = place }
        lists[Int(list)].tail = place
    }

    private mutating func unlink(_ index: Int) {
        let list = Int(entries[index].list)
        let previous = entries[index].previous
        let next = entries[index].next
        if previous >= 0 { entries[Int(previous)].next = next } else { lists[list].head = next }
        if next >= 0 { entries[Int(next)].previous = previous } else { lists[list].tail = previous }
    }

    /// An entry whose deadline is not after `now`.
    mutating func due(_ now: Instant) -> Int? {
        guard earliest <= now.nanoseconds else { return nil }
        earliest = .max
        for list in lists.indices where lists[list].head >= 0 {
            let head = Int(lists[list].head)
            earliest = min(earliest, entries[head].deadline)
            if entries[head].deadline <= now.nanoseconds { return head }
        }
        return nil
    }

    /// The TIME-WAIT entry that has waited longest.
    var oldestTimeWait: Int? { lists[0].head >= 0 ? Int(lists[0].head) : nil }
}
