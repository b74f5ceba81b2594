// Ring storage: blocks of a power of two octets, with a bound on the whole and free lists.

/// Hands out blocks of a power of two octets. Freed blocks wait on free lists, up to a bound; what
/// is beyond goes back to the heap, so that memory returns to where it was after a burst.
struct BlockPool: ~Copyable {
    /// The smallest block, as a power of two.
    static var smallestShift: Int { 8 }
    /// The largest block, as a power of two.
    static var largestShift: Int { 24 }

    private var freeLists = InlineArray<17, UnsafeMutableRawPointer?>(repeating: nil)
    /// Octets in blocks that are handed out.
    private(set) var used = 0
    /// Octets in blocks that wait on the free lists.
    private(set) var cached = 0
    let limit: Int
    let cacheLimit: Int
    /// While no more is handed out, who has a block of the smallest size may keep it though it is
    /// empty.
    let idleLimit: Int

    init(limit: Int, cacheLimit: Int, idleLimit: Int = 0) {
        self.limit = limit
        self.cacheLimit = cacheLimit
        self.idleLimit = idleLimit
    }

    deinit {
        for index in freeLists.indices {
            var next = freeLists[index]
            while let block = next {
                next = block.load(as: UnsafeMutableRawPointer?.self)
                block.deallocate()
            }
        }
    }

    /// The power of two of the smallest block that holds `octets`.
    @inline(__always)
    static func shift(for octets: Int) -> Int {
        octets <= 1 << smallestShift
            ? smallestShift : Int.bitWidth - (octets - 1).leadingZeroBitCount
    }

    /// A block of `1 << shift` octets, or nil if it would pass `ceiling` (at most the limit).
    @inline(__always)
    mutating func allocate(shift: Int, ceiling: Int) -> UnsafeMutableRawPointer? {
        guard shift <= Self.largestShift else { return nil }
        let size = 1 &<< shift
        guard used &+ size <= ceiling else { return nil }
        used &+= size
        let index = shift &- Self.smallestShift
        if let block = freeLists[index] {
            // A free block's first word holds the next free block: only this pool writes there.
            freeLists[index] = block.load(as: UnsafeMutableRawPointer?.self)
            cached &-= size
            return block
        }
        return Self.fresh(shift: shift)
    }

    @inline(never)
    private static func fresh(shift: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer.allocate(byteCount: 1 << shift, alignment: 16)
    }

    /// Takes back a block that `allocate` gave with the same shift.
    @inline(__always)
    mutating func free(_ block: UnsafeMutableRawPointer, shift: Int) {
        let size = 1 &<< shift
        used &-= size
        guard cached &+ size <= cacheLimit else { return block.deallocate() }
        let index = shift &- Self.smallestShift
        block.storeBytes(of: freeLists[index], as: UnsafeMutableRawPointer?.self)
        freeLists[index] = block
        cached &+= size
    }
}
