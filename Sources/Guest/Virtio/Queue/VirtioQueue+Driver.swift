// A virtqueue at work: offering buffers, taking them back, and telling each other.
//
// What stands here is the way of split queues. Packed ones, and broken ones, fall out of it at a check
// that is there anyway (`splitSize`), into functions that are never inlined (`VirtioQueue+Packed`).

import CSwiftletMachine
import SwiftletMachine

extension VirtioQueue {
    // MARK: Descriptors

    /// Takes a free descriptor; nil if every one is in use.
    @inlinable mutating func takeDescriptor() -> UInt16? {
        let descriptor = firstFree
        guard descriptor != Self.none else { return nil }
        // The free list holds only numbers below `size`: it is made and changed here alone.
        firstFree = descriptors[Int(descriptor)].next
        descriptors[Int(descriptor)].state = .owned
        return descriptor
    }

    /// Gives a descriptor that is not in flight back to the free list.
    @inlinable mutating func freeDescriptor(_ descriptor: UInt16) {
        guard descriptor < size, descriptors[Int(descriptor)].state == .owned else { return }
        descriptors[Int(descriptor)].state = .free
        descriptors[Int(descriptor)].next = firstFree
        firstFree = descriptor
    }

    /// True if the descriptor was taken and is not in flight.
    func owns(_ descriptor: UInt16) -> Bool {
        descriptor < size && descriptors[Int(descriptor)].state == .owned
    }

    /// Says where an owned descriptor's buffer is (§2.7.5); a packed queue copies it when it is offered.
    ///
    /// - Parameter deviceWrites: true if the device fills the buffer, false if it reads it.
    func describe(
        _ descriptor: UInt16, buffer: GuestPhysicalAddress, length: UInt32, deviceWrites: Bool
    ) {
        guard owns(descriptor) else { return }
        let entry = descriptorTable &+ UInt(descriptor) &* 16
        swiftlet_store64(entry, buffer.rawValue)
        swiftlet_store32(entry &+ 8, length)
        // VIRTQ_DESC_F_WRITE is 2.
        swiftlet_store16(entry &+ 12, deviceWrites ? 2 : 0)
        swiftlet_store16(entry &+ 14, 0)
        descriptors[Int(descriptor)].capacity = deviceWrites ? length : 0
    }

    /// Sets how much of an owned descriptor's buffer the device reads.
    @inlinable func setReadableLength(_ length: UInt32, of descriptor: UInt16) {
        swiftlet_store32(descriptorTable &+ UInt(descriptor) &* 16 &+ 8, length)
    }

    // MARK: Towards the device

    /// Puts an owned descriptor into the available ring; the device sees it after `publish`, in a
    /// packed ring at once. A broken queue takes none.
    @inlinable @_optimize(speed)
    mutating func offer(_ descriptor: UInt16) {
        guard descriptor < splitSize else {
            offerPacked(descriptor)
            return
        }
        guard descriptors[Int(descriptor)].state == .owned else { return }
        descriptors[Int(descriptor)].state = .inFlight
        let slot = UInt(availableIndex & (size &- 1))
        swiftlet_store16(availableRing &+ 4 &+ 2 &* slot, descriptor)
        availableIndex &+= 1
    }

    /// Buffers that were offered and that the device cannot see yet.
    @inlinable var unpublishedCount: UInt16 { availableIndex &- publishedIndex }

    /// Lets the device see what was offered to a split queue (§2.7.13.3). A packed one has nothing that
    /// is unpublished.
    @inlinable mutating func publish() {
        guard availableIndex != publishedIndex else { return }
        // Stores stay in order on x86; the compiler must not move buffer contents below this one.
        swiftlet_compiler_barrier()
        swiftlet_store16(availableRing &+ 2, availableIndex)
        publishedIndex = availableIndex
    }

    /// True if buffers were offered since the last `kick`.
    @inlinable var needsKick: Bool { availableIndex != kickedIndex }

