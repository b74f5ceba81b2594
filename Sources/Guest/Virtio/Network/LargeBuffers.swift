// Transmit buffers for TCP segments of up to 64 KiB, which the device cuts into packets (§5.1.6.2).
//
// Made one by one as they are needed, and kept: who sends so much at once does it again.

import SwiftletMemory

/// A few buffers of 64 KiB, and whose they are.
struct LargeBuffers: ~Copyable {
    /// Octets of each, virtio's header included.
    static var size: Int { 65536 }

    private struct Entry: BitwiseCopyable {
        var memory: UnsafeMutableRawPointer?
        /// The descriptor that it is in flight behind; `VirtioQueue.none` if it is not.
        var descriptor: UInt16
    }

    /// How many there may be.
    let most: Int
    private(set) var inFlight = 0
    /// Those that were made.
    private var count = 0
    /// `most` places, made with the first.
    private var entries: UnsafeMutablePointer<Entry>?

    init(most: Int) {
        self.most = most
    }

    deinit {
        guard let entries else { return }
        for index in 0..<count {
            PageFrames.free(
                entries[index].memory.unsafelyUnwrapped, count: Self.size / PageFrames.size)
        }
        entries.deallocate()
    }

    /// A buffer that goes into flight behind `descriptor`; nil if there is none.
    mutating func take(for descriptor: UInt16) -> UnsafeMutableRawPointer? {
        let entries = entries ?? .allocate(capacity: most)
        self.entries = entries
        var index = 0
        while index < count, entries[index].descriptor != VirtioQueue.none { index &+= 1 }
        if index == count {
            guard count < most,
                let memory = PageFrames.allocate(Self.size / PageFrames.size, zeroed: false)
            else { return nil }
            entries[index] = Entry(memory: memory, descriptor: VirtioQueue.none)
            count &+= 1
        }
        entries[index].descriptor = descriptor
        inFlight &+= 1
        return entries[index].memory
    }

    /// Takes back the buffer behind `descriptor`; false if it has none.
    mutating func release(_ descriptor: UInt16) -> Bool {
        guard let entries else { return false }
        for index in 0..<count where entries[index].descriptor == descriptor {
            entries[index].descriptor = VirtioQueue.none
            inFlight &-= 1
            return true
        }
        return false
    }
}
