// The connection table: open addressing on a keyed hash of the four numbers that name a connection.

/// The two ends of a connection, as this side sees them.
struct TCPTuple: Equatable, Sendable {
    var local: IPAddress
    var remote: IPAddress
    var localPort: UInt16
    var remotePort: UInt16

    @inline(__always)
    var ports: UInt64 { UInt64(localPort) << 16 | UInt64(remotePort) }

    @inline(__always)
    static func == (left: TCPTuple, right: TCPTuple) -> Bool {
        left.ports == right.ports && left.remote.low == right.remote.low
            && left.local.low == right.local.low && left.remote.high == right.remote.high
            && left.local.high == right.local.high
    }

    /// A hash that nobody without the key can aim at: two folded multiplications.
    @inline(__always)
    func hash(key: (UInt64, UInt64)) -> UInt32 {
        let first = (remote.low ^ key.0).multipliedFullWidth(
            by: local.low &+ ports << 32 ^ key.1)
        let mixed = first.high ^ first.low ^ remote.high
        let second = (mixed ^ key.1).multipliedFullWidth(by: local.high ^ ports ^ key.0 | 1)
        return UInt32(truncatingIfNeeded: (second.high ^ second.low) >> 16)
    }

    /// SipHash over the tuple and one more word, for what must not be guessed.
    func secureHash(key: (UInt64, UInt64), salt: UInt64) -> UInt64 {
        var hash = SipHash(key: key)
        hash.combine(local.high)
        hash.combine(local.low)
        hash.combine(remote.high)
        hash.combine(remote.low)
        hash.combine(ports)
        hash.combine(salt)
        return hash.finalize()
    }
}

/// What the table finds.
enum TCPTableValue: Equatable {
    /// A control block, by its index.
    case connection(Int)
    /// An entry for half-open or TIME-WAIT, by its index.
    case compact(Int)
}

/// Maps hashes to indices, with linear probing. The caller compares the tuples.
struct TCPTable: ~Copyable {
    private struct Slot: BitwiseCopyable {
        var hash: UInt32
        /// 0: free. Else index times two plus one for compact, plus one.
        var value: UInt32
    }

    private var slots = Buffer<Slot>(repeating: Slot(hash: 0, value: 0), count: 16)
    private(set) var count = 0

    init() {}

    @inline(__always)
    private static func encode(_ value: TCPTableValue) -> UInt32 {
        switch value {
        case .connection(let index): UInt32(truncatingIfNeeded: index &<< 1 &+ 1)
        case .compact(let index): UInt32(truncatingIfNeeded: index &<< 1 &+ 2)
        }
    }

    /// The next entry with this hash at or after `position`, which moves behind it. Begin with
    /// `position` nil.
    @inline(__always)
    borrowing func next(_ hash: UInt32, _ position: inout Int?) -> TCPTableValue? {
        let mask = slots.count &- 1
        var place = position ?? Int(hash) & mask
        while true {
            let slot = slots[place]
            if slot.value == 0 { return nil }
            place = (place &+ 1) & mask
            if slot.hash == hash {
                position = place
                let code = slot.value &- 1
                return code & 1 == 0 ? .connection(Int(code >> 1)) : .compact(Int(code >> 1))
            }
        }
    }

    mutating func insert(_ hash: UInt32, _ value: TCPTableValue) {
        if (count + 1) * 4 > slots.count * 3 { rebuild(slots.count * 2) }
        place(Slot(hash: hash, value: Self.encode(value)))
        count += 1
    }

    private mutating func place(_ slot: Slot) {
        let mask = slots.count - 1
        var place = Int(slot.hash) & mask
        while slots[place].value != 0 { place = (place + 1) & mask }
        slots[place] = slot
    }

    mutating func remove(_ hash: UInt32, _ value: TCPTableValue) {
        let mask = slots.count - 1
        let code = Self.encode(value)
        var hole = Int(hash) & mask
        while slots[hole].value != code {
            if slots[hole].value == 0 { return }
            hole = (hole + 1) & mask
        }
        count -= 1
        // Close the hole: move back each follower that its own place would still reach.
        var follower = (hole + 1) & mask
        while slots[follower].value != 0 {
            let home = Int(slots[follower].hash) & mask
            if (follower - home) & mask >= (follower - hole) & mask {
                slots[hole] = slots[follower]
                hole = follower
            }
            follower = (follower + 1) & mask
        }
        slots[hole] = Slot(hash: 0, value: 0)
        if slots.count > 64, count * 8 < slots.count { rebuild(slots.count / 2) }
    }

    private mutating func rebuild(_ size: Int) {
        var old = Buffer<Slot>(repeating: Slot(hash: 0, value: 0), count: size)
        swap(&old, &slots)
        for index in 0..<old.count where old[index].value != 0 { place(old[index]) }
    }
}
