// The sending half of a network device (§5.1.6.2).
//
// Descriptor n always has buffer n: header and frame in one piece. A sent buffer is taken back only
// when no other is free, so that completions cost neither interrupts nor exits.

import CSwiftletMachine
import SwiftletMachine
import SwiftletMemory

/// Sends frames.
public struct NetworkTransmitter: ~Copyable {
    @usableFromInline static var bufferSize: Int { 2048 }
    /// The longest frame that can be sent, in octets.
    @inlinable public static var longestFrame: Int { bufferSize &- NetworkHeader.size }

    @usableFromInline var queue: VirtioQueue
    @usableFromInline let buffers: UnsafeMutableRawPointer
    private let frameCount: Int
    /// Buffers for what the device is to cut into segments.
    private var large: LargeBuffers
    private let cutsIPv6: Bool
    /// A frame found no buffer since the last wait: wake when one comes back.
    @usableFromInline var isStarved = false

    /// The card's address, six octets in the low bits.
    public let hardwareAddress: UInt64
    /// The longest IP packet, in octets.
    public let maximumTransmissionUnit: Int
    /// True if the device computes checksums.
    public let offloadsTransmitChecksum: Bool

    init(
        transport: VirtioTransport, features: VirtioFeatures, buffers wanted: Int,
        largeBuffers: Int, hardwareAddress: UInt64, maximumTransmissionUnit: Int
    ) throws(VirtioError) {
        let bounded = UInt16(min(max(wanted, 2), 1024))
        // Queue 1 is transmitq1 (§5.1.2).
        var queue = try VirtioQueue(1, of: transport, maximumSize: bounded, features: features)
        let size = Int(queue.size)
        let frameCount = (size &* Self.bufferSize &+ PageFrames.size &- 1) / PageFrames.size
        guard let buffers = PageFrames.allocate(frameCount, zeroed: false) else {
            throw VirtioError(.outOfMemory, "no memory for transmit buffers")
        }
        let physical = DirectMap.physicalAddress(of: buffers)
        for _ in 0..<size {
            guard let descriptor = queue.takeDescriptor() else { break }
            queue.describe(
                descriptor, buffer: physical + UInt64(Int(descriptor) &* Self.bufferSize),
                length: UInt32(Self.bufferSize), deviceWrites: false)
        }
        for descriptor in (0..<queue.size).reversed() {
            queue.freeDescriptor(descriptor)
        }
        self.queue = queue
        self.buffers = buffers
        self.frameCount = frameCount
        self.hardwareAddress = hardwareAddress
        self.maximumTransmissionUnit = maximumTransmissionUnit
        offloadsTransmitChecksum = features.contains(.networkChecksum)
        large = LargeBuffers(
            most: features.contains(.networkHostSegmentation) ? min(largeBuffers, 8) : 0)
        cutsIPv6 = features.contains(.networkHostSegmentationIPv6)
    }

    /// The longest IP packet that the device cuts into segments, in octets; 0 if it does not.
    public var longestSegmentedPacket: Int {
        large.most > 0 ? LargeBuffers.size &- NetworkHeader.size &- 14 : 0
    }

    /// The same for segments over IPv6.
    public var longestSegmentedPacketIPv6: Int { cutsIPv6 ? longestSegmentedPacket : 0 }

    /// The device was reset before.
    deinit {
        PageFrames.free(buffers, count: frameCount)
    }

