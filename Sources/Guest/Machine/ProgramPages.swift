// Pages of a Linux program: mapped, forbidden and taken away while the machine runs.

import CSwiftletMachine

#if hasFeature(Embedded)
    /// The page tables, for memory that a program asks for. Native applications have none of it.
    public enum ProgramPages {
        /// Maps one frame of the direct map at `virtual`.
        ///
        /// - Returns: false if no frame is left for a table.
        public static func map(
            virtual: UInt64, frame: UnsafeMutableRawPointer, access: PageAccess
        ) -> Bool {
            guard let tables = Platform.tables else { return false }
            return tables.map(
                virtual: virtual, physical: DirectMap.physicalAddress(of: frame).rawValue,
                size: PageTables.pageSize, access: access, allocate: Platform.allocateTable)
        }

        /// Whether anything is mapped at `virtual`.
        public static func isMapped(_ virtual: UInt64) -> Bool {
            Platform.tables?.place(of: virtual) != nil
        }

        /// Takes the mapping at `virtual` away; returns the frame that was there.
        public static func unmap(virtual: UInt64) -> UnsafeMutableRawPointer? {
            guard let place = Platform.tables?.place(of: virtual) else { return nil }
            let entry = place.pointee
            place.pointee = 0
            swiftlet_invlpg(UInt(virtual))
            return DirectMap.pointer(
                to: GuestPhysicalAddress(entry & PageTables.addressMask))
        }

        /// Changes what the page at `virtual` allows, if it is mapped.
        public static func protect(virtual: UInt64, access: PageAccess) {
            guard let place = Platform.tables?.place(of: virtual) else { return }
            place.pointee = place.pointee & PageTables.addressMask | access.bits
            swiftlet_invlpg(UInt(virtual))
        }

        /// The first mapped page at or after `virtual` and before `end`; what has no table is
        /// skipped as a whole.
        public static func firstMapped(from virtual: UInt64, to end: UInt64) -> UInt64? {
            guard let tables = Platform.tables else { return nil }
            var page = virtual
            while page < end {
                let (found, next) = tables.look(at: page)
                if found { return page }
                page = next
            }
            return nil
        }

        /// Gives part of the image, whole pages that boot has mapped read-only, its own access.
        ///
        /// - Returns: false if no frame is left for a table.
        public static func protectImage(virtual: UInt64, size: UInt64, access: PageAccess) -> Bool {
            guard let tables = Platform.tables else { return false }
            var page = virtual
            while page < virtual + size {
                guard tables.splitLarge(page, allocate: Platform.allocateTable) else {
                    return false
                }
                protect(virtual: page, access: access)
                page += PageTables.pageSize
            }
            return true
        }
    }

    extension PageAccess {
        /// Nothing, but the frame is kept: an entry that is not present, with a mark in a bit that
        /// processors ignore.
        public static var none: PageAccess { PageAccess(bits: 1 << 9) }
    }

    extension PageTables {
        /// The entry of the 4 KiB page that maps `virtual`; nil if there is none.
        func place(of virtual: UInt64) -> UnsafeMutablePointer<UInt64>? {
            var table = entries(at: root)
            var level: UInt64 = 3
            while level > 0 {
                let entry = table[Self.index(of: virtual, at: level)]
                guard entry & PageAccess.present != 0, entry & PageAccess.large == 0 else {
                    return nil
                }
                table = entries(at: entry & Self.addressMask)
                level -= 1
            }
            let place = table + Self.index(of: virtual, at: 0)
            return place.pointee != 0 ? place : nil
        }

        /// Whether a page is mapped there; else also the next address that may have one.
        func look(at virtual: UInt64) -> (isMapped: Bool, next: UInt64) {
            var table = entries(at: root)
            var level: UInt64 = 3
            while true {
                let entry = table[Self.index(of: virtual, at: level)]
                if level == 0 ? entry == 0 : entry & PageAccess.present == 0 {
                    let size: UInt64 = 1 << (12 + 9 * level)
                    return (false, (virtual & ~(size - 1)) &+ size)
                }
                if level == 0 || entry & PageAccess.large != 0 { return (true, virtual) }
                table = entries(at: entry & Self.addressMask)
                level -= 1
            }
        }

        /// Where `virtual` lies in a page of 2 MiB, replaces that by 512 of 4 KiB.
        func splitLarge(_ virtual: UInt64, allocate: () -> UnsafeMutableRawPointer?) -> Bool {
            var table = entries(at: root)
            for level in [UInt64(3), 2] {
                let entry = table[Self.index(of: virtual, at: level)]
                guard entry & PageAccess.present != 0, entry & PageAccess.large == 0 else {
                    return false
                }
                table = entries(at: entry & Self.addressMask)
            }
            let place = table + Self.index(of: virtual, at: 1)
            let entry = place.pointee
            guard entry & PageAccess.present != 0 else { return false }
            guard entry & PageAccess.large != 0 else { return true }
            guard let new = allocate() else { return false }
            let pages = new.assumingMemoryBound(to: UInt64.self)
            for index in 0..<Self.entriesInTable {
                pages[index] = (entry & ~PageAccess.large) &+ UInt64(index) << 12
            }
            place.pointee =
                DirectMap.physicalAddress(of: new).rawValue | PageAccess.present
                | PageAccess.writable
            swiftlet_write_cr3(root)
            swiftlet_invlpg(UInt(virtual))
            return true
        }

        private static func index(of virtual: UInt64, at level: UInt64) -> Int {
            Int(virtual >> (12 + 9 * level)) % entriesInTable
        }
    }
#endif
