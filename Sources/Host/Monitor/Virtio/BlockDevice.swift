// Block device (virtio 1.2 §5.2): sectors of one file, read, written and made to last.
//
// Octets go between the guest's buffers and the kernel without a copy here, while the guest stands
// still. A request that asks for what cannot be is answered with an error, and one that is no
// request at all stops the device.

import CSwiftletKVM
import Glibc

/// A disk.
struct BlockDevice {
    private enum Feature {
        static let longestSegment: UInt64 = 1 << 1
        static let mostSegments: UInt64 = 1 << 2
        static let readOnly: UInt64 = 1 << 5
        static let flush: UInt64 = 1 << 9
    }

    /// The types of requests (§5.2.6).
    private enum Request {
        static let read: UInt32 = 0
        static let write: UInt32 = 1
        static let flush: UInt32 = 4
        static let identify: UInt32 = 8
    }

    /// What a request ends with.
    enum Status: UInt8 {
        case done = 0
        case failed = 1
        case unsupported = 2
    }

    private static let type: UInt32 = 2
    private static let queueSize: UInt16 = 64
    /// Type, a reserved word, and the sector.
    private static let headerSize = 16
    /// Besides the header's segment and that of the status.
    private static let mostSegments = DeviceQueue.longestChain - 2
    private static let longestSegment = 65536
    /// Octets of a request at most, and those after which the rest waits for the next turn.
    static let budget = mostSegments * longestSegment
    /// 20 octets that tell a disk from others (§5.2.6).
    private static let name = Array("swiftlet-disk".utf8) + .init(repeating: 0, count: 7)

    var registers: VirtioRegisters
    let disk: DiskFile
    private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: DeviceQueue.longestChain)

    init(_ disk: DiskFile) {
        func octets(_ value: some FixedWidthInteger) -> [UInt8] {
            withUnsafeBytes(of: value.littleEndian) { Array($0) }
        }
        registers = VirtioRegisters(
            deviceType: Self.type,
            features: Feature.longestSegment | Feature.mostSegments | Feature.flush
                | (disk.isReadOnly ? Feature.readOnly : 0),
            configuration: octets(disk.sectorCount) + octets(UInt32(Self.longestSegment))
                + octets(UInt32(Self.mostSegments)),
            queueSizes: [Self.queueSize])
        self.disk = disk
    }

    /// Gives back what the device allocated; it may not be used afterwards.
    func release() { vectors.deallocate() }

    /// Answers what the driver asks, within the budget. True if the driver wants to hear of it, or
    /// if more is left to be done: then nobody is to wait.
    mutating func process(_ memory: GuestMemory) throws(QueueViolation) -> Bool {
        guard registers.isRunning else { return false }
        var left = Self.budget
        var requests = try registers.queues[0].pendingCount(memory)
        while left > 0, requests > 0,
            let chain = try registers.queues[0].take(memory, vectors)
        {
            requests -= 1
            guard chain.readableOctets >= Self.headerSize else {
                throw QueueViolation("a request without a header")
            }
            guard let status = takeStatus(chain) else {
                throw QueueViolation("a request without room for its status")
            }
            let (result, written) = answer(chain)
            status.storeBytes(of: result.rawValue, as: UInt8.self)
            left -= chain.readableOctets + chain.writableOctets
            registers.queues[0].use(chain, written: written, memory)
        }
        registers.queues[0].setNotification(true, memory)
        let isMoreLeft = try registers.queues[0].pendingCount(memory) > 0
        return registers.queues[0].takeSignal(memory) || isMoreLeft
    }

    /// Where the status goes: the last writable octet, which is taken off its vector.
    private func takeStatus(_ chain: DescriptorChain) -> UnsafeMutableRawPointer? {
        var index = chain.readableCount + chain.writableCount - 1
        while index >= chain.readableCount, vectors[index].iov_len == 0 { index -= 1 }
        guard index >= chain.readableCount else { return nil }
        vectors[index].iov_len -= 1
        return vectors[index].iov_base + vectors[index].iov_len
    }

    /// Does what a chain asks for; how it ended, and how many octets of the chain are written from
    /// its beginning on, the status included.
    private func answer(_ chain: DescriptorChain) -> (Status, written: Int) {
        let (type, sector) = takeHeader(chain.readableCount)
        let room = chain.writableOctets - 1
        switch type {
        case Request.read:
            guard isOnDisk(sector, room),
                disk.read(
                    vectors + chain.readableCount, count: chain.writableCount, sector: sector)
            else { return (.failed, 0) }
            return (.done, room + 1)
        case Request.write:
            // Whoever has not agreed on flushing takes each write for lasting (§5.2.6.2).
            guard !disk.isReadOnly, isOnDisk(sector, chain.readableOctets - Self.headerSize),
                disk.write(vectors, count: chain.readableCount, sector: sector),
                registers.features & Feature.flush != 0 || disk.flush()
            else { return (.failed, 0) }
            return (.done, 1)
        case Request.flush:
            return disk.isReadOnly || disk.flush() ? (.done, 1) : (.failed, 0)
        case Request.identify:
            guard room == Self.name.count else { return (.failed, 0) }
            var place = 0
            for index in chain.readableCount..<(chain.readableCount + chain.writableCount) {
                for octet in 0..<vectors[index].iov_len {
                    (vectors[index].iov_base + octet).storeBytes(
                        of: Self.name[place], as: UInt8.self)
                    place += 1
                }
            }
            return (.done, room + 1)
        default:
            return (.unsupported, 0)
        }
    }

    /// The header's type and sector, wherever a driver cut it; its octets are taken off the vectors.
    private func takeHeader(_ count: Int) -> (type: UInt32, sector: UInt64) {
        var words: (UInt64, UInt64) = (0, 0)
        withUnsafeMutableBytes(of: &words) { header in
            var done = 0
            for index in 0..<count where done < Self.headerSize {
                let part = min(vectors[index].iov_len, Self.headerSize - done)
                guard part > 0 else { continue }
                header.baseAddress?.advanced(by: done)
                    .copyMemory(from: vectors[index].iov_base, byteCount: part)
                vectors[index].iov_base += part
                vectors[index].iov_len -= part
                done += part
            }
        }
        return (UInt32(truncatingIfNeeded: words.0.littleEndian), words.1.littleEndian)
    }

    /// Whether so many octets from `sector` are whole sectors of the disk, and not too many at once.
    private func isOnDisk(_ sector: UInt64, _ octets: Int) -> Bool {
        octets % Int(DiskFile.sectorSize) == 0 && octets <= Self.budget
            && sector <= disk.sectorCount
            && UInt64(octets) / DiskFile.sectorSize <= disk.sectorCount - sector
    }
}
