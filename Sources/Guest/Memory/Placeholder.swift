// Page frames: 4 KiB units of physical memory.

import SwiftletMachine

public enum PageFrames {
    public static let size = 4096

    /// `count` physically contiguous frames in the direct map, zeroed; nil if there are none.
    public static func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
        let p = UnsafeMutableRawPointer.allocate(byteCount: count * size, alignment: size)
        p.initializeMemory(as: UInt8.self, repeating: 0, count: count * size)
        return p
    }

    public static func free(_ pointer: UnsafeMutableRawPointer, count: Int) {
        pointer.deallocate()
    }
}
