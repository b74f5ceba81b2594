// A program's pages in the built-in monitor, which owns the page tables: what is to change is
// collected, and said in one call (BootProtocol/ProgramCall.swift).

import CSwiftletMachine
import SwiftletBootProtocol

#if hasFeature(Embedded)
    /// Changes that the monitor does not know of yet. None may outlast the call that made it.
    enum MonitorPages {
        /// The guest's own account of the program's pages, in the form of page tables that no
        /// processor ever walks.
        nonisolated(unsafe) static var account: PageTables?
        /// A frame with room for `MonitorCall.mostPageChanges`.
        nonisolated(unsafe) private static var list: UnsafeMutablePointer<UInt64>?
        nonisolated(unsafe) private static var count = 0
        nonisolated(unsafe) private static var last = PageChange(
            virtual: 0, physical: 0, access: .none, pages: 0)
        private static let words = 3

        /// - Parameter allocate: hands out one zeroed frame.
        static func enable(_ allocate: @escaping () -> UnsafeMutableRawPointer?) -> Bool {
            account = PageTables(hasGigabytePages: false, allocate: allocate)
            list = allocate()?.assumingMemoryBound(to: UInt64.self)
            return account != nil && list != nil
        }

        /// Appends a change of one page or more, which may go on where the last one ends.
        static func append(_ virtual: UInt64, _ physical: UInt64, _ bits: UInt64, _ pages: UInt64) {
            let access: PageChange.Access =
                bits & PageAccess.present == 0
                ? .none : bits & PageAccess.writable == 0 ? .read : .readWrite
            let size = last.pages &* PageTables.pageSize
            if last.pages > 0, last.access == access, last.virtual &+ size == virtual,
                access == .none || last.physical &+ size == physical,
                last.pages &+ pages <= MonitorCall.mostPages
            {
                last.pages &+= pages
                return
            }
            put()
            last = PageChange(
                virtual: virtual, physical: access == .none ? 0 : physical, access: access,
                pages: pages)
        }

        private static func put() {
            guard last.pages > 0, let list else { return }
            let place = list + count * words
            (place[0], place[1], place[2]) = last.words
            last.pages = 0
            count += 1
            if count == MonitorCall.mostPageChanges { flush() }
        }

        /// Has the monitor make the changes.
        static func flush() {
            put()
            guard count > 0, let list else { return }
            let result = swiftlet_monitor_change(
                MonitorCall.pagesPort, UInt64(UInt(bitPattern: list)), UInt64(count))
            count = 0
            switch PageResult(rawValue: result) {
            case .done: return
            case .full:
                Faults.fail("the monitor has no room for page tables: give the machine more (-m)")
            default: Faults.fail("the monitor refuses the program's pages")
            }
        }
    }
#endif
