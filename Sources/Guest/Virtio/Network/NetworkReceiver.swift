// The receiving half of a network device (§5.1.6.3, §5.1.6.4).
//
// Descriptor n always has buffer n, and every buffer is with the device except while its frame is
// being looked at: there is nothing to allocate, and to recycle a buffer is to offer it again.

import CSwiftletMachine
import SwiftletMachine
import SwiftletMemory

/// A frame that was received and not yet recycled. Its owner gives it back with `recycle`.
public struct ReceivedFrame: ~Copyable {
    /// The first buffer; none for a frame that has been copied out of its buffers.
    @usableFromInline let descriptor: UInt16
    /// How many buffers it fills, one behind the other.
    @usableFromInline let count: UInt16
    /// Octets of the Ethernet frame.
    public let length: Int
    /// True if TCP's or UDP's checksum needs no check: the device did it, or the frame comes from
    /// the same host and was never on a wire (§5.1.6.4.1).
    public let checksumVerified: Bool

    @inlinable init(
        descriptor: UInt16, count: UInt16 = 1, length: Int, checksumVerified: Bool
    ) {
        self.descriptor = descriptor
        self.count = count
        self.length = length
        self.checksumVerified = checksumVerified
    }
}

/// Receives frames.
public struct NetworkReceiver: ~Copyable {
    /// Octets of a buffer, virtio's header included: two to a page frame.
    @usableFromInline static var bufferSize: Int { 2048 }
    /// The longest merged frame that is taken: an IP packet of 64 KiB and its Ethernet header.
    static var longestMergedFrame: Int { 65536 + 18 }

    @usableFromInline var queue: VirtioQueue
    @usableFromInline let buffers: UnsafeMutableRawPointer
    private let frameCount: Int
    @usableFromInline let mergesBuffers: Bool
    @usableFromInline let trustsChecksums: Bool
    private let takesSegmented: Bool
    private let takesSegmentedIPv6: Bool
    /// Where merged frames are put together whose buffers do not follow each other; made when the
    /// first one comes.
    private var scratch: UnsafeMutableRawPointer?
    /// Frames that were dropped, by reason.
    public private(set) var drops = VirtioNetworkDrops()

    /// Fills the queue; the device sees the buffers with the first `kick`.
    init(
        transport: VirtioTransport, features: VirtioFeatures, buffers wanted: Int
    ) throws(VirtioError) {
        let bounded = UInt16(min(max(wanted, 2), 1024))
        // Queue 0 is receiveq1 (§5.1.2).
        var queue = try VirtioQueue(0, of: transport, maximumSize: bounded, features: features)
        let size = Int(queue.size)
        let frameCount = (size &* Self.bufferSize &+ PageFrames.size &- 1) / PageFrames.size
        guard let buffers = PageFrames.allocate(frameCount, zeroed: false) else {
            throw VirtioError(.outOfMemory, "no memory for receive buffers")
        }
        let physical = DirectMap.physicalAddress(of: buffers)
        for _ in 0..<size {
            guard let descriptor = queue.takeDescriptor() else { break }
            queue.describe(
                descriptor, buffer: physical + UInt64(Int(descriptor) &* Self.bufferSize),
                length: UInt32(Self.bufferSize), deviceWrites: true)
            queue.offer(descriptor)
        }
        self.queue = queue
        self.buffers = buffers
        self.frameCount = frameCount
        mergesBuffers = features.contains(.networkMergeableBuffers)
        trustsChecksums = features.contains(.networkGuestChecksum)
        takesSegmented = features.contains(.networkGuestSegmentation)
        takesSegmentedIPv6 = features.contains(.networkGuestSegmentationIPv6)
        scratch = nil
    }

    /// The device was reset before.
    deinit {
        PageFrames.free(buffers, count: frameCount)
        if let scratch {
            PageFrames.free(scratch, count: Self.scratchFrames)
        }
    }

    private static var scratchFrames: Int {
        (longestMergedFrame &+ PageFrames.size &- 1) / PageFrames.size
    }

    /// The next received frame, if there is one. Malformed ones are dropped and counted.
    @inlinable @_optimize(speed)
    public mutating func next() -> ReceivedFrame? {
        while let used = queue.pollInline() {
            let header = UInt(bitPattern: buffers) &+ UInt(used.descriptor) &* UInt(Self.bufferSize)
            let length = Int(used.length) &- NetworkHeader.size
            // A device can merge only as many buffers as it has used already (§5.1.6.4).
            let count =
                mergesBuffers && length > 0
                ? swiftlet_load16(header &+ NetworkHeader.bufferCount) : 1
            guard length > 0, count == 1,
                swiftlet_load8(header &+ NetworkHeader.segmentationType) == 0
            else {
                if let frame = nextUnusual(used, count: count) { return frame }
                continue
            }
            let flags = swiftlet_load8(header &+ NetworkHeader.flags)
            return ReceivedFrame(
                descriptor: used.descriptor, length: length, checksumVerified: isVerified(flags))
        }
        return nil
    }

    @inlinable func isVerified(_ flags: UInt8) -> Bool {
        trustsChecksums
            && flags & (NetworkHeader.dataValid | NetworkHeader.needsChecksum) != 0
    }

    /// The octets of a frame. The device no longer has the buffer.
    @inlinable @_lifetime(borrow self)
    public func bytes(of frame: borrowing ReceivedFrame) -> RawSpan {
        let start = frameStart(frame)
        // The range lies within the buffer: `poll` has checked the length, and `merge` its own.
        let bytes = UnsafeRawBufferPointer(start: start, count: frame.length).bytes
        return _overrideLifetime(bytes, borrowing: self)
    }

