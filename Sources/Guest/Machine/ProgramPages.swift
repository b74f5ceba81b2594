// Pages of a Linux program: mapped, forbidden and taken away while the machine runs, in both
// environments.

import CSwiftletMachine
import SwiftletBootProtocol

#if hasFeature(Embedded)
    /// The page tables, for memory that a program asks for. Native applications have none of it.
    public enum ProgramPages {
        /// The tables that the processor walks; in the built-in monitor, the account of them.
        @inline(__always)
        private static var tables: PageTables? {
            BuiltInMonitor.isPresent ? MonitorPages.account : Platform.tables
        }

        /// Where a program may map memory at addresses of its own choice.
        public static var lowest: UInt64 {
            BuiltInMonitor.isPresent
                ? MonitorCall.programStart : Platform.imageEnd + PageTables.largePageSize
        }

        /// Whether memory that is not the image's may be executed.
        public static var mayExecute: Bool { !BuiltInMonitor.isPresent }

        /// Makes what the other functions want. Call once, first.
        ///
        /// - Parameter allocate: hands out one zeroed frame.
        /// - Returns: false if no frame is left.
        public static func enable(allocate: @escaping () -> UnsafeMutableRawPointer?) -> Bool {
            guard BuiltInMonitor.isPresent else { return true }
            Platform.allocateTable = allocate
            return MonitorPages.enable(allocate)
        }

        /// Has all changes so far come into force. They need not before.
        @inline(__always)
        public static func flush() {
            if BuiltInMonitor.isPresent { MonitorPages.flush() }
        }

        /// The processor is to know of a change.
        @inline(__always)
        private static func tell(_ virtual: UInt64, _ entry: UInt64) {
            if BuiltInMonitor.isPresent {
                MonitorPages.append(virtual, entry & PageTables.addressMask, entry, 1)
            } else {
                swiftlet_invlpg(UInt(virtual))
            }
        }

        /// Maps frames of the direct map, one behind the other, from `virtual` on, where nothing is.
        ///
        /// - Returns: false if no frame is left for a table.
        public static func map(
            virtual: UInt64, frames: UnsafeMutableRawPointer, count: Int = 1, access: PageAccess
        ) -> Bool {
            guard let tables else { return false }
            let physical = DirectMap.physicalAddress(of: frames).rawValue
            var page: UInt64 = 0
            while page < UInt64(count) {
                let offset = page &* PageTables.pageSize
                // One by one: large pages could not be unmapped in parts.
                guard
                    tables.map(
                        virtual: virtual &+ offset, physical: physical &+ offset,
                        size: PageTables.pageSize, access: access, allocate: Platform.allocateTable)
                else { return false }
                page &+= 1
            }
            if BuiltInMonitor.isPresent {
                MonitorPages.append(virtual, physical, access.bits, page)
            }
            return true
        }

        /// Whether anything is mapped at `virtual`.
        public static func isMapped(_ virtual: UInt64) -> Bool {
            tables?.place(of: virtual) != nil
        }

        /// Takes the mapping at `virtual` away; returns the frame that was there.
        public static func unmap(virtual: UInt64) -> UnsafeMutableRawPointer? {
            guard let place = tables?.place(of: virtual) else { return nil }
            let entry = place.pointee
            place.pointee = 0
            tell(virtual, 0)
            return DirectMap.pointer(
                to: GuestPhysicalAddress(entry & PageTables.addressMask))
        }

        /// Changes what the page at `virtual` allows, if it is mapped.
        public static func protect(virtual: UInt64, access: PageAccess) {
            guard let place = tables?.place(of: virtual) else { return }
            place.pointee = place.pointee & PageTables.addressMask | access.bits
            tell(virtual, place.pointee)
        }

        /// The first mapped page at or after `virtual` and before `end`; what has no table is
        /// skipped as a whole.
        public static func firstMapped(from virtual: UInt64, to end: UInt64) -> UInt64? {
            guard let tables else { return nil }
            var page = virtual
            while page < end {
                let (found, next) = tables.look(at: page)
                if found { return page }
                page = next
            }
            return nil
        }

        /// Gives part of the image, whole pages that boot has mapped read-only, its own access. In
        /// the built-in monitor they have it, and it alone may change them: see `protectOwn`.
        ///
        /// - Returns: false if no frame is left for a table.
        public static func protectImage(virtual: UInt64, size: UInt64, access: PageAccess) -> Bool {
            if BuiltInMonitor.isPresent { return true }
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

        /// Changes what writable pages of the image allow, where the monitor keeps account of them:
        /// no more than reading and writing.
        ///
        /// - Returns: false where the page tables are the guest's, and have them like any other.
        public static func protectOwn(virtual: UInt64, size: UInt64, access: PageAccess) -> Bool {
            guard BuiltInMonitor.isPresent else { return false }
            var page: UInt64 = 0
            while page < size / PageTables.pageSize {
                let count = min(size / PageTables.pageSize - page, MonitorCall.mostPages)
                let place = virtual &+ page &* PageTables.pageSize
                // The monitor knows the frames; these follow one another as pages do.
                MonitorPages.append(place, place, access.bits, count)
                page += count
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
