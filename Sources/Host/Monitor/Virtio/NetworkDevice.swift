// Network device (virtio 1.2 §5.1): one pair of queues over a link; checksums and the cutting of TCP
// segments are left to the host where the link allows it, both ways.
//
// Frames go between the guest's buffers and the kernel without a copy here. Each turn takes what
// both queues hold, and no more than that: a queue's size bounds it.

import CSwiftletKVM
import Glibc

/// Frames that a card has passed on, without their virtio headers.
struct NetworkTraffic: Equatable {
    var receivedFrames: UInt64 = 0
    var receivedOctets: UInt64 = 0
    var sentFrames: UInt64 = 0
    var sentOctets: UInt64 = 0
}

/// A network card.
struct NetworkDevice {
    private enum Feature {
        static let checksum: UInt64 = 1 << 0
        static let guestChecksum: UInt64 = 1 << 1
        static let address: UInt64 = 1 << 5
        static let guestSegmentation: UInt64 = 1 << 7
        static let guestSegmentationIPv6: UInt64 = 1 << 8
        static let hostSegmentation: UInt64 = 1 << 11
        static let hostSegmentationIPv6: UInt64 = 1 << 12
        static let mergeableBuffers: UInt64 = 1 << 15
        /// What a link offers that computes checksums.
        static let offloads =
            checksum | guestChecksum | guestSegmentation | guestSegmentationIPv6
            | hostSegmentation | hostSegmentationIPv6
    }

    private static let type: UInt32 = 1
    private static let queueSize: UInt16 = 256
    private static let receiveQueue = 0
    private static let transmitQueue = 1
    /// struct virtio_net_hdr with num_buffers (§5.1.6).
    static let headerSize = 12
    private static let bufferCountOffset = 10
    private static let needsChecksum: UInt8 = 1
    private static let segmentedTCPv4: UInt8 = 1
    private static let segmentedTCPv6: UInt8 = 4
    private static let ethernetHeaderSize = 14
    /// An IP packet of 64 KiB and its Ethernet header.
    private static let longestFrame = 65536 + 18

    var registers: VirtioRegisters
    let link: NetworkLink
    /// A vector for the header, then those of a chain.
    private let vectors = UnsafeMutablePointer<iovec>.allocate(
        capacity: DeviceQueue.longestChain + 1)
    /// Receive buffers that were taken and not filled yet; empty between turns.
    private var ahead = BuffersAhead()
    private let header = UnsafeMutableRawPointer.allocate(byteCount: headerSize, alignment: 4)
    private(set) var traffic = NetworkTraffic()
    private var isStarted = false

    /// - Parameters:
    ///   - address: the card's hardware address, six octets.
    ///   - link: where frames come from and go to.
    init(address: [UInt8], link: NetworkLink) {
        registers = VirtioRegisters(
            deviceType: Self.type,
            features: Feature.address | Feature.mergeableBuffers
                | (link.offloadsChecksums ? Feature.offloads : 0),
            configuration: address + [1, 0], queueSizes: [Self.queueSize, Self.queueSize])
        self.link = link
    }

    /// Gives back what the card allocated; it may not be used afterwards. A machine's lives to the end.
    func release() {
        vectors.deallocate()
        header.deallocate()
        ahead.deallocate()
    }

    /// Whether a frame that arrives could be handed over.
    func hasReceiveBuffers(_ memory: GuestMemory) -> Bool {
        registers.isRunning
            && ((try? registers.queues[Self.receiveQueue].pendingCount(memory)) ?? 0)
                >= buffersForFrame
    }

    /// Buffers that must be offered before a frame is asked for: a link gives it whole or cuts it, and
    /// says nothing of its length before. A driver that offers fewer in all gets the short ones.
    private var buffersForFrame: UInt16 {
        let features = registers.features & (Feature.guestSegmentation | Feature.mergeableBuffers)
        guard features == Feature.guestSegmentation | Feature.mergeableBuffers else { return 1 }
        return min(registers.queues[Self.receiveQueue].size, 64)
    }

    /// Sends what the driver offers, and fills its buffers with what has arrived. True if the
    /// driver wants to hear of it.
    mutating func process(_ memory: GuestMemory) throws(QueueViolation) -> Bool {
        guard registers.isRunning else {
            isStarted = false
            return false
        }
        if !isStarted { start(memory) }
        try transmit(memory)
        try receive(memory)
        let hasSent = registers.queues[Self.transmitQueue].takeSignal(memory)
        let hasReceived = registers.queues[Self.receiveQueue].takeSignal(memory)
        return hasSent || hasReceived
    }

    private mutating func start(_ memory: GuestMemory) {
        isStarted = true
        // Long segments arrive in several buffers, or not at all.
        let joins = Feature.guestChecksum | Feature.guestSegmentation | Feature.mergeableBuffers
        link.setOffload(
            checksums: registers.features & Feature.guestChecksum != 0,
            segments: registers.features & joins == joins,
            segmentsIPv6: registers.features & joins == joins
                && registers.features & Feature.guestSegmentationIPv6 != 0)
        // Every turn looks for receive buffers anyway.
        registers.queues[Self.receiveQueue].setNotification(false, memory)
    }

