// The program's address space: what it has mapped, and what each mapping allows (mmap(2)).
//
// A mapping promises memory; a page gets its frame when it is first touched. So a program may ask
// for far more than it uses, as Go's and every thread's stack do.

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    /// What a mapping allows, in the bits of PROT_READ, PROT_WRITE and PROT_EXEC.
    struct Protection: OptionSet, BitwiseCopyable {
        var rawValue: UInt8

        static var read: Protection { Protection(rawValue: 1) }
        static var write: Protection { Protection(rawValue: 2) }
        static var execute: Protection { Protection(rawValue: 4) }

        /// As page tables say it. What may be written or executed may be read, too.
        var access: PageAccess {
            if contains(.execute) { return .code }
            if contains(.write) { return .readWrite }
            return isEmpty ? .none : .readOnly
        }
    }

    /// The mappings in ascending order, none next to another that could be one with it.
    enum AddressSpace {
        /// One run of pages with the same rights.
        struct Mapping: BitwiseCopyable {
            var start: UInt64
            var end: UInt64
            var protection: Protection
            /// Part of the image: its frames are never given back.
            var isImage = false
            /// The monitor's, which lets nobody change what it allows: code and constants of the
            /// image, where the page tables are not the guest's own.
            var isFixed = false
            /// What `SharedFiles` knows it by, if it shows a file; 0 if it is memory of its own.
            var file: UInt32 = 0
            /// Of a file's: the address at which the file would begin.
            var base: UInt64 = 0

            /// Up to where it can be touched: the end of a file may come first.
            var usableEnd: UInt64 { file == 0 ? end : SharedFiles.end(of: self) }
        }

        static let pageSize: UInt64 = 4096
        /// Behind all that a program can have: addresses of 48 bits that are not the kernel's.
        static let programEnd: UInt64 = 1 << 47
        /// What `brk` may use, far from everything else.
        static let heapStart: UInt64 = 0x8_0000_0000
        static let heapEnd: UInt64 = 0x10_0000_0000
        /// What `mmap` gives out, from the top down.
        static let lowest: UInt64 = 0x10_0000_0000
        static let highest: UInt64 = 0x3FFF_0000_0000

        nonisolated(unsafe) private(set) static var mappings = PlainList<Mapping>()
        nonisolated(unsafe) private static var lastFound = 0
        /// Frames that pages of the program have, the image's left out.
        nonisolated(unsafe) private(set) static var residentPages = 0

        static func roundUp(_ size: UInt64) -> UInt64 { (size &+ pageSize - 1) & ~(pageSize - 1) }

        /// The index of the mapping that holds `address`, else of the first one above it.
        private static func position(of address: UInt64) -> Int {
            var low = 0
            var high = mappings.count
            while low < high {
                let middle = (low + high) / 2
                if mappings[middle].end <= address { low = middle + 1 } else { high = middle }
            }
            return low
        }

        /// The mapping that holds `address`.
        static func find(_ address: UInt64) -> Mapping? {
            if lastFound < mappings.count, mappings[lastFound].start <= address,
                address < mappings[lastFound].end
            {
                return mappings[lastFound]
            }
            let index = position(of: address)
            guard index < mappings.count, mappings[index].start <= address else { return nil }
            lastFound = index
            return mappings[index]
        }

        /// Whether all of `count` octets from `address` on allow this.
        @inline(never)
        static func allows(_ address: UInt64, _ count: UInt64, _ wanted: Protection) -> Bool {
            guard count > 0 else { return true }
            let (end, overflow) = address.addingReportingOverflow(count)
            guard !overflow else { return false }
            var next = address
            while next < end {
                guard let mapping = find(next), !mapping.protection.isEmpty,
                    wanted.subtracting(.read).isSubset(of: mapping.protection)
                else { return false }
                let end = mapping.usableEnd
                guard end > next else { return false }
                Lookups.note(next, mapping)
                next = end
            }
            return true
        }

        /// Whether nothing is mapped there.
        static func isFree(_ start: UInt64, _ end: UInt64) -> Bool {
            let index = position(of: start)
            return index == mappings.count || mappings[index].start >= end
        }

        /// The highest free place for `size` octets; nil if there is none.
        static func freePlace(size: UInt64) -> UInt64? {
            var end = highest
            var index = mappings.count
            while true {
                let below = index > 0 ? max(mappings[index - 1].end, lowest) : lowest
                if below <= end, end - below >= size { return end - size }
                guard index > 0 else { return nil }
                index -= 1
                end = min(end, mappings[index].start)
                guard end > lowest else { return nil }
            }
        }

        /// Adds a mapping where nothing is.
        static func add(_ new: Mapping) {
            Lookups.forget()
            var new = new
            var index = position(of: new.start)
            if index > 0, join(mappings[index - 1], new) {
                new.start = mappings[index - 1].start
                mappings.remove(at: index - 1)
                index -= 1
            }
            if index < mappings.count, join(new, mappings[index]) {
                new.end = mappings[index].end
                mappings[index] = new
            } else {
                mappings.insert(new, at: index)
            }
        }

        private static func join(_ first: Mapping, _ second: Mapping) -> Bool {
            first.end == second.start && first.protection == second.protection
                && first.isImage == second.isImage && first.isFixed == second.isFixed
                && first.file == second.file && first.base == second.base
        }

        /// Takes the mappings of a range out, splitting those at its ends.
        private static func cut(_ start: UInt64, _ end: UInt64) -> [Mapping] {
            Lookups.forget()
            var taken: [Mapping] = []
            var index = position(of: start)
            while index < mappings.count, mappings[index].start < end {
                var mapping = mappings.remove(at: index)
                if mapping.start < start {
                    var head = mapping
                    head.end = start
                    mappings.insert(head, at: index)
                    index += 1
                    mapping.start = start
                }
                if mapping.end > end {
                    var tail = mapping
                    tail.start = end
                    mappings.insert(tail, at: index)
                    mapping.end = end
                }
                taken.append(mapping)
            }
            return taken
        }

        /// Unmaps a range; frames go back (munmap(2)).
        static func remove(_ start: UInt64, _ end: UInt64) {
            var showsFile = false
            for mapping in cut(start, end) {
                release(mapping)
                if mapping.file != 0 { showsFile = true }
            }
            guard showsFile else { return }
            // The file may go with its last mapping, and its frames to somebody else.
            ProgramPages.flush()
            SharedFiles.forgetUnused()
        }

        /// Unmaps pages whose frames are a file's.
        static func unmapPages(_ start: UInt64, _ end: UInt64) {
            var page = start
            while let next = ProgramPages.firstMapped(from: page, to: end) {
                _ = ProgramPages.unmap(virtual: next)
                page = next + pageSize
            }
        }

        /// Gives the frames of a mapping back: its pages are zero when they are next touched.
        static func release(_ mapping: Mapping) {
            if mapping.isFixed || mapping.isImage && ProgramPages.protectOwn(mapping, []) { return }
            if mapping.file != 0 { return unmapPages(mapping.start, mapping.end) }
            var page = mapping.start
            while let next = ProgramPages.firstMapped(from: page, to: mapping.end) {
                if let frame = ProgramPages.unmap(virtual: next), !mapping.isImage {
                    PageFrames.free(frame, count: 1)
                    residentPages -= 1
                }
                page = next + pageSize
            }
        }

        /// Drops what a range holds, but not the range (madvise(2), MADV_DONTNEED).
        static func discard(_ start: UInt64, _ end: UInt64) {
            var next = start
            while next < end {
                let index = position(of: next)
                guard index < mappings.count, mappings[index].start < end else { return }
                var part = mappings[index]
                part.start = max(part.start, next)
                part.end = min(part.end, end)
                if !part.isImage { release(part) }
                next = part.end
            }
        }

        /// Changes what a range allows.
        static func protect(
            _ start: UInt64, _ end: UInt64, _ protection: Protection
        ) throws(Errno) {
            var next = start
            while next < end {
                guard let mapping = find(next) else { throw .noMemory }
                guard !mapping.isFixed || mapping.protection == protection,
                    mapping.file == 0 || !protection.contains(.write)
                        || SharedFiles.mayWrite(mapping.file),
                    ProgramPages.mayExecute || mapping.isImage || !protection.contains(.execute)
                else { throw .access }
                next = mapping.end
            }
            for var mapping in cut(start, end) {
                mapping.protection = protection
                var page = mapping.start
                // Of these the account has nothing.
                let isOwn = mapping.isImage && ProgramPages.protectOwn(mapping, protection)
                if isOwn || mapping.isFixed { page = mapping.end }
                while let next = ProgramPages.firstMapped(from: page, to: mapping.end) {
                    ProgramPages.protect(virtual: next, access: protection.access)
                    page = next + pageSize
                }
                add(mapping)
            }
        }

        /// Moves the frames of a range elsewhere, where nothing is (mremap(2)).
        static func move(_ start: UInt64, _ size: UInt64, to place: UInt64) {
            for mapping in cut(start, start + size) {
                var page = mapping.start
                while let next = ProgramPages.firstMapped(from: page, to: mapping.end) {
                    if let frame = ProgramPages.unmap(virtual: next) {
                        _ = ProgramPages.map(
                            virtual: next - start + place, frames: frame,
                            access: mapping.protection.access)
                    }
                    page = next + pageSize
                }
                var moved = mapping
                moved.start = mapping.start - start + place
                moved.end = mapping.end - start + place
                moved.base = mapping.file == 0 ? 0 : mapping.base &- start &+ place
                add(moved)
            }
        }

        /// Gives the page of `address` its frame, if a mapping allows what was tried there.
        ///
        /// - Returns: false if none does, or if the page has a frame already.
        static func touch(_ address: UInt64, isWrite: Bool, isExecution: Bool = false) -> Bool {
            guard let mapping = find(address), !mapping.protection.isEmpty,
                !isWrite || mapping.protection.contains(.write),
                !isExecution || mapping.protection.contains(.execute)
            else { return false }
            let page = address & ~(pageSize - 1)
            // Where others change the page tables, the processor may not yet know what it may do.
            guard !mapping.isImage, !ProgramPages.isMapped(page) else {
                return BuiltInMonitor.isPresent
            }
            if mapping.file != 0 {
                guard SharedFiles.populate(mapping, page) else { return false }
            } else if BuiltInMonitor.isPresent {
                PagesAhead.populate(mapping, around: page)
            } else {
                populate(mapping, page, 1)
            }
            ProgramPages.flush()
            return true
        }

        /// Gives `count` pages from `page` on their frames, which none has; fewer if memory is short.
        static func populate(_ mapping: Mapping, _ page: UInt64, _ count: Int) {
            var count = count
            while true {
                if let frames = PageFrames.allocate(count) {
                    guard
                        ProgramPages.map(
                            virtual: page, frames: frames, count: count,
                            access: mapping.protection.access)
                    else { outOfMemory() }
                    residentPages += count
                    return
                }
                guard count > 1 else { outOfMemory() }
                count /= 2
            }
        }

        static func outOfMemory() -> Never {
            Console.write("\nswiftlet: out of memory: the program holds ")
            Console.write(decimal: UInt64(residentPages) * 4)
            Console.write(" KiB, ")
            Console.write(decimal: UInt64(PageFrames.totalCount) * 4)
            Console.write(" KiB are all there are; give the machine more (-m)\n")
            // What a shell shows of a program that Linux ends for want of memory: SIGKILL.
            Power.off(code: 137)
        }
    }
#endif
