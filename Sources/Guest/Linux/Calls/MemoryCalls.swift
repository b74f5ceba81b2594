// Memory: mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2), msync(2), brk(2).

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    extension Calls {
        private static let shared: UInt64 = 1
        private static let fixed: UInt64 = 0x10
        private static let anonymous: UInt64 = 0x20
        private static let fixedNoReplace: UInt64 = 0x10_0000
        private static let mayMove: UInt64 = 1

        nonisolated(unsafe) private static var breakEnd = AddressSpace.heapStart

        /// A protection that is not writable and executable at once: such memory is refused.
        private static func protection(_ bits: UInt64) throws(Errno) -> Protection {
            var protection = Protection(rawValue: UInt8(truncatingIfNeeded: bits & 7))
            guard !(protection.contains(.write) && protection.contains(.execute)) else {
                throw .access
            }
            if !protection.isEmpty { protection.insert(.read) }
            return protection
        }

        /// Whole pages of what the program may map.
        private static func range(
            _ address: UInt64, _ size: UInt64
        ) throws(Errno) -> (start: UInt64, end: UInt64) {
            guard address % AddressSpace.pageSize == 0, size > 0 else { throw .invalid }
            let (end, overflow) = address.addingReportingOverflow(size)
            guard !overflow, end <= AddressSpace.highest else { throw .noMemory }
            return (address, AddressSpace.roundUp(end))
        }

        /// Whether the program may have pages there: not where the library OS is.
        private static func isAllowed(_ start: UInt64, _ end: UInt64) -> Bool {
            start >= ProgramPages.lowest && end <= AddressSpace.highest
        }

        static func map(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.b > 0 else { throw .invalid }
            guard a.b <= AddressSpace.highest else { throw .noMemory }
            let size = AddressSpace.roundUp(a.b)
            let wanted = try protection(a.c)
            guard ProgramPages.mayExecute || !wanted.contains(.execute) else { throw .access }
            defer { ProgramPages.flush() }
            var file: NodeFile?
            if a.d & anonymous == 0 {
                guard let node = try Descriptors.file(a.e).asNode else { throw .noDevice }
                guard a.f % AddressSpace.pageSize == 0, a.f <= UInt64(Int.max) - size else {
                    throw .invalid
                }
                let isShared = a.d & shared != 0
                guard node.isReadable, !isShared || !wanted.contains(.write) || node.isWritable
                else { throw .access }
                file = node
            }
            let place: UInt64
            if a.d & (fixed | fixedNoReplace) != 0 {
                let (start, end) = try range(a.a, size)
                let isFree = AddressSpace.isFree(start, end)
                if a.d & fixedNoReplace != 0, !isFree { throw .exists }
                // Over its own mappings the program may map anything; but not where the monitor
                // keeps the image as it is.
                guard
                    isAllowed(start, end)
                        || !BuiltInMonitor.isPresent && AddressSpace.allowsReplacing(start, end)
                else { throw .noMemory }
                if !isFree { AddressSpace.remove(start, end) }
                place = start
            } else {
                let hint = a.a & ~(AddressSpace.pageSize - 1)
                if hint >= AddressSpace.heapEnd,
                    size <= AddressSpace.highest - min(hint, AddressSpace.highest),
                    AddressSpace.isFree(hint, hint + size)
                {
                    place = hint
                } else {
                    guard let free = AddressSpace.freePlace(size: size) else { throw .noMemory }
                    place = free
                }
            }
            guard let file else {
                AddressSpace.add(
                    AddressSpace.Mapping(start: place, end: place + size, protection: wanted))
                PagesAhead.prepare(place, place + size)
                return Int64(place)
            }
            // A file of the image, or of /proc, does not change: its pages are a copy, as private
            // ones are.
            if a.d & shared != 0, let pages = file.node?.pages {
                AddressSpace.add(
                    AddressSpace.Mapping(
                        start: place, end: place + size, protection: wanted,
                        file: SharedFiles.add(pages, mayWrite: file.isWritable),
                        base: place &- a.f))
                return Int64(place)
            }
            // Filled while it may be written.
            AddressSpace.add(
                AddressSpace.Mapping(
                    start: place, end: place + size, protection: [.read, .write]))
            do throws(Errno) {
                _ = try file.read(at: a.f, to: place, Int(size))
                try AddressSpace.protect(place, place + size, wanted)
            } catch {
                AddressSpace.remove(place, place + size)
                throw error
            }
            return Int64(place)
        }

        static func unmap(_ a: Arguments) throws(Errno) -> Int64 {
            let (start, end) = try range(a.a, a.b)
            AddressSpace.remove(start, end)
            ProgramPages.flush()
            return 0
        }

        static func protect(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.a % AddressSpace.pageSize == 0 else { throw .invalid }
            guard a.b > 0 else { return 0 }
            let (start, end) = try range(a.a, a.b)
            try AddressSpace.protect(start, end, try protection(a.c))
            ProgramPages.flush()
            return 0
        }

        static func advise(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.b > 0 else { return 0 }
            let (start, end) = try range(a.a, a.b)
            let (dontNeed, free): (UInt64, UInt64) = (4, 8)
            if a.c == dontNeed || a.c == free { AddressSpace.discard(start, end) }
            ProgramPages.flush()
            return 0
        }

        /// What a mapping shows is the file.
        static func synchroniseMapping(_ a: Arguments) throws(Errno) -> Int64 {
            let (asynchronous, synchronous): (UInt64, UInt64) = (1, 4)
            guard a.c & ~7 == 0, a.a % AddressSpace.pageSize == 0,
                a.c & (asynchronous | synchronous) != asynchronous | synchronous
            else { throw .invalid }
            guard a.b > 0 else { return 0 }
            let (start, end) = try range(a.a, a.b)
            guard AddressSpace.allowsReplacing(start, end) else { throw .noMemory }
            return 0
        }

        static func remap(_ a: Arguments) throws(Errno) -> Int64 {
            let (start, oldEnd) = try range(a.a, a.b)
            defer { ProgramPages.flush() }
            guard a.c > 0, a.c <= AddressSpace.highest, a.d & ~mayMove == 0 else { throw .invalid }
            guard let mapping = AddressSpace.find(start), mapping.end >= oldEnd,
                !mapping.isImage
            else { throw .fault }
            let newEnd = start + AddressSpace.roundUp(a.c)
            if newEnd <= oldEnd {
                if newEnd < oldEnd { AddressSpace.remove(newEnd, oldEnd) }
                return Int64(start)
            }
            if newEnd <= AddressSpace.highest, AddressSpace.isFree(oldEnd, newEnd) {
                var more = mapping
                (more.start, more.end) = (oldEnd, newEnd)
                AddressSpace.add(more)
                return Int64(start)
            }
            guard a.d & mayMove != 0,
                let place = AddressSpace.freePlace(size: newEnd - start)
            else { throw .noMemory }
            AddressSpace.move(start, oldEnd - start, to: place)
            var more = mapping
            (more.start, more.end) = (place + (oldEnd - start), place + (newEnd - start))
            if more.file != 0 { more.base = mapping.base &- start &+ place }
            AddressSpace.add(more)
            return Int64(place)
        }

        static func moveBreak(_ a: Arguments) -> Int64 {
            guard a.a >= AddressSpace.heapStart, a.a <= AddressSpace.heapEnd,
                a.a - AddressSpace.heapStart
                    <= UInt64(PageFrames.totalCount) * AddressSpace.pageSize
            else { return Int64(breakEnd) }
            let old = AddressSpace.roundUp(breakEnd)
            let new = AddressSpace.roundUp(a.a)
            if new > old {
                AddressSpace.add(
                    AddressSpace.Mapping(start: old, end: new, protection: [.read, .write]))
                PagesAhead.prepare(old, new)
            } else if new < old {
                AddressSpace.remove(new, old)
            }
            ProgramPages.flush()
            breakEnd = a.a
            return Int64(breakEnd)
        }
    }

    extension AddressSpace {
        /// Whether a range is wholly the program's already.
        static func allowsReplacing(_ start: UInt64, _ end: UInt64) -> Bool {
            var next = start
            while next < end {
                guard let mapping = find(next) else { return false }
                next = mapping.end
            }
            return true
        }
    }
#endif