    private mutating func transmit(_ memory: GuestMemory) throws(QueueViolation) {
        var budget = try registers.queues[Self.transmitQueue].pendingCount(memory)
        guard budget > 0 else { return }
        while budget > 0,
            let chain = try registers.queues[Self.transmitQueue].take(memory, vectors + 1)
        {
            budget -= 1
            guard chain.writableCount == 0 else {
                throw QueueViolation("a writable buffer to be sent")
            }
            // What is no frame is dropped, as a card would drop it.
            let length = chain.readableOctets - Self.headerSize
            if length >= Self.ethernetHeaderSize, length <= Self.longestFrame {
                splitHeader(chain.readableCount)
                checkHeader()
                link.send(vectors, count: chain.readableCount + 1)
                traffic.sentFrames += 1
                traffic.sentOctets += UInt64(length)
            }
            registers.queues[Self.transmitQueue].use(chain, written: 0, memory)
        }
        registers.queues[Self.transmitQueue].setNotification(true, memory)
    }

    /// Copies the header out of a chain's first octets, and takes them off it.
    private func splitHeader(_ count: Int) {
        var done = 0
        for index in 1...count where done < Self.headerSize {
            let part = min(vectors[index].iov_len, Self.headerSize - done)
            if part > 0 {
                (header + done).copyMemory(from: vectors[index].iov_base, byteCount: part)
            }
            vectors[index].iov_base += part
            vectors[index].iov_len -= part
            done += part
        }
        vectors[0] = iovec(iov_base: header, iov_len: Self.headerSize)
    }

    /// Leaves in the header what was agreed on: a checksum to be computed, perhaps a segment to be
    /// cut, or nothing. The host checks the values against the frame.
    private func checkHeader() {
        let flags = header.load(as: UInt8.self)
        let isWanted =
            flags & Self.needsChecksum != 0 && registers.features & Feature.checksum != 0
        header.storeBytes(of: isWanted ? Self.needsChecksum : 0, as: UInt8.self)
        let type = header.load(fromByteOffset: 1, as: UInt8.self)
        let needed =
            type == Self.segmentedTCPv4
            ? Feature.hostSegmentation
            : type == Self.segmentedTCPv6 ? Feature.hostSegmentationIPv6 : 0
        let isCut = isWanted && registers.features & needed != 0
        if !isCut {
            // No segmentation: type, header length and segment size.
            header.storeBytes(of: 0, toByteOffset: 1, as: UInt8.self)
            header.storeBytes(of: 0, toByteOffset: 2, as: UInt32.self)
        }
        if !isWanted { header.storeBytes(of: 0, toByteOffset: 6, as: UInt32.self) }
        header.storeBytes(of: 0, toByteOffset: Self.bufferCountOffset, as: UInt16.self)
    }

    private mutating func receive(_ memory: GuestMemory) throws(QueueViolation) {
        if registers.features & Feature.mergeableBuffers != 0 {
            return try receiveMerged(memory)
        }
        var budget = try registers.queues[Self.receiveQueue].pendingCount(memory)
        while budget > 0,
            let chain = try registers.queues[Self.receiveQueue].take(memory, vectors)
        {
            budget -= 1
            try check(chain)
            let length = link.receive(vectors, count: chain.writableCount)
            guard length > Self.headerSize else {
                registers.queues[Self.receiveQueue].putBack(1)
                return
            }
            count(length)
            setBufferCount(1, vectors, chain.writableCount)
            registers.queues[Self.receiveQueue].use(chain, written: length, memory)
        }
    }

    private func check(_ chain: DescriptorChain) throws(QueueViolation) {
        guard chain.readableCount == 0,
            chain.writableOctets > Self.headerSize + Self.ethernetHeaderSize
        else { throw QueueViolation("a receive buffer that holds no frame") }
    }

    private mutating func count(_ length: Int) {
        traffic.receivedFrames += 1
        traffic.receivedOctets += UInt64(length - Self.headerSize)
    }

    /// Receives frames that may fill several buffers (§5.1.6.4): as many buffers are taken ahead as
    /// the longest frame needs, and those that are left over are put back in the end.
    private mutating func receiveMerged(_ memory: GuestMemory) throws(QueueViolation) {
        var budget = try registers.queues[Self.receiveQueue].pendingCount(memory)
        defer {
            registers.queues[Self.receiveQueue].putBack(UInt16(ahead.count))
            ahead.clear()
        }
        while true {
            while budget > 0, ahead.octets < Self.headerSize + Self.longestFrame,
                ahead.hasRoom,
                let chain = try registers.queues[Self.receiveQueue].take(memory, ahead.end)
            {
                budget -= 1
                ahead.append(chain)
                try check(chain)
            }
            // Without room for another buffer, what is left in the queue is the next turn's.
            guard ahead.count > 0, ahead.count + Int(budget) >= Int(buffersForFrame) else { return }
            let length = link.receive(ahead.front, count: ahead.vectorCount)
            guard length > Self.headerSize else { return }
            count(length)
            setBufferCount(
                ahead.buffers(for: length), ahead.front, ahead.vectorCount)
            var left = length
            repeat {
                let chain = ahead.removeFirst()
                let written = min(left, chain.writableOctets)
                registers.queues[Self.receiveQueue].use(chain, written: written, memory)
                left -= written
            } while left > 0
        }
    }

    /// Writes num_buffers: how many buffers the frame fills (§5.1.6.4.1).
    private func setBufferCount(
        _ value: Int, _ vectors: UnsafePointer<iovec>, _ count: Int
    ) {
        var place = Self.bufferCountOffset
        var octets = UInt16(truncatingIfNeeded: value)
        var written = 0
        for index in 0..<count where written < 2 {
            let length = vectors[index].iov_len
            while place < length, written < 2 {
                (vectors[index].iov_base + place).storeBytes(
                    of: UInt8(truncatingIfNeeded: octets), as: UInt8.self)
                octets >>= 8
                place += 1
                written += 1
            }
            place -= length
        }
    }
}
