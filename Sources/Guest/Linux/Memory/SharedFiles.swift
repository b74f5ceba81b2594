// Files that are mapped as they are (mmap(2), MAP_SHARED): their mappings show the frames that read(2)
// and write(2) go to.

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    /// The files that mappings name. A file lives as long as one of them does, open or not.
    enum SharedFiles {
        private struct Entry {
            var pages: FilePages
            /// It was open for writing, so that the mapping may become writable.
            var mayWrite: Bool
        }

        nonisolated(unsafe) private static var entries = PlainList<Entry?>()
        /// Pages that come with the one of a fault, which costs exits in the built-in monitor.
        private static let together = 16

        /// What a mapping is to name as its file.
        static func add(_ pages: FilePages, mayWrite: Bool) -> UInt32 {
            let entry = Entry(pages: pages, mayWrite: mayWrite)
            for index in entries.indices {
                if let other = entries[index] {
                    guard other.pages === pages, other.mayWrite == mayWrite else { continue }
                } else {
                    entries[index] = entry
                }
                return UInt32(index + 1)
            }
            entries.append(entry)
            return UInt32(entries.count)
        }

        private static func entry(_ file: UInt32) -> Entry? {
            guard file > 0, file <= UInt32(entries.count) else { return nil }
            return entries[Int(file) - 1]
        }

        static func mayWrite(_ file: UInt32) -> Bool { entry(file)?.mayWrite ?? false }

        /// Where what a mapping shows ends: its own end, or the file's, before it.
        static func end(of mapping: AddressSpace.Mapping) -> UInt64 {
            guard let entry = entry(mapping.file) else { return mapping.start }
            return min(mapping.end, mapping.base &+ entry.pages.mappedSize)
        }

        /// Maps the page of a fault, and in the built-in monitor those behind it.
        ///
        /// - Returns: false if the file has none there, or memory is too short for a hole's.
        static func populate(_ mapping: AddressSpace.Mapping, _ page: UInt64) -> Bool {
            guard let pages = entry(mapping.file)?.pages else { return false }
            let size = AddressSpace.pageSize
            var next = page
            let count = BuiltInMonitor.isPresent ? together : 1
            let end = min(self.end(of: mapping), page &+ UInt64(count) &* size)
            while next < end, !ProgramPages.isMapped(next) {
                guard let frame = pages.frame(Int((next &- mapping.base) / size)) else { break }
                guard
                    ProgramPages.map(
                        virtual: next, frames: frame, access: mapping.protection.access)
                else { AddressSpace.outOfMemory() }
                next &+= size
            }
            return next > page
        }

        /// Takes the pages of a file from `page` on out of all mappings, before it loses them.
        static func unmap(_ pages: FilePages, from page: Int) {
            Lookups.forget()
            for index in AddressSpace.mappings.indices {
                let mapping = AddressSpace.mappings[index]
                guard entry(mapping.file)?.pages === pages else { continue }
                let start = mapping.base &+ UInt64(page) &* AddressSpace.pageSize
                guard start < mapping.end else { continue }
                AddressSpace.unmapPages(max(start, mapping.start), mapping.end)
            }
            ProgramPages.flush()
        }

        /// Lets go of files that no mapping names any more.
        static func forgetUnused() {
            for index in entries.indices where entries[index] != nil {
                let file = UInt32(index + 1)
                if AddressSpace.mappings.firstIndex(where: { $0.file == file }) == nil {
                    entries[index] = nil
                }
            }
        }
    }
#endif
