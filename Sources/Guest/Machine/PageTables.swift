// Four-level page tables (Intel SDM volume 3 §4.5), built once at boot with W^X.

/// What a mapping allows.
public struct PageAccess: Equatable, Sendable {
    let bits: UInt64

    static let present: UInt64 = 1
    static let writable: UInt64 = 1 << 1
    static let writeThrough: UInt64 = 1 << 3
    static let cacheDisable: UInt64 = 1 << 4
    static let large: UInt64 = 1 << 7
    static let global: UInt64 = 1 << 8
    static let noExecute: UInt64 = 1 << 63

    public static let code = PageAccess(bits: present | global)
    public static let readOnly = PageAccess(bits: present | global | noExecute)
    public static let readWrite = PageAccess(bits: present | writable | global | noExecute)
    /// Device registers: uncached.
    public static let device = PageAccess(
        bits: present | writable | global | noExecute | writeThrough | cacheDisable)
}

/// A hierarchy of page tables that lie in the direct map.
public struct PageTables {
    /// The physical address of the top level (PML4), for CR3.
    public let root: UInt64
    /// True if 1 GiB pages may be used (CPUID 8000_0001h EDX bit 26).
    private let hasGigabytePages: Bool
    static let addressMask: UInt64 = 0x000F_FFFF_FFFF_F000
    static let entriesInTable = 512

    public static let pageSize: UInt64 = 1 << 12
    public static let largePageSize: UInt64 = 1 << 21
    public static let gigabytePageSize: UInt64 = 1 << 30

    /// Starts with nothing mapped.
    ///
    /// - Parameter allocate: hands out one zeroed frame, nil if there is none left.
    public init?(hasGigabytePages: Bool, allocate: () -> UnsafeMutableRawPointer?) {
        guard let table = allocate() else { return nil }
        root = DirectMap.physicalAddress(of: table).rawValue
        self.hasGigabytePages = hasGigabytePages
    }

    /// Maps `size` octets at `virtual` to `physical`, in pages as large as both allow. All three
    /// are multiples of the page size; what was mapped there at the same page size is replaced.
    ///
    /// - Returns: false if no frame was left for a table.
    @inline(never)
    @_optimize(speed)
    public func map(
        virtual: UInt64, physical: UInt64, size: UInt64, access: PageAccess,
        allocate: () -> UnsafeMutableRawPointer?
    ) -> Bool {
        var done: UInt64 = 0
        while done < size {
            let from = virtual + done
            let to = physical + done
            let left = size - done
            let level: Int
            let step: UInt64
            if hasGigabytePages, (from | to) % Self.gigabytePageSize == 0,
                left >= Self.gigabytePageSize
            {
                (level, step) = (2, Self.gigabytePageSize)
            } else if (from | to) % Self.largePageSize == 0, left >= Self.largePageSize {
                (level, step) = (1, Self.largePageSize)
            } else {
                (level, step) = (0, Self.pageSize)
            }
            guard let table = table(at: level, for: from, allocate: allocate) else { return false }
            // A run of entries in one table, without walking down again for each.
            let index = Int(from >> (12 + 9 * UInt64(level))) % Self.entriesInTable
            let count = min(Self.entriesInTable - index, Int(left / step))
            let large = level > 0 ? PageAccess.large : 0
            var entry = to | access.bits | large
            var place = table + index
            let end = place + count
            while place < end {
                place.pointee = entry
                entry &+= step
                place += 1
            }
            done += UInt64(count) * step
        }
        return true
    }

    /// Removes the 4 KiB page at `virtual`, splitting no larger one: false if it is in one.
    public func unmap(virtual: UInt64) -> Bool {
        var table = entries(at: root)
        var level = 3
        while level > 0 {
            let entry = table[Int(virtual >> (12 + 9 * UInt64(level))) % Self.entriesInTable]
            guard entry & PageAccess.present != 0, entry & PageAccess.large == 0 else {
                return entry & PageAccess.present == 0
            }
            table = entries(at: entry & Self.addressMask)
            level -= 1
        }
        table[Int(virtual >> 12) % Self.entriesInTable] = 0
        return true
    }

    /// The entry that maps `virtual`, or nil: for tests and fault reports.
    public func entry(for virtual: UInt64) -> UInt64? {
        var table = entries(at: root)
        var level = 3
        while true {
            let entry = table[Int(virtual >> (12 + 9 * UInt64(level))) % Self.entriesInTable]
            guard entry & PageAccess.present != 0 else { return nil }
            if level == 0 || entry & PageAccess.large != 0 { return entry }
            table = entries(at: entry & Self.addressMask)
            level -= 1
        }
    }

    func entries(at physical: UInt64) -> UnsafeMutablePointer<UInt64> {
        DirectMap.pointer(to: GuestPhysicalAddress(physical)).assumingMemoryBound(to: UInt64.self)
    }

    /// The table at `level` (0: PT … 3: PML4) that covers `virtual`, made if missing.
    func table(
        at level: Int, for virtual: UInt64, allocate: () -> UnsafeMutableRawPointer?
    ) -> UnsafeMutablePointer<UInt64>? {
        var table = entries(at: root)
        var current = 3
        while current > level {
            let index = Int(virtual >> (12 + 9 * UInt64(current))) % Self.entriesInTable
            let entry = table[index]
            if entry & PageAccess.present == 0 {
                guard let new = allocate() else { return nil }
                // Upper levels allow everything; the leaf decides.
                table[index] =
                    DirectMap.physicalAddress(of: new).rawValue | PageAccess.present
                    | PageAccess.writable
            } else if entry & PageAccess.large != 0 {
                return nil
            }
            table = entries(at: table[index] & Self.addressMask)
            current -= 1
        }
        return table
    }
}
