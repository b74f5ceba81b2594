// A virtqueue, the driver's side: how it is laid out, made and told apart when broken.
//
// Split (§2.7) or, where the device offers that, packed (§2.8). The rings lie in memory that the
// device may write at any time. The driver keeps what it must be sure of (which descriptors are in
// flight, how long their buffers are) in memory of its own beside them, and reads every shared word
// exactly once before it checks and uses it.

import CSwiftletMachine
import SwiftletMachine
import SwiftletMemory

/// A buffer that the device has given back.
public struct UsedBuffer: Equatable, Sendable {
    /// The descriptor.
    public var descriptor: UInt16
    /// Octets that the device says it wrote: at most the buffer's size.
    public var length: UInt32

    @inlinable init(descriptor: UInt16, length: UInt32) {
        self.descriptor = descriptor
        self.length = length
    }
}

/// One virtqueue.
public struct VirtioQueue: ~Copyable {
    /// What the driver knows of a descriptor, out of the device's reach as far as it is honest.
    @usableFromInline struct Descriptor {
        /// Octets that the device may write; 0 for buffers that it only reads.
        @usableFromInline var capacity: UInt32
        /// The next free descriptor, in the free list; of a packed queue's buffer in flight, the
        /// number of its descriptors.
        @usableFromInline var next: UInt16
        @usableFromInline var state: State
    }

    @usableFromInline enum State: UInt8 {
        case free, owned, inFlight
    }

    /// Marks the end of the free list; no queue has as many descriptors (§2.7: at most 32768).
    @usableFromInline static var none: UInt16 { 0xFFFF }

    /// The number of descriptors, a power of two.
    public let size: UInt16
    /// Memory behind the rings for the driver's small buffers, as long as asked for at `init`.
    let trailing: UnsafeMutableRawPointer
    /// What was described. Of a split queue the device reads it here, of a packed one each offer
    /// copies it into the ring.
    @usableFromInline let descriptorTable: UInt
    /// Of a packed queue: what the driver wants to be told of (§2.8.14), with the ring before it.
    @usableFromInline let availableRing: UInt
    /// Of a packed queue: what the device wants to be told of.
    @usableFromInline let usedRing: UInt
    @usableFromInline let notifier: QueueNotifier
    @usableFromInline let isPacked: Bool
    /// VIRTIO_F_EVENT_IDX was agreed on.
    let hasEventIndex: Bool
    /// The same, for a split queue: it is asked on the way to sleep.
    @usableFromInline let usesEventIndex: Bool
    /// `size` elements, in the queue's frames behind the rings.
    @usableFromInline let descriptors: UnsafeMutablePointer<Descriptor>
    private let memory: UnsafeMutableRawPointer
    private let frameCount: Int

    /// `size` of a split queue that is sound, otherwise 0. The checks that split queues need in any
    /// case compare with it, so that they pay nothing for there being packed ones.
    @usableFromInline var splitSize: UInt16
    @usableFromInline var firstFree: UInt16
    /// Where the next offered descriptor goes; counts on and wraps at 2^16.
    @usableFromInline var availableIndex: UInt16 = 0
    /// The available index that the device can see.
    @usableFromInline var publishedIndex: UInt16 = 0
    /// The published index when the device was last considered for a notification.
    @usableFromInline var kickedIndex: UInt16 = 0
    /// The next used entry to read.
    @usableFromInline var usedIndex: UInt16 = 0
    /// The device's used index as last read and found credible.
    @usableFromInline var usedLimit: UInt16 = 0
    /// The first broken rule, if any: nothing more is read from the queue.
    public internal(set) var failure: VirtioError?

    /// Makes the queue and enables it in the device.
    ///
    /// - Parameters:
    ///   - index: the queue's number in the device.
    ///   - maximumSize: the most descriptors that the driver has use for.
    ///   - features: as negotiated.
    ///   - trailingBytes: octets behind the rings for the driver.
    init(
        _ index: UInt16, of transport: VirtioTransport, maximumSize: UInt16,
        features: VirtioFeatures, trailingBytes: Int = 0
    ) throws(VirtioError) {
        let offered = transport.maximumQueueSize(index)
        guard offered > 0 else {
            throw VirtioError(.unsupported, "device lacks a queue")
        }
        let size = Self.powerOfTwo(
            notAbove: UInt16(min(offered, UInt32(max(maximumSize, 1)), 32768)))
        let count = UInt(size)
        let isPacked = features.intersection(.queues).contains(.packedRing)
        // Alignments: 16 for descriptors, 2 for the available and 4 for the used ring (§2.7), 4 for
        // both words of a packed queue (§2.8.10.1).
        let ring = isPacked ? 16 &* count : 0
        let available = ring &+ 16 &* count
        let used = isPacked ? available &+ 4 : (available &+ 6 &+ 2 &* count &+ 3) & ~3
        let states = isPacked ? used &+ 4 : (used &+ 6 &+ 8 &* count &+ 7) & ~7
        let trailing = (states &+ count &* UInt(MemoryLayout<Descriptor>.stride) &+ 15) & ~15
        let frameCount =
            (Int(trailing) &+ trailingBytes &+ PageFrames.size &- 1) / PageFrames.size
        guard let memory = PageFrames.allocate(frameCount) else {
            throw VirtioError(.outOfMemory, "no memory for a virtqueue")
        }
        let physical = DirectMap.physicalAddress(of: memory)
        do throws(VirtioError) {
            notifier = try transport.enableQueue(
                index, size: size,
                at: QueueAddresses(
                    descriptors: physical + UInt64(ring), available: physical + UInt64(available),
                    used: physical + UInt64(used)))
        } catch {
            PageFrames.free(memory, count: frameCount)
            throw error
        }
        self.size = size
        self.memory = memory
        self.frameCount = frameCount
        self.trailing = memory + Int(trailing)
        descriptorTable = UInt(bitPattern: memory)
        availableRing = UInt(bitPattern: memory) &+ available
        usedRing = UInt(bitPattern: memory) &+ used
        self.isPacked = isPacked
        hasEventIndex = features.contains(.eventIndex)
        usesEventIndex = hasEventIndex && !isPacked
        splitSize = isPacked ? 0 : size
        // The frames are zeroed and ours; this part is bound to this type for good.
        descriptors = (memory + Int(states)).bindMemory(to: Descriptor.self, capacity: Int(size))
        for index in 0..<Int(size) {
            descriptors[index] = Descriptor(
                capacity: 0, next: UInt16(truncatingIfNeeded: index &+ 1), state: .free)
        }
        descriptors[Int(size) &- 1].next = Self.none
        firstFree = 0
        failure = nil
        disarm()
    }

    /// The owner has reset the device before: it writes into the frames no more.
    deinit {
        PageFrames.free(memory, count: frameCount)
    }

    private static func powerOfTwo(notAbove value: UInt16) -> UInt16 {
        1 << UInt16(15 &- value.leadingZeroBitCount)
    }

    /// Marks the queue as broken, once and for all.
    @inline(never) @usableFromInline
    mutating func fail(_ reason: StaticString) {
        splitSize = 0
        if failure == nil {
            failure = VirtioError(.misbehaved, reason)
        }
    }
}
