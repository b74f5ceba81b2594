// The machine's heap.

/// Allocations of any size.
public enum Heap {
    nonisolated(unsafe) static var allocator = HeapAllocator()

    /// Allocates at least `size` octets, aligned to 16 or, if larger, to `alignment` (a power of
    /// two). Nil when no memory is left.
    @inline(__always)
    public static func allocate(_ size: Int, alignment: Int = 16) -> UnsafeMutableRawPointer? {
        allocator.allocate(size, alignment: alignment)
    }

    /// Gives back what `allocate` returned. A pointer that it did not return ends the machine.
    @inline(__always)
    public static func free(_ pointer: UnsafeMutableRawPointer) {
        allocator.free(pointer)
    }

    /// Octets that may be used at `pointer`, at least as many as were asked for.
    public static func usableSize(_ pointer: UnsafeRawPointer) -> Int {
        allocator.usableSize(pointer)
    }
}
