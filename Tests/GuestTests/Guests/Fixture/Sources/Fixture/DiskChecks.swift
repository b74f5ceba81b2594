// What the fixture does with its disk; each line that it prints is one result.

import Swiftlet

enum DiskChecks {
    /// - Parameter action: "write", "verify" what another run wrote, "read-only" or "many"; else the
    ///   disk is opened and no more.
    static func run(_ action: String) async {
        do throws(DiskError) {
            let disk = try Disk()
            print("disk \(disk.sectorCount) sectors\(disk.isReadOnly ? ", read only" : "")")
            switch action {
            case "write": try await write(disk)
            case "verify": try await verify(disk)
            case "read-only": try await readOnly(disk)
            case "many": await many(disk)
            default: break
            }
        } catch {
            print(error.description)
        }
    }

    /// Sectors that their numbers and a seed determine.
    private static func pattern(_ sector: UInt64, count: Int) -> [UInt8] {
        var octets: [UInt8] = []
        octets.reserveCapacity(count * Disk.sectorSize)
        for number in sector..<(sector + UInt64(count)) {
            for place in 0..<UInt64(Disk.sectorSize) {
                octets.append(UInt8(truncatingIfNeeded: number &* 31 &+ place &* 7 &+ place >> 8))
            }
        }
        return octets
    }

    /// Two octets more than a request carries, and one sector at the end.
    private static func write(_ disk: Disk) async throws(DiskError) {
        try await disk.write(pattern(3, count: 300), sector: 3)
        try await disk.write(pattern(disk.sectorCount - 1, count: 1), sector: disk.sectorCount - 1)
        try await disk.flush()
        print("written")
        try await verify(disk)
        await refuse("behind the end") { () async throws(DiskError) in
            _ = try await disk.read(sector: disk.sectorCount, count: 1)
        }
        await refuse("across the end") { () async throws(DiskError) in
            try await disk.write(pattern(0, count: 2), sector: disk.sectorCount - 1)
        }
        await refuse("half a sector") { () async throws(DiskError) in
            try await disk.write([1, 2, 3], sector: 0)
        }
        try await verify(disk)
    }

    private static func verify(_ disk: Disk) async throws(DiskError) {
        let many = try await disk.read(sector: 3, count: 300)
        let last = try await disk.read(sector: disk.sectorCount - 1, count: 1)
        let before = try await disk.read(sector: 0, count: 3)
        let isRight =
            many == pattern(3, count: 300) && last == pattern(disk.sectorCount - 1, count: 1)
            && before == [UInt8](repeating: 0, count: 3 * Disk.sectorSize)
        print(isRight ? "verified" : "other octets")
    }

    private static func readOnly(_ disk: Disk) async throws(DiskError) {
        try await verify(disk)
        try await disk.flush()
        await refuse("write") { () async throws(DiskError) in
            try await disk.write(pattern(0, count: 1), sector: 0)
        }
    }

    /// More tasks than requests can be under way, each at sectors of its own.
    private static func many(_ disk: Disk) async {
        var tasks: [Task<Bool, Never>] = []
        for number in 0..<20 as Range<UInt64> {
            tasks.append(Task { await writeAndRead(disk, from: 400 + number * 70) })
        }
        var right = 0
        for task in tasks where await task.value { right += 1 }
        print("\(right) of \(tasks.count) right")
    }

    private static func writeAndRead(_ disk: Disk, from sector: UInt64) async -> Bool {
        for count in [70, 1, 65] {
            let octets = pattern(sector, count: count)
            guard (try? await disk.write(octets, sector: sector)) != nil,
                (try? await disk.read(sector: sector, count: count)) == octets
            else { return false }
        }
        return true
    }

    private static func refuse(
        _ what: String, _ body: () async throws(DiskError) -> Void
    ) async {
        do throws(DiskError) {
            try await body()
            print("\(what): done")
        } catch {
            print("\(what): \(error.description)")
        }
    }
}
