// The heap: size classes in slabs of page frames; what is larger than 4 KiB gets frames of its own.
//
// A slab is a power-of-two run of frames, aligned to its size, with a header at its start. Freed
// objects go back to their slab, and a slab without objects goes back to the frames, so that memory
// returns to where it was after a burst.

import SwiftletMachine

/// A heap and the frames that it lives on. The machine has one, behind `Heap`; tests make their own.
struct HeapAllocator: ~Copyable {
    var frames = FrameAllocator()
    /// The largest object that shares a slab.
    static let largestClass = 4096
    private static let classCount = 28
    // Tags of frames (PageFrames): slabs carry their class + 1.
    private static let largeHead: UInt8 = 0x7E
    private static let largeTail: UInt8 = 0x7D

    private struct Slab {
        var next: UnsafeMutablePointer<Slab>?
        var previous: UnsafeMutablePointer<Slab>?
        /// Freed objects, chained through their first word.
        var freeObjects: UnsafeMutableRawPointer?
        var usedCount: Int32
        /// Objects that were never handed out begin here.
        var freshOffset: Int32
    }

    /// Slabs of each class that have room.
    private var slabs: InlineArray<28, UnsafeMutablePointer<Slab>?> =
        .init(repeating: nil)

    /// Allocates at least `size` octets, aligned to 16 or, if larger, to `alignment` (a power of
    /// two). Nil when no memory is left.
    mutating func allocate(_ size: Int, alignment: Int = 16) -> UnsafeMutableRawPointer? {
        if alignment <= 16, size <= Self.largestClass {
            return allocate(sizeClass: Self.sizeClass(size))
        }
        if alignment > 16, alignment <= 1024, size <= 1024 {
            // A power-of-two class above 16 is aligned within its slab only past the header, so
            // round up to a whole frame there: rare, and never wrong.
            return allocateFrames(1)
        }
        guard size >= 0, size <= Int.max / 2, alignment <= PageFrames.size else {
            return alignment > PageFrames.size ? allocateAligned(size, alignment) : nil
        }
        return allocateFrames((size + PageFrames.size - 1) / PageFrames.size)
    }

    /// Gives back what `allocate` returned. A pointer that it did not return ends the machine.
    mutating func free(_ pointer: UnsafeMutableRawPointer) {
        guard frames.manages(pointer) else { Self.invalidFree() }
        let tag = frames.tag(of: pointer)
        switch tag {
        case 1...UInt8(Self.classCount): freeObject(pointer, sizeClass: Int(tag) - 1)
        case Self.largeHead:
            let count = 1 + frames.countFollowing(pointer, tag: Self.largeTail)
            frames.free(pointer, count: count)
        default: Self.invalidFree()
        }
    }

    /// Octets that may be used at `pointer`, at least as many as were asked for.
    mutating func usableSize(_ pointer: UnsafeRawPointer) -> Int {
        guard frames.manages(pointer) else { return 0 }
        let tag = frames.tag(of: pointer)
        if tag == Self.largeHead {
            return PageFrames.size * (1 + frames.countFollowing(pointer, tag: Self.largeTail))
        }
        return tag == 0 || tag > UInt8(Self.classCount) ? 0 : Self.size(ofClass: Int(tag) - 1)
    }

    // MARK: Classes

    /// Steps of 16 up to 128, then four steps a doubling: at most a fifth of an object is unused.
    static func sizeClass(_ size: Int) -> Int {
        if size <= 128 { return size <= 16 ? 0 : (size + 15) >> 4 - 1 }
        let exponent = 63 - (size - 1).leadingZeroBitCount  // 2^exponent ≤ size - 1
        return 8 + (exponent - 7) * 4 + ((size - 1) >> (exponent - 2)) & 3
    }

    static func size(ofClass index: Int) -> Int {
        if index < 8 { return (index + 1) << 4 }
        let exponent = 7 + (index - 8) >> 2
        return (5 + (index - 8) & 3) << (exponent - 2)
    }

    /// Frames in a slab of a class: 1, 2 or 4.
    private static func slabFrames(_ index: Int) -> Int {
        index < 12 ? 1 : index < 20 ? 2 : 4
    }

    // MARK: Objects

    private mutating func allocate(sizeClass index: Int) -> UnsafeMutableRawPointer? {
        guard let slab = slabs[index] ?? makeSlab(sizeClass: index) else { return nil }
        slab.pointee.usedCount += 1
        if let object = slab.pointee.freeObjects {
            slab.pointee.freeObjects = object.load(as: UnsafeMutableRawPointer?.self)
            if slab.pointee.freeObjects == nil, !hasFresh(slab, sizeClass: index) {
                unlink(slab, sizeClass: index)
            }
            return object
        }
        let object = UnsafeMutableRawPointer(slab) + Int(slab.pointee.freshOffset)
        slab.pointee.freshOffset += Int32(truncatingIfNeeded: Self.size(ofClass: index))
        if !hasFresh(slab, sizeClass: index) { unlink(slab, sizeClass: index) }
        return object
    }

