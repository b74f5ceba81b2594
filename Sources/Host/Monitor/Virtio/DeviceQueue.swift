// A split virtqueue, the device's side (virtio 1.2 §2.7): nothing that the driver wrote is believed.
//
// The guest stands still while a queue is worked on, so a word that was checked stays as it was
// checked. Every descriptor, index and length is looked at once; the first broken rule ends the
// queue, and with it no more than the guest's own device.

import CSwiftletKVM
import Glibc

/// The first rule that a driver broke.
struct QueueViolation: Error, Equatable {
    var rule: String

    init(_ rule: String) {
        self.rule = rule
    }
}

/// A buffer that the driver offers: segments in a list of vectors, those to be read first.
struct DescriptorChain: Equatable {
    var head: UInt16
    var readableCount = 0
    var writableCount = 0
    var readableOctets = 0
    var writableOctets = 0
}

/// One virtqueue; a plain value, which could be saved and restored.
struct DeviceQueue: Equatable {
    /// The most segments of one buffer.
    static let longestChain = 64
    private static let descriptorSize: UInt64 = 16
    private enum Flag {
        static let next: UInt16 = 1
        static let write: UInt16 = 2
        static let known: UInt16 = 3
    }

    let maximumSize: UInt16
    // What the driver sets before the queue is ready.
    var size: UInt16
    var descriptors: UInt64 = 0
    var available: UInt64 = 0
    var used: UInt64 = 0
    private(set) var isReady = false
    private var usesEventIndex = false
    /// The next entry of the available ring.
    private(set) var nextAvailable: UInt16 = 0
    private(set) var usedIndex: UInt16 = 0
    /// The used index when the driver was last considered for a signal.
    private var signalledIndex: UInt16 = 0

    init(maximumSize: UInt16) {
        self.maximumSize = maximumSize
        size = maximumSize
    }

    /// Takes the queue into use, if all of it lies where devices may write.
    ///
    /// - Returns: false if the driver's size or addresses are none.
    mutating func enable(_ memory: GuestMemory, usesEventIndex: Bool) -> Bool {
        let count = UInt64(size)
        guard size > 0, size <= maximumSize, size & (size - 1) == 0,
            descriptors % 16 == 0, available % 2 == 0, used % 4 == 0,
            memory.devicePointer(descriptors, Self.descriptorSize * count) != nil,
            memory.devicePointer(available, 6 + 2 * count) != nil,
            memory.devicePointer(used, 6 + 8 * count) != nil
        else { return false }
        self.usesEventIndex = usesEventIndex
        isReady = true
        return true
    }

    mutating func disable() { isReady = false }

    /// Buffers that the driver has offered and that are not taken.
    func pendingCount(_ memory: GuestMemory) throws(QueueViolation) -> UInt16 {
        guard isReady else { return 0 }
        let count = load16(memory, available + 2) &- nextAvailable
        guard count <= size else {
            throw QueueViolation("an available index beyond the queue's size")
        }
        return count
    }

    /// Takes the next buffer; nil if none is offered.
    ///
    /// - Parameter vectors: room for `longestChain` segments.
    mutating func take(
        _ memory: GuestMemory, _ vectors: UnsafeMutablePointer<iovec>
    ) throws(QueueViolation) -> DescriptorChain? {
        guard try pendingCount(memory) > 0 else { return nil }
        let slot = UInt64(nextAvailable & (size - 1))
        var chain = DescriptorChain(head: load16(memory, available + 4 + 2 * slot))
        var index = chain.head
        while true {
            guard index < size else { throw QueueViolation("a descriptor that does not exist") }
            // Also what ends a chain that leads back to itself.
            let count = chain.readableCount + chain.writableCount
            guard count < Self.longestChain else { throw QueueViolation("too long a chain") }
            let entry = pointer(memory, descriptors + Self.descriptorSize * UInt64(index))
            let address = entry.load(as: UInt64.self)
            let length = entry.load(fromByteOffset: 8, as: UInt32.self)
            let flags = entry.load(fromByteOffset: 12, as: UInt16.self)
            guard flags & ~Flag.known == 0 else {
                throw QueueViolation("a descriptor flag that was not agreed on")
            }
            guard let start = memory.devicePointer(address, UInt64(length)) else {
                throw QueueViolation("a buffer outside of memory")
            }
            vectors[count] = iovec(iov_base: start, iov_len: Int(length))
            if flags & Flag.write != 0 {
                chain.writableCount += 1
                chain.writableOctets += Int(length)
            } else {
                guard chain.writableCount == 0 else {
                    throw QueueViolation("a readable segment behind a writable one")
                }
                chain.readableCount += 1
                chain.readableOctets += Int(length)
            }
            guard flags & Flag.next != 0 else { break }
            index = entry.load(fromByteOffset: 14, as: UInt16.self)
        }
        nextAvailable &+= 1
        return chain
    }

    /// The buffers taken last go back to be taken again.
    mutating func putBack(_ count: UInt16) { nextAvailable &-= count }

    /// Gives a buffer back to the driver, with so many octets written into it.
    mutating func use(_ chain: DescriptorChain, written: Int, _ memory: GuestMemory) {
        let entry = pointer(memory, used + 4 + 8 * UInt64(usedIndex & (size - 1)))
        entry.storeBytes(of: UInt32(chain.head), as: UInt32.self)
        entry.storeBytes(
            of: UInt32(truncatingIfNeeded: written), toByteOffset: 4, as: UInt32.self)
        usedIndex &+= 1
        pointer(memory, used + 2).storeBytes(of: usedIndex, as: UInt16.self)
    }

    /// Says whether the driver is to notify of its next buffer (§2.7.10).
    func setNotification(_ isWanted: Bool, _ memory: GuestMemory) {
        guard isReady else { return }
        if usesEventIndex {
            let event = isWanted ? nextAvailable : nextAvailable &+ 0x8000
            pointer(memory, used + 4 + 8 * UInt64(size)).storeBytes(of: event, as: UInt16.self)
        } else {
            pointer(memory, used).storeBytes(of: isWanted ? 0 : 1, as: UInt16.self)
        }
    }

    /// Whether the driver wants to be told of what was used since the last call (§2.7.7).
    mutating func takeSignal(_ memory: GuestMemory) -> Bool {
        guard isReady, usedIndex != signalledIndex else { return false }
        let fresh = usedIndex &- signalledIndex
        signalledIndex = usedIndex
        if usesEventIndex {
            let event = load16(memory, available + 4 + 2 * UInt64(size))
            return usedIndex &- event &- 1 < fresh
        }
        return load16(memory, available) & 1 == 0
    }

    private func load16(_ memory: GuestMemory, _ address: UInt64) -> UInt16 {
        pointer(memory, address).load(as: UInt16.self)
    }

    /// A place in the rings, which `enable` has checked as a whole.
    private func pointer(_ memory: GuestMemory, _ address: UInt64) -> UnsafeMutableRawPointer {
        memory.base + Int(address - memory.range.lowerBound)
    }
}
