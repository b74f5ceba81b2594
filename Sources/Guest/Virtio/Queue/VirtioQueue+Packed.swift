// A packed virtqueue at work (§2.8): one ring, into which both sides write.
//
// Positions count on and wrap at 2^16, which is a multiple of twice the size: the low bits are the
// place in the ring, and the bit above them says how often the ring was gone round, which is what the
// wrap counters of the specification are (§2.8.1). A buffer's id is the number of its first
// descriptor. An offer is visible at once, so that nothing is ever left to publish.
//
// Split queues come here only when they are broken, or with a descriptor that nobody owns. All of it is
// mutating, since the compiler would copy a queue that is only looked at.

import CSwiftletMachine
import SwiftletMachine

extension VirtioQueue {
    /// VIRTQ_DESC_F_AVAIL (§2.8.1).
    private static var available: UInt16 { 1 << 7 }
    /// VIRTQ_DESC_F_USED.
    private static var used: UInt16 { 1 << 15 }

    /// The descriptor in the ring at a position.
    private func entry(_ position: UInt16) -> UInt {
        availableRing &- 16 &* UInt(size) &+ 16 &* UInt(position & (size &- 1))
    }

    /// The driver's wrap counter at a position: true at first.
    private func wrapCounter(_ position: UInt16) -> Bool { position & size == 0 }

    /// Puts an owned descriptor, and those linked behind it, into the ring (§2.8.21.1).
    @inline(never) @usableFromInline
    mutating func offerPacked(_ descriptor: UInt16) {
        // Each descriptor is in one buffer alone, so there is room; nothing is overwritten if not.
        guard failure == nil, owns(descriptor), availableIndex &- usedIndex < size else {
            return
        }
        let first = availableIndex
        var firstFlags: UInt16 = 0
        var part = descriptor
        repeat {
            let described = descriptorTable &+ 16 &* UInt(part)
            let place = entry(availableIndex)
            swiftlet_store64(place, swiftlet_load64(described))
            swiftlet_store32(place &+ 8, swiftlet_load32(described &+ 8))
            // Only the last one's id counts (§2.8.6).
            swiftlet_store16(place &+ 12, descriptor)
            let kind = swiftlet_load16(described &+ 12)
            let flags = kind | (wrapCounter(availableIndex) ? Self.available : Self.used)
            if availableIndex == first {
                firstFlags = flags
            } else {
                swiftlet_store16(place &+ 14, flags)
            }
            availableIndex &+= 1
            // VIRTQ_DESC_F_NEXT is 1.
            guard kind & 1 != 0 else { break }
            part = swiftlet_load16(described &+ 14)
        } while availableIndex &- usedIndex < size
        descriptors[Int(descriptor)].state = .inFlight
        descriptors[Int(descriptor)].next = availableIndex &- first
        // The first descriptor makes the whole buffer available. Stores stay in order on x86.
        swiftlet_compiler_barrier()
        swiftlet_store16(entry(first) &+ 14, firstFlags)
        publishedIndex = availableIndex
    }

    /// Notifies the device if it asked for that (§2.8.21.3.1).
    @inline(never) @usableFromInline
    mutating func kickPacked() {
        guard failure == nil, publishedIndex != kickedIndex else { return }
        swiftlet_full_barrier()
        let flags = swiftlet_load16(usedRing &+ 2)
        // RING_EVENT_FLAGS_DISABLE is 1, RING_EVENT_FLAGS_DESC 2 (§2.8.10).
        var wanted = flags != 1
        if flags == 2 {
            let event = swiftlet_load16(usedRing)
            let position = (event & 0x7FFF) &+ (event >> 15 == 1 ? 0 : size)
            let behind = (publishedIndex &- position &- 1) & (size &+ size &- 1)
            wanted = behind < publishedIndex &- kickedIndex
        }
        kickedIndex = publishedIndex
        if wanted {
            notifier.notify()
        }
    }

    /// True if the device has used the buffer at the next position.
    @inline(never) @usableFromInline
    mutating func hasUsedPacked() -> Bool {
        guard failure == nil, publishedIndex != usedIndex else { return false }
        let flags = swiftlet_load16(entry(usedIndex) &+ 14)
        let both = Self.available | Self.used
        // Loads stay in order on x86; the entry and the buffer must not be read above the flags.
        swiftlet_compiler_barrier()
        return flags & both == (wrapCounter(usedIndex) ? both : 0)
    }

    /// `poll` of a packed queue (§2.8.22).
    @inline(never) @usableFromInline
    mutating func pollPacked() -> UsedBuffer? {
        guard hasUsedPacked() else { return nil }
        let place = entry(usedIndex)
        let id = swiftlet_load16(place &+ 12)
        let length = swiftlet_load32(place &+ 8)
        guard id < size, descriptors[Int(id)].state == .inFlight else {
            fail("used buffer was not in flight")
            return nil
        }
        let capacity = descriptors[Int(id)].capacity
        guard length <= capacity || capacity == 0 else {
            fail("used length beyond the buffer")
            return nil
        }
        descriptors[Int(id)].state = .owned
        // The buffers in flight are what lies between the two indices: this cannot go beyond.
        usedIndex &+= descriptors[Int(id)].next
        return UsedBuffer(descriptor: id, length: capacity == 0 ? 0 : length)
    }

    /// What the driver wants to be told of (§2.8.10).
    @inline(never) @usableFromInline
    mutating func setPackedInterrupt(_ wanted: Bool) {
        guard wanted, hasEventIndex else {
            // RING_EVENT_FLAGS_ENABLE, RING_EVENT_FLAGS_DISABLE
            swiftlet_store16(availableRing &+ 2, wanted ? 0 : 1)
            return
        }
        let wrap: UInt16 = wrapCounter(usedIndex) ? 0x8000 : 0
        swiftlet_store16(availableRing, usedIndex & (size &- 1) | wrap)
        swiftlet_store16(availableRing &+ 2, 2)
    }
}
