// The guest's page tables (Intel SDM volume 3 §4.5), in memory that they do not map.

/// What a mapping allows.
struct PagePermission: Equatable {
    let bits: UInt64

    private static let present: UInt64 = 1
    private static let writable: UInt64 = 1 << 1
    private static let user: UInt64 = 1 << 2
    private static let uncached: UInt64 = 1 << 4
    private static let noExecute: UInt64 = 1 << 63

    static let code = PagePermission(bits: present | user)
    static let readOnly = PagePermission(bits: present | user | noExecute)
    static let readWrite = PagePermission(bits: present | user | writable | noExecute)
    static let device = PagePermission(bits: present | user | writable | noExecute | uncached)
    /// The monitor's own, which the guest cannot touch.
    static let supervisorCode = PagePermission(bits: present)
    static let supervisorData = PagePermission(bits: present | writable | noExecute)
    /// Of entries that lead to another table: the last one decides.
    static let table = PagePermission(bits: present | user | writable)
}

/// A hierarchy of four levels, whose tables lie one after the other.
struct PageTableBuilder {
    private static let pageSize: UInt64 = 4096
    private static let largePageSize: UInt64 = 1 << 21
    private static let large: UInt64 = 1 << 7
    static let addressMask: UInt64 = 0x000F_FFFF_FFFF_F000

    /// The tables, zeroed, and their guest-physical address.
    private let memory: UnsafeMutableRawPointer
    private let base: UInt64
    private let capacity: Int
    private(set) var count = 0

    /// The physical address of the top level, for CR3.
    var root: UInt64 { base }

    /// - Parameter capacity: tables that have room in `memory`; at least one.
    init(memory: UnsafeMutableRawPointer, base: UInt64, capacity: Int) {
        self.memory = memory
        self.base = base
        self.capacity = capacity
        count = 1
    }

    /// Maps whole pages, with 2 MiB at once where both addresses allow it.
    ///
    /// - Returns: false if there is no room for another table.
    mutating func map(
        virtual: UInt64, physical: UInt64, size: UInt64, _ permission: PagePermission
    ) -> Bool {
        var done: UInt64 = 0
        while done < size {
            let from = virtual + done
            let to = physical + done
            let isLarge =
                (from | to) % Self.largePageSize == 0 && size - done >= Self.largePageSize
            guard let entry = entry(for: from, level: isLarge ? 1 : 0) else { return false }
            entry.pointee = to | permission.bits | (isLarge ? Self.large : 0)
            done += isLarge ? Self.largePageSize : Self.pageSize
        }
        return true
    }

    /// Puts an entry for the 4 KiB page at `virtual`, 0 for none. A table is never given up again:
    /// the processor may know of it longer than of its entries.
    ///
    /// - Returns: the entry that was there; nil if there is no room for a table.
    mutating func replace(_ virtual: UInt64, by entry: UInt64) -> UInt64? {
        if entry == 0, lookUp(virtual) == 0 { return 0 }
        guard let place = self.entry(for: virtual, level: 0) else { return nil }
        let old = place.pointee
        place.pointee = entry
        return old
    }

    /// The entry that maps `virtual`, 0 if none does: what the processor would find.
    func lookUp(_ virtual: UInt64) -> UInt64 {
        var table = base
        var level: UInt64 = 3
        while true {
            let entry = entries(at: table)[Self.index(virtual, level)]
            if entry & 1 == 0 || level == 0 || entry & Self.large != 0 { return entry }
            table = entry & Self.addressMask
            level -= 1
        }
    }

    private mutating func entry(for virtual: UInt64, level: UInt64)
        -> UnsafeMutablePointer<UInt64>?
    {
        var table = base
        var current: UInt64 = 3
        while current > level {
            let entry = entries(at: table) + Self.index(virtual, current)
            if entry.pointee == 0 {
                guard count < capacity else { return nil }
                entry.pointee = base + UInt64(count) * Self.pageSize | PagePermission.table.bits
                count += 1
            } else if entry.pointee & Self.large != 0 {
                return nil
            }
            table = entry.pointee & Self.addressMask
            current -= 1
        }
        return entries(at: table) + Self.index(virtual, level)
    }

    private func entries(at physical: UInt64) -> UnsafeMutablePointer<UInt64> {
        (memory + Int(physical - base)).assumingMemoryBound(to: UInt64.self)
    }

    private static func index(_ virtual: UInt64, _ level: UInt64) -> Int {
        Int(virtual >> (12 + 9 * level) & 511)
    }
}
