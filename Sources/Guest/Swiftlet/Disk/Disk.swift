// The disk for applications: sectors, read and written by number.

import SwiftletRuntime
import SwiftletVirtio
import _Concurrency

#if hasFeature(Embedded)
    /// The machine's disk (`swiftlet run --disk FILE`). There is no file system on it: sectors are
    /// the application's to use.
    ///
    /// Requests of several tasks are under way together, and end in any order. A request that was
    /// begun ends, even if its task is cancelled.
    public final class Disk: @unchecked Sendable {
        /// Octets in a sector.
        public static var sectorSize: Int { VirtioBlock.sectorSize }

        private let queue: DiskQueue

        /// Opens the machine's disk; as often as wanted.
        ///
        /// - Throws: `.noDisk` if there is none, or none that can be driven.
        public init() throws(DiskError) {
            queue = try DiskQueue.shared()
        }

        /// Sectors of the disk, from number 0 on.
        public var sectorCount: UInt64 { queue.sectorCount }
        /// Whether nothing can be written.
        public var isReadOnly: Bool { queue.isReadOnly }

        /// Reads `count` sectors.
        ///
        /// - Returns: 512 octets for each.
        /// - Throws: `.outOfRange`, `.failed`, `.broken`.
        nonisolated(nonsending)
            public func read(sector: UInt64, count: Int) async throws(DiskError) -> [UInt8]
        {
            var left = try check(sector, count)
            var octets: [UInt8] = []
            octets.reserveCapacity(left)
            while left > 0 {
                let part = min(left, VirtioBlock.longestTransfer)
                let slot = try await queue.takeSlot()
                try queue.read(slot, sector: sector + Disk.sectors(octets.count), octets: part)
                try await queue.finish(slot)
                queue.take(slot, count: part, into: &octets)
                left -= part
            }
            return octets
        }

        /// Writes whole sectors. They outlast the machine's end at once, and the host's after
        /// `flush`. If it throws, some of them may have been written.
        ///
        /// - Throws: `.readOnly`, `.partialSector`, `.outOfRange`, `.failed`, `.broken`.
        nonisolated(nonsending)
            public func write(_ octets: [UInt8], sector: UInt64) async throws(DiskError)
        {
            if isReadOnly { throw .readOnly }
            if octets.count % Disk.sectorSize != 0 { throw .partialSector }
            _ = try check(sector, octets.count / Disk.sectorSize)
            var done = 0
            while done < octets.count {
                let part = min(octets.count - done, VirtioBlock.longestTransfer)
                let slot = try await queue.takeSlot()
                try queue.write(
                    slot, sector: sector + Disk.sectors(done), octets, from: done, count: part)
                try await queue.finish(slot)
                queue.giveBack(slot)
                done += part
            }
        }

        /// Waits until all writes that have ended would outlast the host's end.
        ///
        /// - Throws: `.failed`, `.broken`.
        nonisolated(nonsending) public func flush() async throws(DiskError) {
            guard queue.needsFlush else { return }
            let slot = try await queue.takeSlot()
            try queue.flush(slot)
            try await queue.finish(slot)
            queue.giveBack(slot)
        }

        private static func sectors(_ octets: Int) -> UInt64 {
            UInt64(octets / sectorSize)
        }

        /// The octets of sectors that are all on the disk.
        @inline(never)
        private func check(_ sector: UInt64, _ count: Int) throws(DiskError) -> Int {
            guard count >= 0, sector <= sectorCount, UInt64(count) <= sectorCount - sector else {
                throw .outOfRange
            }
            return count * Disk.sectorSize
        }
    }
#endif