    /// The same, for an owner that must change other parts of itself while it reads.
    ///
    /// The octets stay in place until the frame is recycled.
    @inlinable public func unownedBytes(of frame: borrowing ReceivedFrame) -> UnsafeRawBufferPointer
    {
        UnsafeRawBufferPointer(start: frameStart(frame), count: frame.length)
    }

    @inlinable func frameStart(_ frame: borrowing ReceivedFrame) -> UnsafeRawPointer {
        if frame.descriptor == VirtioQueue.none { return mergedStart }
        return UnsafeRawPointer(
            buffers + (Int(frame.descriptor) &* Self.bufferSize &+ NetworkHeader.size))
    }

    /// Only frames that `merge` made are merged, so there is a scratch buffer.
    @usableFromInline var mergedStart: UnsafeRawPointer {
        UnsafeRawPointer(scratch.unsafelyUnwrapped)
    }

    /// Gives a frame's buffer to the device again.
    @inlinable @_optimize(speed)
    public mutating func recycle(_ frame: consuming ReceivedFrame) {
        // The descriptor of a frame that was copied is none, which is not offered.
        queue.offer(frame.descriptor)
        if frame.count > 1 { recycleRest(frame) }
        // The device may run dry in a long batch: let it see what is free, without an exit.
        if queue.unpublishedCount >= 16 {
            queue.publish()
        }
    }

    /// The loop over the three above; see `VirtioNetwork.receive`.
    @inlinable mutating func receive(
        budget: Int, answeringWith transmitter: inout NetworkTransmitter,
        _ body: (RawSpan, _ checksumVerified: Bool, inout NetworkTransmitter) -> Void
    ) -> Int {
        var count = 0
        while count < budget, let frame = next() {
            body(bytes(of: frame), frame.checksumVerified, &transmitter)
            recycle(frame)
            count &+= 1
        }
        return count
    }

    // MARK: The unusual

    @inline(never) @usableFromInline
    mutating func recycleRest(_ frame: borrowing ReceivedFrame) {
        for index in 1..<frame.count { queue.offer(frame.descriptor &+ index) }
    }

    /// Frames that are malformed, that fill more than one buffer, or that are several segments of TCP
    /// joined by the device.
    @inline(never) @usableFromInline
    mutating func nextUnusual(_ used: UsedBuffer, count: UInt16) -> ReceivedFrame? {
        let header = UInt(bitPattern: buffers) &+ UInt(used.descriptor) &* UInt(Self.bufferSize)
        guard used.length > UInt32(NetworkHeader.size), count > 0 else {
            drops.malformed &+= 1
            queue.offer(used.descriptor)
            return nil
        }
        let flags = swiftlet_load8(header &+ NetworkHeader.flags)
        let segmentation = swiftlet_load8(header &+ NetworkHeader.segmentationType)
        let isGood =
            segmentation == 0 || takesSegmented && segmentation == NetworkHeader.segmentedTCPv4
            || takesSegmentedIPv6 && segmentation == NetworkHeader.segmentedTCPv6
        guard let frame = join(used, count, checksumVerified: isVerified(flags)) else { return nil }
        guard isGood else {
            drops.malformed &+= 1
            recycle(frame)
            return nil
        }
        return frame
    }

    /// Buffers of the longest frame that is taken, one of them in part.
    private static var mostBuffers: Int { 34 }

    /// Collects the buffers of a frame. A device uses them in the order in which they were offered,
    /// so most of the time they lie one behind the other, each full, and the frame stays there;
    /// else it is copied, and the buffers go back.
    private mutating func join(
        _ first: UsedBuffer, _ count: UInt16, checksumVerified: Bool
    ) -> ReceivedFrame? {
        var parts = InlineArray<34, UsedBuffer>(repeating: first)
        var length = Int(first.length) &- NetworkHeader.size
        var isInPlace = true
        for index in 1..<max(Int(count), 1) {
            guard let part = queue.poll() else {
                queue.fail("merged frame has fewer buffers than it says")
                return nil
            }
            length &+= Int(part.length)
            guard index < Self.mostBuffers else {
                isInPlace = false
                queue.offer(part.descriptor)
                continue
            }
            let last = parts[index &- 1]
            isInPlace =
                isInPlace && part.descriptor == last.descriptor &+ 1
                && last.length == UInt32(Self.bufferSize)
            parts[index] = part
        }
        let fits = length <= Self.longestMergedFrame && Int(count) <= Self.mostBuffers
        if isInPlace, fits {
            return ReceivedFrame(
                descriptor: first.descriptor, count: count, length: length,
                checksumVerified: checksumVerified)
        }
        let scratch = scratch ?? PageFrames.allocate(Self.scratchFrames, zeroed: false)
        self.scratch = scratch
        var position = 0
        for index in 0..<min(Int(count), Self.mostBuffers) {
            let skip = index == 0 ? NetworkHeader.size : 0
            let octets = Int(parts[index].length) &- skip
            if fits, let scratch {
                (scratch + position).copyMemory(
                    from: buffers + (Int(parts[index].descriptor) &* Self.bufferSize &+ skip),
                    byteCount: octets)
            }
            position &+= octets
            queue.offer(parts[index].descriptor)
        }
        guard fits, scratch != nil else {
            drops.tooLong &+= 1
            return nil
        }
        return ReceivedFrame(
            descriptor: VirtioQueue.none, length: length, checksumVerified: checksumVerified)
    }
}
