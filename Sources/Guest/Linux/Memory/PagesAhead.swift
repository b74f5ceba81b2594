// Frames before they are asked for, in the built-in monitor: there a page fault leaves the virtual
// machine twice, and costs what two hundred pages cost to clear.

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    enum PagesAhead {
        private static let pageSize = AddressSpace.pageSize
        /// What is aligned to this, in octets, goes together.
        private static let unit: UInt64 = 16 * pageSize
        /// The most at once, in octets.
        private static let most: UInt64 = 256 * pageSize
        /// Where a program goes on that touches page after page, and what it gets then.
        nonisolated(unsafe) private static var next: UInt64 = 0
        nonisolated(unsafe) private static var size = unit

        /// Gives frames to the page of a fault, and to those around it that have none.
        static func populate(_ mapping: AddressSpace.Mapping, around page: UInt64) {
            size = page == next ? min(size * 2, most) : unit
            guard hasPlenty else { return AddressSpace.populate(mapping, page, 1) }
            var start = page
            let lowest = max(mapping.start, page & ~(unit - 1))
            while start > lowest, !ProgramPages.isMapped(start - pageSize) { start -= pageSize }
            let end = min(mapping.end, start + size)
            next = ProgramPages.firstMapped(from: page, to: end) ?? end
            AddressSpace.populate(mapping, start, Int((next - start) / pageSize))
            // Where memory was too short for all of it.
            if !ProgramPages.isMapped(page) { AddressSpace.populate(mapping, page, 1) }
        }

        /// Gives new memory its first frames: a program mostly asks for what it is about to use.
        static func prepare(_ start: UInt64, _ end: UInt64) {
            guard BuiltInMonitor.isPresent, hasPlenty, let mapping = AddressSpace.find(start),
                mapping.protection.contains(.write), mapping.file == 0
            else { return }
            let size = end - start
            let wanted = size <= 2 * unit ? size : unit
            let last = ProgramPages.firstMapped(from: start, to: start + wanted) ?? start + wanted
            guard last > start else { return }
            AddressSpace.populate(mapping, start, Int((last - start) / pageSize))
            next = last
        }

        /// An eighth of memory is for what is really touched.
        private static var hasPlenty: Bool {
            PageFrames.freeCount > PageFrames.totalCount / 8
        }
    }

    extension ProgramPages {
        /// As `protectOwn` of the pages, for a mapping of the image.
        static func protectOwn(_ mapping: AddressSpace.Mapping, _ protection: Protection) -> Bool {
            protectOwn(
                virtual: mapping.start, size: mapping.end - mapping.start,
                access: protection.access)
        }
    }
#endif
