// Growable arrays of plain values: without the reference counting of Array.

/// An array of plain values with one owner. Growing moves it; the indices stay.
struct Buffer<Element: BitwiseCopyable>: ~Copyable {
    private var storage: UnsafeMutablePointer<Element>?
    private(set) var count = 0

    init() {}

    init(repeating value: Element, count: Int) {
        resize(to: count, filler: value)
    }

    deinit {
        storage?.deallocate()
    }

    /// The element at an index below `count`.
    subscript(_ index: Int) -> Element {
        @inline(__always) unsafeAddress {
            precondition(index >= 0 && index < count)
            return UnsafePointer(storage.unsafelyUnwrapped + index)
        }
        @inline(__always) unsafeMutableAddress {
            precondition(index >= 0 && index < count)
            return storage.unsafelyUnwrapped + index
        }
    }

    /// Makes the buffer `newCount` long; new places hold `filler`.
    mutating func resize(to newCount: Int, filler: Element) {
        let new = UnsafeMutablePointer<Element>.allocate(capacity: max(newCount, 1))
        let kept = min(count, newCount)
        if let storage {
            // By octets: one memory copy for all types, instead of a loop for each.
            UnsafeMutableRawPointer(new).copyMemory(
                from: storage, byteCount: kept &* MemoryLayout<Element>.stride)
            storage.deallocate()
        }
        if newCount > kept {
            (new + kept).initialize(repeating: filler, count: newCount - kept)
        }
        storage = new
        count = newCount
    }
}

/// A short list of plain values whose storage is a block of the pool: nothing while it is empty.
struct PooledList<Element: BitwiseCopyable>: ~Copyable {
    private var storage: UnsafeMutableRawPointer?
    private var length: UInt16 = 0
    private var shift: UInt8 = 0

    init() {}

    deinit {
        // Only at the end of the whole pool's life: until then `clear` gave the block back.
        storage?.deallocate()
    }

    @inline(__always) var count: Int { Int(length) }
    @inline(__always) var isEmpty: Bool { length == 0 }

    private var elements: UnsafeMutablePointer<Element> {
        storage.unsafelyUnwrapped.assumingMemoryBound(to: Element.self)
    }

    /// The element at an index below `count`.
    subscript(_ index: Int) -> Element {
        unsafeAddress {
            precondition(index >= 0 && index < count)
            return UnsafePointer(elements + index)
        }
        unsafeMutableAddress {
            precondition(index >= 0 && index < count)
            return elements + index
        }
    }

    /// Inserts before `index`, unless the list holds `maximum` or the pool is at its limit.
    mutating func insert(
        _ element: Element, at index: Int, maximum: Int, from pool: inout BlockPool
    ) -> Bool {
        precondition(index >= 0 && index <= count)
        guard count < min(maximum, Int(UInt16.max)) else { return false }
        let stride = MemoryLayout<Element>.stride
        if storage == nil || (count + 1) * stride > 1 << Int(shift) {
            let newShift = BlockPool.shift(for: (count + 1) * stride)
            guard let block = pool.allocate(shift: newShift, ceiling: pool.limit) else {
                return false
            }
            if let old = storage {
                block.copyMemory(from: old, byteCount: count * stride)
                pool.free(old, shift: Int(shift))
            }
            storage = block
            shift = UInt8(truncatingIfNeeded: newShift)
        }
        UnsafeMutableRawPointer(elements + index + 1).copyMemory(
            from: elements + index, byteCount: (count - index) * stride)
        (elements + index).initialize(to: element)
        length &+= 1
        return true
    }

    /// Removes the elements of a range; the storage goes back with the last.
    mutating func remove(_ range: Range<Int>, into pool: inout BlockPool) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        guard !range.isEmpty else { return }
        UnsafeMutableRawPointer(elements + range.lowerBound).copyMemory(
            from: elements + range.upperBound,
            byteCount: (count - range.upperBound) * MemoryLayout<Element>.stride)
        length &-= UInt16(truncatingIfNeeded: range.count)
        if length == 0 { clear(into: &pool) }
    }

    /// Empties the list and gives the storage back.
    @inline(__always)
    mutating func clear(into pool: inout BlockPool) {
        if let storage {
            pool.free(storage, shift: Int(shift))
        }
        storage = nil
        length = 0
    }
}
