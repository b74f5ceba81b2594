// When each connection wants to be looked at: a binary heap with one entry a connection at most.

/// A binary heap of deadlines by index. An entry may be earlier than what its owner really waits
/// for: moving a deadline later costs nothing until the entry comes up.
struct TimerHeap: ~Copyable {
    private struct Entry: BitwiseCopyable {
        var deadline: UInt64
        var index: UInt32
    }

    private var entries = Buffer<Entry>()
    /// By index: place in `entries` plus one; 0: none.
    private var places = Buffer<UInt32>()
    private(set) var count = 0

    init() {}

    /// The earliest deadline; .max if there is none.
    @inline(__always)
    var earliest: UInt64 { count == 0 ? .max : entries[0].deadline }

    /// The index with the earliest deadline, if that is not after `now`.
    func due(_ now: UInt64) -> Int? {
        guard count > 0, entries[0].deadline <= now else { return nil }
        return Int(entries[0].index)
    }

    /// Makes sure that `index` comes up at `deadline` or before.
    @inline(__always)
    mutating func arm(_ index: Int, _ deadline: UInt64) {
        if index < places.count {
            let place = places[index]
            if place != 0, entries[Int(place) &- 1].deadline <= deadline { return }
        }
        if deadline != .max { set(index, deadline) }
    }

    /// Gives `index` exactly this deadline; .max takes it out.
    @inline(never)
    mutating func set(_ index: Int, _ deadline: UInt64) {
        if index >= places.count {
            places.resize(to: max(16, index + 1, places.count * 2), filler: 0)
        }
        let place = Int(places[index]) - 1
        if place >= 0 {
            let old = entries[place].deadline
            if deadline == .max { return remove(at: place) }
            entries[place].deadline = deadline
            if deadline < old { siftUp(place) } else { siftDown(place) }
            return
        }
        guard deadline != .max else { return }
        if count == entries.count {
            entries.resize(to: max(16, count * 2), filler: Entry(deadline: 0, index: 0))
        }
        entries[count] = Entry(deadline: deadline, index: UInt32(truncatingIfNeeded: index))
        places[index] = UInt32(truncatingIfNeeded: count + 1)
        count += 1
        siftUp(count - 1)
    }

    private mutating func remove(at place: Int) {
        places[Int(entries[place].index)] = 0
        count -= 1
        guard place < count else { return }
        entries[place] = entries[count]
        places[Int(entries[place].index)] = UInt32(truncatingIfNeeded: place + 1)
        siftUp(place)
        siftDown(Int(places[Int(entries[place].index)]) - 1)
    }

    private mutating func siftUp(_ start: Int) {
        var place = start
        while place > 0 {
            let parent = (place - 1) / 2
            if entries[parent].deadline <= entries[place].deadline { return }
            exchange(parent, place)
            place = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var place = start
        while true {
            var least = place
            for child in (place * 2 + 1)...(place * 2 + 2)
            where child < count && entries[child].deadline < entries[least].deadline {
                least = child
            }
            if least == place { return }
            exchange(least, place)
            place = least
        }
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        let entry = entries[left]
        entries[left] = entries[right]
        entries[right] = entry
        places[Int(entries[left].index)] = UInt32(truncatingIfNeeded: left + 1)
        places[Int(entries[right].index)] = UInt32(truncatingIfNeeded: right + 1)
    }
}
