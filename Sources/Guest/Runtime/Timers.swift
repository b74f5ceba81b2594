// Timers by number: far ones in a wheel, where starting and stopping one costs a few instructions,
// near ones in a heap, which knows the order.
//
// A server starts and stops a timeout for each request and hardly ever lets one run out, so most
// timers never reach the heap.

/// The timers of the table of waits, one for each slot.
enum Timers {
    private struct Timer {
        var deadline: UInt64
        /// In the heap: its place, 0 and up. In the wheel: -2 - bucket. Else `idle`.
        var place: Int32
        var next: Int32
        var previous: Int32
    }

    private static let idle: Int32 = -1
    private static let none: Int32 = -1
    /// A bucket of the wheel spans 2^26 ns, 67 ms; the wheel 17 s, after which it comes around.
    private static let tickShift: UInt64 = 26
    private static let bucketCount: UInt64 = 256

    nonisolated(unsafe) private static var timers: UnsafeMutablePointer<Timer>?
    nonisolated(unsafe) private static var capacity: Int32 = 0
    nonisolated(unsafe) private static var heap: UnsafeMutablePointer<Int32>?
    nonisolated(unsafe) private static var heapCount = 0
    // Allocated with the first timers: a static array that is not a constant to the compiler costs
    // a check at each access.
    nonisolated(unsafe) private static var bucketHeads: UnsafeMutablePointer<Int32>?
    nonisolated(unsafe) private static var occupiedWords: UnsafeMutablePointer<UInt64>?
    private static let wordCount = 4

    /// The first timer of each bucket.
    private static var buckets: UnsafeMutablePointer<Int32> { bucketHeads.unsafelyUnwrapped }
    /// A bit for each bucket that is not empty.
    private static var occupied: UnsafeMutablePointer<UInt64> { occupiedWords.unsafelyUnwrapped }

    /// Ticks up to this one are in the heap.
    nonisolated(unsafe) private static var wheelTick: UInt64 = 0

    /// No timer is due before this. Stopping one, or putting it off, does not move it.
    nonisolated(unsafe) private static var bound = UInt64.max

    static var isEmpty: Bool { bound == .max }

    /// When `nextDue` has to be asked at the latest; `.max` without a timer. It may be earlier than
    /// anything is due.
    static var nextDeadline: UInt64 { bound }

    private static func earliest() -> UInt64 {
        if heapCount > 0 { return deadline(0) }
        guard capacity > 0 else { return .max }
        var earliest = UInt64.max
        for word in 0..<wordCount where occupied[word] != 0 {
            // Buckets behind the wheel's position belong to its next round.
            var bits = occupied[word]
            while bits != 0 {
                let bucket = UInt64(word * 64 + bits.trailingZeroBitCount)
                bits &= bits - 1
                let ahead = (bucket &- wheelTick &- 1) % bucketCount
                earliest = min(earliest, (wheelTick + ahead) << tickShift)
            }
        }
        return earliest
    }

    /// Makes room for timers 0 to `count` - 1.
    static func reserve(_ count: Int32) {
        if bucketHeads == nil {
            bucketHeads = .allocate(capacity: Int(bucketCount))
            bucketHeads?.initialize(repeating: none, count: Int(bucketCount))
            occupiedWords = .allocate(capacity: wordCount)
            occupiedWords?.initialize(repeating: 0, count: wordCount)
        }
        let larger = UnsafeMutablePointer<Timer>.allocate(capacity: Int(count))
        let largerHeap = UnsafeMutablePointer<Int32>.allocate(capacity: Int(count))
        if let timers, let heap {
            UnsafeMutableRawPointer(larger).copyMemory(
                from: timers, byteCount: Int(capacity) * MemoryLayout<Timer>.stride)
            UnsafeMutableRawPointer(largerHeap).copyMemory(
                from: heap, byteCount: heapCount * MemoryLayout<Int32>.stride)
            timers.deallocate()
            heap.deallocate()
        }
        for index in Int(capacity)..<Int(count) {
            (larger + index).initialize(
                to: Timer(deadline: .max, place: idle, next: none, previous: none))
        }
        timers = larger
        heap = largerHeap
        capacity = count
    }

    /// For host tests: stops everything and goes back to time 0.
    static func reset() {
        for index in 0..<capacity { stop(index) }
        wheelTick = 0
        bound = .max
    }

    /// Starts a timer; one that runs gets the new deadline.
    @inline(__always)
    static func start(_ index: Int32, deadline: UInt64) {
        let timer = timer(index)
        // In the wheel a later deadline costs nothing now: the timer comes up with its old bucket
        // and is moved on then.
        if timer.pointee.place < idle, deadline >= timer.pointee.deadline {
            timer.pointee.deadline = deadline
        } else {
            startAnew(index, deadline: deadline)
        }
    }

