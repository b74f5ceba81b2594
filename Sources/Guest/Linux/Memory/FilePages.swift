// The contents of a file in memory (tmpfs(5)): page frames, so that the program can map what it reads
// and writes besides.

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    /// Octets in page frames, of which holes have none.
    final class FilePages {
        private static let pageSize = PageFrames.size

        /// In the direct map; nil is a hole, which reads as zeros.
        private var frames: [UnsafeMutableRawPointer?] = []
        /// In octets. What the last page has behind it is zero.
        private(set) var size = 0

        deinit { for frame in frames { Self.free(frame) } }

        private static func free(_ frame: UnsafeMutableRawPointer?) {
            if let frame { PageFrames.free(frame, count: 1) }
        }

        private static func pages(_ size: Int) -> Int { (size + pageSize - 1) / pageSize }

        /// The frame of a page, which a hole gets now.
        ///
        /// - Returns: nil if the page lies behind the end, or memory is too short: a sixteenth is for
        ///   everything else.
        func frame(_ page: Int) -> UnsafeMutableRawPointer? {
            guard page < frames.count else { return nil }
            if let frame = frames[page] { return frame }
            guard PageFrames.freeCount > PageFrames.totalCount / 16 else { return nil }
            let frame = PageFrames.allocate(1)
            frames[page] = frame
            return frame
        }

        /// Copies what is there from `offset` on into the program's memory.
        func read(at offset: UInt64, to address: UInt64, _ count: Int) throws(Errno) -> Int {
            guard offset < UInt64(size) else { return 0 }
            let start = Int(offset)
            let total = min(count, size - start)
            try UserMemory.checkWritable(address, total)
            var done = 0
            while done < total {
                let (page, skipped) = (start + done).quotientAndRemainder(dividingBy: Self.pageSize)
                let part = min(total - done, Self.pageSize - skipped)
                let place = address &+ UInt64(done)
                if let frame = frames[page] {
                    try UserMemory.copy(
                        UnsafeRawBufferPointer(start: frame + skipped, count: part).bytes, to: place
                    )
                } else {
                    try UserMemory.clear(place, part)
                }
                done += part
            }
            return total
        }

        /// Takes octets over; the file grows if it must.
        ///
        /// - Returns: how many, fewer if memory is short.
        func write(at offset: UInt64, _ bytes: RawSpan) throws(Errno) -> Int {
            let count = bytes.byteCount
            guard offset <= UInt64(Int.max / 2 - count) else { throw .tooLarge }
            let start = Int(offset)
            if start + count > size { try resize(start + count) }
            var done = 0
            while done < count {
                let (page, skipped) = (start + done).quotientAndRemainder(
                    dividingBy: Self.pageSize)
                guard let frame = frame(page) else {
                    guard done > 0 else { throw .noSpace }
                    break
                }
                let part = min(count - done, Self.pageSize - skipped)
                bytes.extracting(done..<(done + part)).withUnsafeBytes {
                    (frame + skipped).copyMemory(
                        from: $0.baseAddress.unsafelyUnwrapped, byteCount: part)
                }
                done += part
            }
            return done
        }

        private static let zeros = [UInt8](repeating: 0, count: pageSize)

        /// Shows octets from `offset` on, as many as lie in one page and `most` at most; none at the end.
        func withBytes<R>(
            at offset: UInt64, _ most: Int, _ body: (RawSpan) throws(Errno) -> R
        ) throws(Errno) -> R {
            let left = offset < UInt64(size) ? size - Int(offset) : 0
            let (page, skipped) = Int(offset).quotientAndRemainder(dividingBy: Self.pageSize)
            let count = min(most, left, Self.pageSize - skipped)
            guard count > 0, let frame = frames[page] else {
                let zeros = Self.zeros
                return try body(zeros.span.bytes.extracting(0..<count))
            }
            return try body(
                UnsafeRawBufferPointer(start: frame + skipped, count: count).bytes)
        }

        /// Makes the file longer, by a hole, or shorter: then mappings lose what was cut off.
        func resize(_ new: Int) throws(Errno) {
            let count = Self.pages(new)
            if new > size {
                // Half of what is free at most, as tmpfs has it.
                guard new - size < PageFrames.freeCount * (Self.pageSize / 2) else {
                    throw .noSpace
                }
                while frames.count < count { frames.append(nil) }
            } else {
                if count < frames.count {
                    SharedFiles.unmap(self, from: count)
                    for page in count..<frames.count { Self.free(frames[page]) }
                    frames.removeLast(frames.count - count)
                }
                let kept = new % Self.pageSize
                if kept > 0, let frame = frames[count - 1] {
                    (frame + kept).initializeMemory(
                        as: UInt8.self, repeating: 0, count: Self.pageSize - kept)
                }
            }
            size = new
        }

        /// Gives a range its frames (fallocate(2)).
        func allocate(_ offset: UInt64, _ count: UInt64) throws(Errno) {
            let (end, overflow) = offset.addingReportingOverflow(count)
            guard !overflow, end <= UInt64(Int.max / 2) else { throw .tooLarge }
            if Int(end) > size { try resize(Int(end)) }
            for page in (Int(offset) / Self.pageSize)..<Self.pages(Int(end)) {
                guard frame(page) != nil else { throw .noSpace }
            }
        }

        /// Octets up to the end of the last page.
        var mappedSize: UInt64 { UInt64(frames.count * Self.pageSize) }
    }
#endif
