// A table of elements that stay where they are: chunks, lowest free place first.

/// A table of ~Copyable elements with stable indices, mutated in place. Every insertion gets a
/// generation of its own, so that an old handle does not reach a new element. Chunks that are
/// empty go back to the heap, but for one.
struct Slab<Element: ~Copyable>: ~Copyable {
    /// Chunk layout: UInt64 mask of live places, sixteen UInt32 generations, elements.
    private static var chunkShift: Int { 4 }
    private static var chunkCount: Int { 1 << chunkShift }
    private static var elementsOffset: Int { 80 }

    private var directory: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    private var directoryCount = 0
    /// No chunk below this one has a free place.
    private var hint = 0
    private var spare: UnsafeMutableRawPointer?
    private var lastGeneration: UInt32 = 0
    private(set) var count = 0

    init() {}

    deinit {
        for chunk in 0..<directoryCount {
            guard let block = directory.unsafelyUnwrapped[chunk] else { continue }
            let mask = block.load(as: UInt64.self)
            for place in 0..<Self.chunkCount where mask >> UInt64(place) & 1 == 1 {
                (Self.elements(block) + place).deinitialize(count: 1)
            }
            block.deallocate()
        }
        directory?.deallocate()
        spare?.deallocate()
    }

    @inline(__always)
    private static func elements(_ block: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Element>
    {
        (block + elementsOffset).assumingMemoryBound(to: Element.self)
    }

    /// One more than the greatest index that can be in use.
    var endIndex: Int { directoryCount << Self.chunkShift }

    @inline(__always)
    private borrowing func block(_ index: Int) -> UnsafeMutableRawPointer? {
        let chunk = index >> Self.chunkShift
        guard chunk >= 0, chunk < directoryCount else { return nil }
        return directory.unsafelyUnwrapped[chunk]
    }

    /// True if an element lives at the index.
    @inline(__always)
    borrowing func contains(_ index: Int) -> Bool {
        guard let block = block(index) else { return false }
        let place = UInt64(truncatingIfNeeded: index & (Self.chunkCount - 1))
        return block.load(as: UInt64.self) >> place & 1 == 1
    }

    /// True if the element that was inserted with this index and generation still lives.
    @inline(__always)
    borrowing func contains(_ index: Int, generation: UInt32) -> Bool {
        guard let block = block(index) else { return false }
        // A dead place has generation 0, which no insertion gets.
        let place = index & (Self.chunkCount &- 1)
        return block.load(fromByteOffset: 8 &+ place &* 4, as: UInt32.self) == generation
            && generation != 0
    }

    /// The element at an index that is in use.
    subscript(_ index: Int) -> Element {
        @inline(__always) unsafeAddress {
            precondition(contains(index))
            return UnsafePointer(
                Self.elements(block(index).unsafelyUnwrapped) + (index & (Self.chunkCount - 1)))
        }
        @inline(__always) unsafeMutableAddress {
            precondition(contains(index))
            return Self.elements(block(index).unsafelyUnwrapped) + (index & (Self.chunkCount - 1))
        }
    }

    /// The same for an index that `contains` has just been asked about, without a second check.
    ///
    /// Soundness: only right behind a `contains` that said yes, with nothing removed in between.
    subscript(checked index: Int) -> Element {
        @inline(__always) unsafeAddress {
            UnsafePointer(
                Self.elements(chunk(of: index)) + (index & (Self.chunkCount &- 1)))
        }
        @inline(__always) unsafeMutableAddress {
            Self.elements(chunk(of: index)) + (index & (Self.chunkCount &- 1))
        }
    }

    /// Direct access to the element at an index that is in use.
    borrowing func reference(to index: Int) -> SlabReference<Element> {
        precondition(contains(index))
        return SlabReference(
            address: Self.elements(chunk(of: index)) + (index & (Self.chunkCount &- 1)))
    }

    @inline(__always)
    private borrowing func chunk(of index: Int) -> UnsafeMutableRawPointer {
        directory.unsafelyUnwrapped[index >> Self.chunkShift].unsafelyUnwrapped
    }

    /// Puts an element, made from its index and generation, into the lowest free place.
    mutating func insert(_ make: (UInt32, UInt32) -> Element) -> Int {
        let chunk = chunkWithRoom()
        let block = directory.unsafelyUnwrapped[chunk].unsafelyUnwrapped
        let mask = block.load(as: UInt64.self)
        let place = (~mask).trailingZeroBitCount
        let index = chunk << Self.chunkShift | place
        lastGeneration &+= 1
        if lastGeneration == 0 { lastGeneration = 1 }
        (Self.elements(block) + place).initialize(
            to: make(UInt32(truncatingIfNeeded: index), lastGeneration))
        block.storeBytes(of: mask | 1 << UInt64(place), as: UInt64.self)
        block.storeBytes(of: lastGeneration, toByteOffset: 8 + place * 4, as: UInt32.self)
        count += 1
        return index
    }

    /// Ends the element at the index, if there is one.
    mutating func remove(_ index: Int) {
        guard contains(index), let block = block(index) else { return }
        let place = index & (Self.chunkCount - 1)
        let mask = block.load(as: UInt64.self) & ~(1 << UInt64(place))
        block.storeBytes(of: mask, as: UInt64.self)
        block.storeBytes(of: UInt32(0), toByteOffset: 8 + place * 4, as: UInt32.self)
        (Self.elements(block) + place).deinitialize(count: 1)
        count -= 1
        let chunk = index >> Self.chunkShift
        hint = min(hint, chunk)
        guard mask == 0 else { return }
        directory.unsafelyUnwrapped[chunk] = nil
        if spare == nil { spare = block } else { block.deallocate() }
    }

    private mutating func chunkWithRoom() -> Int {
        let full = UInt64(1) << UInt64(Self.chunkCount) - 1
        while hint < directoryCount {
            guard let block = directory.unsafelyUnwrapped[hint] else { break }
            if block.load(as: UInt64.self) != full { return hint }
            hint += 1
        }
        if hint == directoryCount { growDirectory() }
        let block = spare ?? Self.freshChunk()
        spare = nil
        directory.unsafelyUnwrapped[hint] = block
        return hint
    }

    private static func freshChunk() -> UnsafeMutableRawPointer {
        let size = elementsOffset + chunkCount * MemoryLayout<Element>.stride
        let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        for word in 0..<(elementsOffset / 8) {
            block.storeBytes(of: UInt64(0), toByteOffset: word * 8, as: UInt64.self)
        }
        return block
    }

    private mutating func growDirectory() {
        let newCount = max(4, directoryCount * 2)
        let new = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: newCount)
        new.initialize(repeating: nil, count: newCount)
        if let old = directory {
            UnsafeMutableRawPointer(new).copyMemory(
                from: old, byteCount: directoryCount * MemoryLayout<UnsafeMutableRawPointer?>.stride
            )
            old.deallocate()
        }
        directory = new
        directoryCount = newCount
    }
}

/// An element of a slab, without a look at the table.
///
/// Soundness: whoever holds one knows that the element was not removed.
struct SlabReference<Element: ~Copyable> {
    fileprivate let address: UnsafeMutablePointer<Element>

    var element: Element {
        @inline(__always) unsafeAddress { UnsafePointer(address) }
        @inline(__always) nonmutating unsafeMutableAddress { address }
    }
}