    private mutating func freeObject(_ pointer: UnsafeMutableRawPointer, sizeClass index: Int) {
        let slabSize = Self.slabFrames(index) * PageFrames.size
        let slab = UnsafeMutablePointer<Slab>(
            bitPattern: UInt(bitPattern: pointer) & ~UInt(slabSize - 1)
        ).unsafelyUnwrapped
        let wasFull = slab.pointee.freeObjects == nil && !hasFresh(slab, sizeClass: index)
        pointer.storeBytes(of: slab.pointee.freeObjects, as: UnsafeMutableRawPointer?.self)
        slab.pointee.freeObjects = pointer
        slab.pointee.usedCount -= 1
        if wasFull { link(slab, sizeClass: index) }
        // One empty slab stays, so that a lone object coming and going costs no frames.
        if slab.pointee.usedCount == 0, slab.pointee.next != nil || slab.pointee.previous != nil {
            unlink(slab, sizeClass: index)
            frames.free(UnsafeMutableRawPointer(slab), count: Self.slabFrames(index))
        }
    }

    private mutating func hasFresh(_ slab: UnsafeMutablePointer<Slab>, sizeClass index: Int) -> Bool
    {
        Int(slab.pointee.freshOffset) + Self.size(ofClass: index)
            <= Self.slabFrames(index) * PageFrames.size
    }

    private mutating func makeSlab(sizeClass index: Int) -> UnsafeMutablePointer<Slab>? {
        let count = Self.slabFrames(index)
        guard let memory = frames.allocate(count, zeroed: false) else { return nil }
        frames.setTag(UInt8(index + 1), of: memory, count: count)
        let slab = memory.bindMemory(to: Slab.self, capacity: 1)
        let header = (MemoryLayout<Slab>.size + 15) & ~15
        slab.pointee = Slab(
            next: nil, previous: nil, freeObjects: nil, usedCount: 0, freshOffset: Int32(header))
        link(slab, sizeClass: index)
        return slab
    }

    private mutating func link(_ slab: UnsafeMutablePointer<Slab>, sizeClass index: Int) {
        slab.pointee.previous = nil
        slab.pointee.next = slabs[index]
        slabs[index]?.pointee.previous = slab
        slabs[index] = slab
    }

    private mutating func unlink(_ slab: UnsafeMutablePointer<Slab>, sizeClass index: Int) {
        let (next, previous) = (slab.pointee.next, slab.pointee.previous)
        next?.pointee.previous = previous
        if let previous { previous.pointee.next = next } else { slabs[index] = next }
        slab.pointee.next = nil
        slab.pointee.previous = nil
    }

    // MARK: Frames of their own

    private mutating func allocateFrames(_ count: Int) -> UnsafeMutableRawPointer? {
        let count = max(count, 1)
        guard let memory = frames.allocate(count, zeroed: false) else { return nil }
        frames.setTag(Self.largeHead, of: memory, count: 1)
        if count > 1 {
            frames.setTag(Self.largeTail, of: memory + PageFrames.size, count: count - 1)
        }
        return memory
    }

    /// Alignments above a frame: a longer run, of which the ends go back.
    private mutating func allocateAligned(_ size: Int, _ alignment: Int) -> UnsafeMutableRawPointer?
    {
        guard size >= 0, size <= Int.max / 4, alignment <= Int.max / 4 else { return nil }
        let count = max((size + PageFrames.size - 1) / PageFrames.size, 1)
        let slack = alignment / PageFrames.size
        guard let memory = frames.allocate(count + slack, zeroed: false) else { return nil }
        let start = (UInt(bitPattern: memory) + UInt(alignment) - 1) & ~UInt(alignment - 1)
        let before = Int(start - UInt(bitPattern: memory)) / PageFrames.size
        let aligned = memory + before * PageFrames.size
        if before > 0 { frames.free(memory, count: before) }
        if slack > before {
            frames.free(aligned + count * PageFrames.size, count: slack - before)
        }
        frames.setTag(Self.largeHead, of: aligned, count: 1)
        if count > 1 {
            frames.setTag(Self.largeTail, of: aligned + PageFrames.size, count: count - 1)
        }
        return aligned
    }

    private static func invalidFree() -> Never {
        #if hasFeature(Embedded)
            Faults.fail("a pointer was freed that the heap did not hand out (or twice)")
        #else
            fatalError("a pointer was freed that the heap did not hand out (or twice)")
        #endif
    }
}