    @inline(never)
    private static func startAnew(_ index: Int32, deadline: UInt64) {
        stop(index)
        let timer = timer(index)
        timer.pointee.deadline = deadline
        let tick = deadline >> tickShift
        if tick > wheelTick {
            link(index, bucket: Int(truncatingIfNeeded: tick % bucketCount))
            // A bucket goes into the heap one tick ahead.
            bound = min(bound, (tick - 1) << tickShift)
        } else {
            insert(index)
            bound = min(bound, deadline)
        }
    }

    /// Stops a timer, if it runs.
    static func stop(_ index: Int32) {
        let place = timer(index).pointee.place
        if place == idle { return }
        if place < idle { unlink(index, bucket: Int(-2 - place)) } else { remove(Int(place)) }
    }

    /// A timer whose deadline has come, which then no longer runs; nil if there is none.
    @inline(__always)
    static func nextDue(now: UInt64) -> Int32? {
        now >= bound ? takeDue(now: now) : nil
    }

    @inline(never)
    private static func takeDue(now: UInt64) -> Int32? {
        let tick = now >> tickShift
        if tick >= wheelTick, capacity > 0 { advance(to: tick + 1) }
        guard heapCount > 0, deadline(0) <= now else {
            bound = earliest()
            return nil
        }
        let index = heap.unsafelyUnwrapped[0]
        remove(0)
        return index
    }

    @inline(__always)
    private static func timer(_ index: Int32) -> UnsafeMutablePointer<Timer> {
        timers.unsafelyUnwrapped + Int(index)
    }

    // MARK: Wheel

    /// Moves what is due up to the end of `tick` into the heap.
    private static func advance(to tick: UInt64) {
        guard tick > wheelTick else { return }
        let first = wheelTick + 1
        let last = min(tick, wheelTick + bucketCount)
        wheelTick = tick
        var current = first
        while current <= last {
            let bucket = Int(truncatingIfNeeded: current % bucketCount)
            current += 1
            guard occupied[bucket >> 6] & 1 << UInt64(bucket & 63) != 0 else { continue }
            var index = buckets[bucket]
            while index != none {
                let timer = timer(index)
                let next = timer.pointee.next
                let due = timer.pointee.deadline >> tickShift
                let home = Int(truncatingIfNeeded: due % bucketCount)
                if due <= tick {
                    unlink(index, bucket: bucket)
                    insert(index)
                } else if home != bucket {
                    // It was put off. (Others belong to later rounds of the wheel.)
                    unlink(index, bucket: bucket)
                    link(index, bucket: home)
                }
                index = next
            }
        }
    }

    private static func link(_ index: Int32, bucket: Int) {
        let head = buckets[bucket]
        let timer = timer(index)
        timer.pointee.place = -2 - Int32(truncatingIfNeeded: bucket)
        timer.pointee.next = head
        timer.pointee.previous = none
        if head != none {
            self.timer(head).pointee.previous = index
        } else {
            occupied[bucket >> 6] |= 1 << UInt64(bucket & 63)
        }
        buckets[bucket] = index
    }

    private static func unlink(_ index: Int32, bucket: Int) {
        let timer = timer(index)
        let (next, previous) = (timer.pointee.next, timer.pointee.previous)
        timer.pointee.place = idle
        if next != none { self.timer(next).pointee.previous = previous }
        if previous != none {
            self.timer(previous).pointee.next = next
        } else {
            buckets[bucket] = next
            if next == none { occupied[bucket >> 6] &= ~(1 << UInt64(bucket & 63)) }
        }
    }

    // MARK: Heap

    @inline(__always)
    private static func deadline(_ place: Int) -> UInt64 {
        timer(heap.unsafelyUnwrapped[place]).pointee.deadline
    }

    private static func put(_ index: Int32, at place: Int) {
        heap.unsafelyUnwrapped[place] = index
        timer(index).pointee.place = Int32(truncatingIfNeeded: place)
    }

    private static func insert(_ index: Int32) {
        heapCount += 1
        siftUp(index, from: heapCount - 1)
    }

    private static func remove(_ place: Int) {
        timer(heap.unsafelyUnwrapped[place]).pointee.place = idle
        heapCount -= 1
        guard place < heapCount else { return }
        let last = heap.unsafelyUnwrapped[heapCount]
        siftDown(last, from: place)
        siftUp(last, from: Int(timer(last).pointee.place))
    }

    private static func siftUp(_ index: Int32, from start: Int) {
        var place = start
        let key = timer(index).pointee.deadline
        while place > 0 {
            let parent = (place - 1) / 2
            guard deadline(parent) > key else { break }
            put(heap.unsafelyUnwrapped[parent], at: place)
            place = parent
        }
        put(index, at: place)
    }

    private static func siftDown(_ index: Int32, from start: Int) {
        var place = start
        let key = timer(index).pointee.deadline
        while true {
            var child = place * 2 + 1
            guard child < heapCount else { break }
            if child + 1 < heapCount, deadline(child + 1) < deadline(child) { child += 1 }
            guard deadline(child) < key else { break }
            put(heap.unsafelyUnwrapped[child], at: place)
            place = child
        }
        put(index, at: place)
    }
}
