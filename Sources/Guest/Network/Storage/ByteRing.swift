// A ring of octets whose storage comes from a pool when the first octet does, and goes back.

/// A ring of octets. Offsets count from the oldest octet. Octets may be written beyond the end
/// (`write`, a gap before them) and joined to the ring later (`extend`): that is how segments out
/// of order wait in place.
struct ByteRing: ~Copyable {
    private var storage: UnsafeMutableRawPointer?
    private var head: UInt32 = 0
    private var length: UInt32 = 0
    /// Octets of the block, a power of two; 0 without one.
    private var size: UInt32 = 0

    init() {}

    deinit {
        // Only at the end of the whole pool's life: until then `clear` gave the block back.
        storage?.deallocate()
    }

    /// Octets in the ring.
    @inline(__always) var count: Int { Int(length) }
    /// Octets that the storage holds now; `reserve` makes it more.
    @inline(__always) var capacity: Int { Int(size) }

    /// Where the octet at `offset` from the oldest lies in the block.
    @inline(__always) private func place(_ offset: Int) -> Int {
        (Int(head) &+ offset) & (capacity &- 1)
    }

    /// Makes the storage hold at least `octets`, if the pool's `ceiling` allows.
    @inline(__always)
    mutating func reserve(_ octets: Int, ceiling: Int, from pool: inout BlockPool) -> Bool {
        octets <= capacity || grow(to: octets, ceiling: ceiling, from: &pool)
    }

    @inline(never) @_optimize(speed)
    private mutating func grow(to octets: Int, ceiling: Int, from pool: inout BlockPool) -> Bool {
        let newShift = BlockPool.shift(for: octets)
        guard let block = pool.allocate(shift: newShift, ceiling: ceiling) else { return false }
        if let old = storage {
            // All of the old block, unrolled from its head: it may hold octets beyond the end.
            let capacity = self.capacity
            let first = capacity - Int(head)
            block.copyMemory(from: old + Int(head), byteCount: first)
            (block + first).copyMemory(from: old, byteCount: capacity - first)
            pool.free(old, shift: capacity.trailingZeroBitCount)
        }
        storage = block
        size = 1 &<< UInt32(truncatingIfNeeded: newShift)
        head = 0
        return true
    }

    /// Writes octets at `offset` from the oldest; they join the ring with `extend`.
    @inline(__always)
    mutating func write(_ bytes: RawSpan, at offset: Int) {
        let count = bytes.byteCount
        guard count > 0 else { return }
        // Soundness: everything written lies inside the block, wherever the caller pointed.
        precondition(offset >= 0 && count <= capacity && offset <= capacity &- count)
        let start = place(offset)
        let first = min(count, capacity &- start)
        bytes.withUnsafeBytes { source in
            storage.unsafelyUnwrapped.advanced(by: start).copyMemory(
                from: source.baseAddress.unsafelyUnwrapped, byteCount: first)
            if first < count {
                storage.unsafelyUnwrapped.copyMemory(
                    from: source.baseAddress.unsafelyUnwrapped + first, byteCount: count &- first)
            }
        }
    }

    /// Joins octets that were written behind the end to the ring.
    @inline(__always)
    mutating func extend(by count: Int) {
        precondition(count >= 0 && count <= capacity &- self.count)
        length &+= UInt32(truncatingIfNeeded: count)
    }

    /// Writes octets behind the end and joins them to the ring; `reserve` has made the room.
    @inline(__always)
    mutating func append(_ bytes: RawSpan) {
        write(bytes, at: count)
        length &+= UInt32(truncatingIfNeeded: bytes.byteCount)
    }

    /// Copies `count` octets that begin at `offset` into `target` at `position`.
    @inline(__always)
    borrowing func copy(
        from offset: Int, count: Int, into target: inout MutableRawSpan, at position: Int
    ) {
        guard count > 0 else { return }
        precondition(offset >= 0 && count <= self.count && offset <= self.count &- count)
        precondition(position >= 0 && count <= target.byteCount &- position)
        let start = place(offset)
        let first = min(count, capacity &- start)
        target.withUnsafeMutableBytes { bytes in
            let base = bytes.baseAddress.unsafelyUnwrapped + position
            base.copyMemory(from: storage.unsafelyUnwrapped + start, byteCount: first)
            if first < count {
                (base + first).copyMemory(
                    from: storage.unsafelyUnwrapped, byteCount: count &- first)
            }
        }
    }

    /// Shows the longest contiguous run from the oldest octet on.
    @inline(__always)
    borrowing func withFront<R: ~Copyable>(_ body: (RawSpan) -> R) -> R {
        guard let storage, length > 0 else { return body(RawSpan()) }
        let first = min(count, capacity &- Int(head))
        return body(
            RawSpan(_unsafeStart: UnsafeRawPointer(storage) + Int(head), byteCount: first))
    }

    /// Drops the oldest octets, at most all.
    @inline(__always)
    mutating func drop(_ count: Int) {
        let dropped = UInt32(truncatingIfNeeded: min(max(count, 0), self.count))
        length &-= dropped
        head = (head &+ dropped) & (size &- 1)
    }

    /// An empty ring gives its storage back, unless it is small and there is enough.
    @inline(__always)
    mutating func rest(_ pool: inout BlockPool) {
        if size == 1 << UInt32(BlockPool.smallestShift), pool.used <= pool.idleLimit {
            head = 0
        } else {
            clear(into: &pool)
        }
    }

    /// Empties the ring and gives the storage back.
    @inline(never) @_optimize(speed)
    mutating func clear(into pool: inout BlockPool) {
        if let storage {
            pool.free(storage, shift: capacity.trailingZeroBitCount)
        }
        storage = nil
        head = 0
        length = 0
        size = 0
    }
}
