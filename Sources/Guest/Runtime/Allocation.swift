// The C allocation functions that Swift's runtime calls, on our heap.

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    @_cdecl("swiftlet_malloc")
    func cMalloc(_ size: Int) -> UnsafeMutableRawPointer? {
        guard let memory = Heap.allocate(size) else { outOfMemory(size) }
        return memory
    }

    @_cdecl("calloc")
    func cCalloc(_ count: Int, _ size: Int) -> UnsafeMutableRawPointer? {
        let (total, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow else { return nil }
        let memory = cMalloc(total)
        memory?.initializeMemory(as: UInt8.self, repeating: 0, count: total)
        return memory
    }

    @_cdecl("realloc")
    func cRealloc(_ old: UnsafeMutableRawPointer?, _ size: Int) -> UnsafeMutableRawPointer? {
        guard let old else { return cMalloc(size) }
        let usable = Heap.usableSize(old)
        if size <= usable { return old }
        let new = cMalloc(size)
        new?.copyMemory(from: old, byteCount: usable)
        Heap.free(old)
        return new
    }

    @_cdecl("swiftlet_free")
    func cFree(_ pointer: UnsafeMutableRawPointer?) {
        if let pointer { Heap.free(pointer) }
    }

    @_cdecl("posix_memalign")
    func cPosixMemalign(
        _ result: UnsafeMutablePointer<UnsafeMutableRawPointer?>, _ alignment: Int, _ size: Int
    ) -> Int32 {
        // Swift's runtime does not look at the result: memory, or the end.
        guard let memory = Heap.allocate(size, alignment: alignment) else { outOfMemory(size) }
        result.pointee = memory
        return 0
    }

    @_cdecl("malloc_usable_size")
    func cMallocUsableSize(_ pointer: UnsafeMutableRawPointer?) -> Int {
        pointer.map { Heap.usableSize($0) } ?? 0
    }

    private func outOfMemory(_ size: Int) -> Never {
        StandardOutput.flush()
        Console.write("\nswiftlet: out of memory: ")
        Console.write(decimal: UInt64(truncatingIfNeeded: size))
        Console.write(" octets were asked for, ")
        Console.write(decimal: UInt64(PageFrames.freeCount) * 4)
        Console.write(" KiB of ")
        Console.write(decimal: UInt64(PageFrames.totalCount) * 4)
        Console.write(" KiB are free; give the machine more (-m)")
        Faults.fail("out of memory")
    }
#endif
