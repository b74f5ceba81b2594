// Block device (§5.2): requests of three parts (header, data, status), a few at a time.
//
// Each request has a slot with a buffer of the driver's own, so a caller's memory is never in the
// device's hands.

import SwiftletMachine
import SwiftletMemory

extension VirtioFeatures {
    /// VIRTIO_BLK_F_RO: nothing can be written.
    static let blockReadOnly = bit(5)
    /// VIRTIO_BLK_F_FLUSH: what was written lasts after a flush; without it, at once.
    static let blockFlush = bit(9)
}

/// A disk.
public struct VirtioBlock: ~Copyable {
    /// What is asked of the device.
    public enum Operation: Equatable, Sendable {
        case read, write, flush
    }

    /// How a request ended.
    public enum Outcome: UInt8, Sendable {
        /// VIRTIO_BLK_S_OK
        case done = 0
        /// VIRTIO_BLK_S_IOERR
        case failed = 1
        /// VIRTIO_BLK_S_UNSUPP
        case unsupported = 2
    }

    /// A request that has ended.
    public struct Completion: Equatable, Sendable {
        public var slot: Int
        public var outcome: Outcome
    }

    /// Octets in a sector, whatever the disk's own are (§5.2.4).
    public static var sectorSize: Int { 512 }
    /// Octets that one request moves at most.
    public static var longestTransfer: Int { 32768 }

    private static var mostSlots: Int { 4 }
    private static var descriptorsPerSlot: Int { 3 }
    /// A power of two that holds all slots' descriptors.
    private static var queueSize: UInt16 { 16 }
    private static var headerSize: Int { 16 }
    /// A slot's header and status, in the queue's frames.
    private static var headSize: Int { 32 }
    private static var framesPerSlot: Int { longestTransfer / PageFrames.size }
    /// No status of the specification's: the device is to write another.
    private static var noStatus: UInt8 { 0xFF }

    /// Sectors of the disk.
    public let sectorCount: UInt64
    /// Whether nothing can be written.
    public let isReadOnly: Bool
    /// Requests that can be under way at once.
    public let slotCount: Int

    private var queue: VirtioQueue
    /// The slots' buffers, one behind the other.
    private let buffers: UnsafeMutableRawPointer
    private let transport: VirtioTransport
    private let canFlush: Bool
    /// A bit for each slot that is free.
    private var freeSlots: UInt

    /// - Throws: why the device cannot be used.
    public init(transport: VirtioTransport) throws(VirtioError) {
        guard transport.deviceType == .block else {
            throw VirtioError(.absent, "not a block device")
        }
        let features = try transport.negotiate(
            required: [], wanted: [.blockReadOnly, .blockFlush])
        do throws(VirtioError) {
            let sectorCount = try Self.sectorCount(transport)
            let queue = try VirtioQueue(
                0, of: transport, maximumSize: Self.queueSize, features: features,
                trailingBytes: Self.mostSlots * Self.headSize)
            let slotCount = min(Int(queue.size) / Self.descriptorsPerSlot, Self.mostSlots)
            guard slotCount > 0 else {
                throw VirtioError(.unsupported, "block queue is too short for a request")
            }
            guard let buffers = PageFrames.allocate(Self.mostSlots * Self.framesPerSlot) else {
                throw VirtioError(.outOfMemory, "no memory for a disk's buffers")
            }
            self.sectorCount = sectorCount
            self.slotCount = slotCount
            self.buffers = buffers
            self.queue = queue
        } catch {
            transport.fail()
            throw error
        }
        isReadOnly = features.contains(.blockReadOnly)
        canFlush = features.contains(.blockFlush)
        freeSlots = 1 << UInt(slotCount) &- 1
        self.transport = transport
        takeDescriptors()
        transport.start()
    }

    /// The device lets go of the buffers before they are freed.
    deinit {
        try? transport.reset()
        PageFrames.free(buffers, count: Self.mostSlots * Self.framesPerSlot)
    }

    private static func sectorCount(_ transport: VirtioTransport) throws(VirtioError) -> UInt64 {
        guard transport.configurationSize >= 8 else {
            throw VirtioError(.misbehaved, "block configuration is too short")
        }
        var count: UInt64 = 0
        // The two halves may change in between (§2.5.1).
        for _ in 0..<8 {
            let generation = transport.configurationGeneration
            count =
                UInt64(transport.configuration.load32(4)) << 32
                | UInt64(transport.configuration.load32(0))
            if generation == transport.configurationGeneration { break }
        }
        // What has no number of octets is not reached.
        return min(count, UInt64(Int64.max) / UInt64(sectorSize))
    }