    /// Queues one frame; the device hears of it at `flush`.
    ///
    /// - Parameters:
    ///   - length: octets of the frame, Ethernet header included; at most `longestFrame`.
    ///   - checksumStart: octets from the frame's first to where summing starts.
    ///   - checksumOffset: octets from there to the checksum field, which holds the pseudo-header's
    ///     sum.
    ///   - needsChecksum: whether the device is to fill in that field; only if
    ///     `offloadsTransmitChecksum`.
    ///   - segmentSize: if not 0, the frame is a TCP segment for the device to cut into segments with
    ///     so many octets of payload; up to `longestSegmentedPacket`.
    ///   - headerLength: octets of such a frame's headers, a hint (§5.1.6.2): options may be left out.
    ///   - isIPv6: whether such a segment is one over IPv6.
    ///   - fill: writes every octet of the frame.
    /// - Returns: false if there is no room now: `fill` was not called, nothing was sent.
    @inlinable public mutating func transmit(
        length: Int, checksumStart: UInt16, checksumOffset: UInt16, needsChecksum: Bool,
        segmentSize: UInt16 = 0, headerLength: UInt16 = 0, isIPv6: Bool = false,
        fill: (inout MutableRawSpan) -> Void
    ) -> Bool {
        guard length > 0, length <= Self.longestFrame || segmentSize > 0,
            let descriptor = takeBuffer()
        else {
            return false
        }
        var start = buffers + Int(descriptor) &* Self.bufferSize
        if length > Self.longestFrame {
            guard let buffer = takeLarge(descriptor, length: length) else { return false }
            start = buffer
        }
        // flags, gso_type, hdr_len, gso_size, csum_start; then csum_offset, num_buffers = 0
        // (§5.1.6.2.1).
        var low: UInt64 = 0
        var high: UInt32 = 0
        if needsChecksum && offloadsTransmitChecksum {
            low = UInt64(checksumStart) << 48 | UInt64(NetworkHeader.needsChecksum)
            high = UInt32(checksumOffset)
            if segmentSize > 0 {
                let type =
                    isIPv6 ? NetworkHeader.segmentedTCPv6 : NetworkHeader.segmentedTCPv4
                low |= UInt64(type) << 8 | UInt64(headerLength) << 16 | UInt64(segmentSize) << 32
            }
        }
        start.storeBytes(of: low, as: UInt64.self)
        start.storeBytes(of: high, toByteOffset: 8, as: UInt32.self)
        // The driver owns the buffer, and the range lies within it.
        var frame = UnsafeMutableRawBufferPointer(start: start + NetworkHeader.size, count: length)
            .mutableBytes
        fill(&frame)
        queue.setReadableLength(
            UInt32(truncatingIfNeeded: length &+ NetworkHeader.size), of: descriptor)
        queue.offer(descriptor)
        return true
    }

    @inlinable mutating func takeBuffer() -> UInt16? {
        if let descriptor = queue.takeDescriptor() { return descriptor }
        return reclaim()
    }

    /// Takes back what the device has sent; the first such buffer, if any.
    @inline(never) @usableFromInline
    mutating func reclaim() -> UInt16? {
        if !queue.hasUsed() {
            // Perhaps the device only waits for being told.
            queue.kick()
        }
        while let used = queue.pollInline() {
            if large.inFlight > 0 { releaseLarge(used.descriptor) }
            queue.freeDescriptor(used.descriptor)
        }
        queue.disarm()
        let descriptor = queue.takeDescriptor()
        isStarved = descriptor == nil
        return descriptor
    }

    /// Puts a large buffer behind a descriptor that was taken; nil, and the descriptor is free again,
    /// if there is none now.
    @inline(never) @usableFromInline
    mutating func takeLarge(_ descriptor: UInt16, length: Int) -> UnsafeMutableRawPointer? {
        guard length &+ NetworkHeader.size <= LargeBuffers.size else {
            queue.freeDescriptor(descriptor)
            return nil
        }
        var buffer = large.take(for: descriptor)
        if buffer == nil, large.inFlight > 0 {
            // Sent ones are taken back only now; so is what else was sent.
            if let other = reclaim() { queue.freeDescriptor(other) }
            buffer = large.take(for: descriptor)
        }
        guard let buffer else {
            queue.freeDescriptor(descriptor)
            isStarved = true
            return nil
        }
        queue.describe(
            descriptor, buffer: DirectMap.physicalAddress(of: buffer),
            length: UInt32(LargeBuffers.size), deviceWrites: false)
        return buffer
    }

    /// A descriptor came back: if it had a large buffer, it has its own again.
    @inline(never)
    private mutating func releaseLarge(_ descriptor: UInt16) {
        guard large.release(descriptor) else { return }
        queue.describe(
            descriptor,
            buffer: DirectMap.physicalAddress(of: buffers)
                + UInt64(Int(descriptor) &* Self.bufferSize),
            length: UInt32(Self.bufferSize), deviceWrites: false)
    }

    /// Tells the device about queued frames, if it wants to be told.
    @inlinable public mutating func flush() {
        queue.kick()
    }
}
