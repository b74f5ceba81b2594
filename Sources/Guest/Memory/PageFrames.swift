// The machine's page frames.

import SwiftletMachine

/// 4 KiB units of physical memory, in physically contiguous runs.
public enum PageFrames {
    /// Octets in a frame.
    public static let size = 4096

    /// Frames that can be handed out, now or when others come back.
    public static var totalCount: Int { Heap.allocator.frames.totalCount }

    /// Frames that can be handed out now.
    public static var freeCount: Int { Heap.allocator.frames.freeCount }

    /// Adds RAM; call before `finishRegions`. What is not a whole frame is left out.
    public static func addRegion(_ region: MemoryRegion) {
        Heap.allocator.frames.addRegion(region)
    }

    /// Takes the allocator's own tables out of the added regions; allocation works from here on.
    ///
    /// - Returns: false if no region can hold them.
    public static func finishRegions() -> Bool {
        Heap.allocator.frames.finishRegions()
    }

    #if hasFeature(Embedded)
        /// From now on the built-in monitor gives free blocks back to its host while nothing runs
        /// here: all of a block but its first frame, which has the links of its list.
        @inline(__always)
        public static func showToMonitor() {
            // They are there once `finishRegions` has returned true.
            BuiltInMonitor.show(frames: Heap.allocator.frames.tags.unsafelyUnwrapped)
        }
    #endif

    /// Gives memory that was in use at boot to the allocator.
    public static func donate(_ region: MemoryRegion) {
        Heap.allocator.frames.donate(region)
    }

    /// `count` contiguous frames in the direct map; nil if there is no such run.
    public static func allocate(_ count: Int, zeroed: Bool = true) -> UnsafeMutableRawPointer? {
        #if hasFeature(Embedded)
            return Heap.allocator.frames.allocate(count, zeroed: zeroed)
        #else
            // Under test, drivers get memory of the host's.
            let memory = UnsafeMutableRawPointer.allocate(byteCount: count * size, alignment: size)
            if zeroed { memory.initializeMemory(as: UInt8.self, repeating: 0, count: count * size) }
            return memory
        #endif
    }

    /// Gives back what `allocate` returned, with the same count.
    public static func free(_ pointer: UnsafeMutableRawPointer, count: Int) {
        #if hasFeature(Embedded)
            Heap.allocator.frames.free(pointer, count: count)
        #else
            pointer.deallocate()
        #endif
    }
}