    /// The free list of a new queue counts upwards: slot n has the descriptors from 3n on.
    private mutating func takeDescriptors() {
        for _ in 0..<(slotCount &* Self.descriptorsPerSlot) { _ = queue.takeDescriptor() }
    }

    // MARK: Requests

    /// A free slot, taken; nil if every one is in use.
    public mutating func takeSlot() -> Int? {
        guard freeSlots != 0 else { return nil }
        let slot = freeSlots.trailingZeroBitCount
        freeSlots &= freeSlots &- 1
        return slot
    }

    /// Gives a slot back that is not under way.
    public mutating func freeSlot(_ slot: Int) {
        guard slot >= 0, slot < slotCount, queue.owns(Self.head(slot)) else { return }
        freeSlots |= 1 << UInt(slot)
    }

    /// What a slot's request reads from or writes to the disk. Not to be touched while it is under
    /// way.
    public func buffer(_ slot: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: buffers + slot &* Self.longestTransfer, count: Self.longestTransfer)
    }

    /// Whether flushing takes a request: without, all that was written lasts already.
    public var needsFlush: Bool { canFlush && !isReadOnly }

    /// Has the device work on a slot that was taken; `notify` tells it.
    ///
    /// - Parameters:
    ///   - sector: the first sector; with `octets` (a multiple of 512, at most `longestTransfer`) it
    ///     must be on the disk. Both are 0 for a flush.
    /// - Returns: false if that is no request; nothing happens then.
    public mutating func submit(
        _ operation: Operation, slot: Int, sector: UInt64, octets: Int
    ) -> Bool {
        let head = Self.head(slot)
        guard slot >= 0, slot < slotCount, freeSlots >> UInt(slot) & 1 == 0, queue.owns(head),
            octets >= 0, octets <= Self.longestTransfer, octets % Self.sectorSize == 0,
            octets > 0 || operation == .flush, sector <= sectorCount,
            UInt64(octets / Self.sectorSize) <= sectorCount &- sector
        else { return false }
        let header = queue.trailing + slot &* Self.headSize
        // VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH
        let type: UInt32 = operation == .read ? 0 : operation == .write ? 1 : 4
        header.storeBytes(of: type, as: UInt32.self)
        header.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        header.storeBytes(of: sector, toByteOffset: 8, as: UInt64.self)
        header.storeBytes(of: Self.noStatus, toByteOffset: Self.headerSize, as: UInt8.self)
        queue.describe(
            head, buffer: DirectMap.physicalAddress(of: header),
            length: UInt32(Self.headerSize), deviceWrites: false)
        queue.describe(
            head &+ 2, buffer: DirectMap.physicalAddress(of: header + Self.headerSize), length: 1,
            deviceWrites: true)
        if octets == 0 {
            queue.link(head, to: head &+ 2)
        } else {
            queue.describe(
                head &+ 1,
                buffer: DirectMap.physicalAddress(of: buffers + slot &* Self.longestTransfer),
                length: UInt32(octets), deviceWrites: operation == .read)
            queue.link(head, to: head &+ 1)
            queue.link(head &+ 1, to: head &+ 2)
        }
        queue.offer(head)
        return true
    }

    /// Tells the device of what was submitted, if it wants to be told.
    public mutating func notify() {
        if queue.needsKick { queue.kick() }
    }

    /// The next request that has ended; its slot is still taken.
    public mutating func takeCompletion() -> Completion? {
        guard let used = queue.poll() else { return nil }
        // Only heads are in flight, so this is one.
        let slot = Int(used.descriptor) / Self.descriptorsPerSlot
        let status = queue.trailing.load(
            fromByteOffset: slot &* Self.headSize &+ Self.headerSize, as: UInt8.self)
        guard let outcome = Outcome(rawValue: status) else {
            queue.fail("block device gave no status that there is")
            return Completion(slot: slot, outcome: .failed)
        }
        return Completion(slot: slot, outcome: outcome)
    }

    /// The first broken rule, if any: no request ends any more.
    public var failure: VirtioError? { queue.failure }

    // MARK: Interrupts

    /// Wants an interrupt at the next end of a request. Call before `hlt`, with interrupts off.
    ///
    /// - Returns: true if one has ended already: do not wait.
    public mutating func armInterrupt() -> Bool {
        notify()
        return queue.arm()
    }

    /// Wants no interrupts, and ends the one that woke. Call after `hlt`.
    public mutating func disarmInterrupt() {
        queue.disarm()
        _ = transport.acknowledgeInterrupt()
    }

    private static func head(_ slot: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: slot &* descriptorsPerSlot)
    }
}
