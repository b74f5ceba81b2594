// Open files of the tree: regular ones, devices, folders.

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    /// An open file, folder or device of the tree.
    final class NodeFile: OpenFile {
        private let own: Node
        override var node: Node? { own }
        override var asNode: NodeFile? { self }
        var offset: UInt64 = 0
        /// Of a generated file.
        private var made: [UInt8] = []

        init(_ node: Node, flags: UInt32) {
            own = node
            super.init(flags: flags)
            if case .generated(let make) = node.kind { made = make() }
        }

        override func read(to address: UInt64, _ count: Int) throws(Errno) -> Int {
            let done = try read(at: offset, to: address, count)
            advance(done)
            return done
        }

        override func read(
            at offset: UInt64, to address: UInt64, _ count: Int
        ) throws(Errno) -> Int {
            switch own.kind {
            case .directory: throw .isDirectory
            case .null, .console, .link: return 0
            case .zero:
                try UserMemory.clear(address, count)
                return count
            case .random:
                let octets = randomOctets(min(count, 65536))
                try UserMemory.copy(octets, to: address)
                return octets.count
            case .generated:
                let octets = made
                return try Self.copy(octets.span.bytes, offset, address, count)
            case .regular:
                if let packed = own.packed {
                    return try Self.copy(
                        ImageContents.archive.extracting(packed), offset, address, count)
                }
                return try own.pages?.read(at: offset, to: address, count) ?? 0
            }
        }

        private static func copy(
            _ bytes: RawSpan, _ offset: UInt64, _ address: UInt64, _ count: Int
        ) throws(Errno) -> Int {
            guard offset < UInt64(bytes.byteCount) else { return 0 }
            try UserMemory.checkWritable(address, count)
            let start = Int(offset)
            let done = min(count, bytes.byteCount - start)
            try UserMemory.copy(bytes.extracting(start..<(start + done)), to: address)
            return done
        }

        override func write(from address: UInt64, _ count: Int) throws(Errno) -> Int {
            if flags & OpenFlags.append != 0 { offset = own.size }
            let done = try write(at: offset, from: address, count)
            advance(done)
            return done
        }

        /// Devices take and give octets at any offset, also at the last there is.
        private func advance(_ count: Int) {
            offset = min(offset &+ UInt64(count), UInt64(Int64.max))
        }

        override func write(
            at offset: UInt64, from address: UInt64, _ count: Int
        ) throws(Errno) -> Int {
            switch own.kind {
            case .null, .zero, .random: return count
            case .console:
                try UserMemory.withBytes(address, count) { (bytes) throws(Errno) in
                    writeToConsole(bytes)
                }
                return count
            case .regular:
                guard let pages = own.pages else { throw .invalid }
                let done = try UserMemory.withBytes(address, count) { (bytes) throws(Errno) in
                    try pages.write(at: offset, bytes)
                }
                own.modified = Clock.wallTime
                return done
            default: throw .invalid
            }
        }

        override func put(_ bytes: RawSpan) throws(Errno) -> Int {
            switch own.kind {
            case .null, .zero, .random: return bytes.byteCount
            case .console: writeToConsole(bytes)
            case .regular:
                guard let pages = own.pages else { throw .invalid }
                let done = try pages.write(at: offset, bytes)
                offset += UInt64(done)
                own.modified = Clock.wallTime
                return done
            default: throw .invalid
            }
            return bytes.byteCount
        }

        /// Shows octets from `offset` on, `most` at most; none at the end.
        func withContents<R>(
            at offset: UInt64, _ most: Int, _ body: (RawSpan) throws(Errno) -> R
        ) throws(Errno) -> R {
            if let pages = own.pages { return try pages.withBytes(at: offset, most, body) }
            func part(of size: Int) -> Range<Int> {
                let start = Int(min(offset, UInt64(size)))
                return start..<(start + min(most, size - start))
            }
            switch own.kind {
            case .generated:
                let octets = made
                return try body(octets.span.bytes.extracting(part(of: octets.count)))
            case .regular:
                guard let packed = own.packed else { throw .invalid }
                let octets = ImageContents.archive.extracting(packed)
                return try body(octets.extracting(part(of: packed.count)))
            default: throw .invalid
            }
        }

        override func truncate(_ size: UInt64) throws(Errno) {
            guard let pages = own.pages else { throw .invalid }
            guard size <= UInt64(Int.max / 2) else { throw .tooLarge }
            try pages.resize(Int(size))
            own.modified = Clock.wallTime
        }

        override func seek(_ distance: Int64, _ origin: Int32) throws(Errno) -> Int64 {
            let base: Int64 =
                switch origin {
                case 0: 0
                case 1: Int64(offset)
                case 2: Int64(own.size)
                default: throw .invalid
                }
            let (place, overflow) = base.addingReportingOverflow(distance)
            guard !overflow, place >= 0 else { throw .invalid }
            offset = UInt64(place)
            return place
        }

        override func status() -> FileStatus { own.status }

        /// getdents64(2).
        func entries(to address: UInt64, _ count: Int) throws(Errno) -> Int64 {
            guard own.isDirectory else { throw .notDirectory }
            guard !own.isRemoved else { throw .noEntry }
            var done = 0
            // Entries may have gone since the last call: the first one from the offset on is next.
            var index = own.children.firstIndex { $0.cookie >= offset } ?? own.children.count
            while true {
                let name: [UInt8]
                let node: Node
                let cookie: UInt64
                switch offset {
                case 0: (name, node, cookie) = ([0x2E], own, 0)
                case 1: (name, node, cookie) = ([0x2E, 0x2E], own.parent ?? own, 1)
                default:
                    guard index < own.children.count else { return Int64(done) }
                    (name, node, cookie) = own.children[index]
                    index += 1
                }
                // inode, offset, length, type, name, NUL; the whole a multiple of eight.
                let size = (19 + name.count + 1 + 7) & ~7
                guard done + size <= count else {
                    if done == 0 { throw .invalid }
                    return Int64(done)
                }
                var record: [UInt8] = []
                record.append(octets: node.inode)
                record.append(octets: cookie + 1)
                record.append(octets: UInt16(size))
                record.append(UInt8(node.status.mode >> 12 & 15))
                record += name
                while record.count < size { record.append(0) }
                try UserMemory.copy(record, to: address &+ UInt64(done))
                done += size
                offset = cookie + 1
            }
        }
    }

    extension [UInt8] {
        /// A number, the lowest octet first.
        mutating func append(octets value: some FixedWidthInteger) {
            var rest = value
            for _ in 0..<(MemoryLayout.size(ofValue: value)) {
                append(UInt8(truncatingIfNeeded: rest))
                rest >>= 8
            }
        }
    }
#endif