    /// Publishes, and notifies the device if it asked for that (§2.7.13.4).
    @inlinable @_optimize(speed)
    mutating func kick() {
        guard splitSize != 0 else {
            kickPacked()
            return
        }
        publish()
        guard publishedIndex != kickedIndex else { return }
        // The index must be seen before the device's wish is read (§2.7.13.4.1): a store before a
        // load is what x86 does not keep in order.
        swiftlet_full_barrier()
        let wanted: Bool
        if usesEventIndex {
            // avail_event lies behind the used ring's entries (§2.7.8).
            let event = swiftlet_load16(usedRing &+ 4 &+ 8 &* UInt(size))
            wanted = publishedIndex &- event &- 1 < publishedIndex &- kickedIndex
        } else {
            // VIRTQ_USED_F_NO_NOTIFY is 1.
            wanted = swiftlet_load16(usedRing) & 1 == 0
        }
        kickedIndex = publishedIndex
        if wanted {
            notifier.notify()
        }
    }

    // MARK: From the device

    /// Buffers between the driver's last look and the published index: all that can be used.
    @inlinable var outstandingCount: UInt16 { publishedIndex &- usedIndex }

    /// True if the device has used buffers that `poll` would give.
    @inlinable mutating func hasUsed() -> Bool {
        guard splitSize != 0 else { return hasUsedPacked() }
        return hasUsedSplit()
    }

    /// The same for a split queue that is sound.
    @inlinable mutating func hasUsedSplit() -> Bool {
        if usedIndex != usedLimit { return true }
        let index = swiftlet_load16(usedRing &+ 2)
        guard index != usedIndex else { return false }
        guard index &- usedIndex <= outstandingCount else {
            fail("used index beyond what was offered")
            return false
        }
        usedLimit = index
        // Loads stay in order on x86; entries and buffers must not be read above the index.
        swiftlet_compiler_barrier()
        return true
    }

    /// Takes the next buffer back; its descriptor is owned by the driver then (§2.7.14).
    @inlinable @_optimize(speed)
    mutating func poll() -> UsedBuffer? { pollInline() }

    /// The same, for the paths of packets: within the caller.
    @inlinable @inline(__always)
    mutating func pollInline() -> UsedBuffer? {
        guard splitSize != 0 else { return pollPacked() }
        guard hasUsedSplit() else { return nil }
        let entry = usedRing &+ 4 &+ 8 &* UInt(usedIndex & (size &- 1))
        let id = swiftlet_load32(entry)
        let length = swiftlet_load32(entry &+ 4)
        guard id < UInt32(size) else {
            fail("used descriptor does not exist")
            return nil
        }
        guard descriptors[Int(id)].state == .inFlight else {
            fail("used descriptor was not in flight")
            return nil
        }
        let capacity = descriptors[Int(id)].capacity
        guard length <= capacity || capacity == 0 else {
            fail("used length beyond the buffer")
            return nil
        }
        descriptors[Int(id)].state = .owned
        usedIndex &+= 1
        // What a device claims to have written into a buffer that it may only read means nothing.
        return UsedBuffer(
            descriptor: UInt16(truncatingIfNeeded: id), length: capacity == 0 ? 0 : length)
    }

    // MARK: Interrupts

    /// Asks for an interrupt at the next used buffer (§2.7.7, §2.7.10).
    ///
    /// - Returns: true if there is one already: do not wait.
    @inlinable mutating func arm() -> Bool {
        if usesEventIndex {
            swiftlet_store16(usedEvent, usedIndex)
        } else {
            setInterruptFlag(true)
        }
        // The wish must be seen before the index is read for the last time.
        swiftlet_full_barrier()
        return hasUsed()
    }

    /// Wants no interrupts.
    @inlinable mutating func disarm() {
        // With EVENT_IDX the flag stays 0 (§2.7.7.1), and the event is put half way round: a queue's
        // worth of buffers does not reach it.
        if usesEventIndex {
            swiftlet_store16(usedEvent, usedIndex &+ 0x8000)
        } else {
            setInterruptFlag(false)
        }
    }

    /// The same without EVENT_IDX: VIRTQ_AVAIL_F_NO_INTERRUPT is 1 (§2.7.7).
    @inlinable mutating func setInterruptFlag(_ wanted: Bool) {
        if isPacked {
            setPackedInterrupt(wanted)
        } else {
            swiftlet_store16(availableRing, wanted ? 0 : 1)
        }
    }

    /// used_event lies behind the available ring's entries (§2.7.6).
    @inlinable var usedEvent: UInt { availableRing &+ 4 &+ 2 &* UInt(size) }
}
