// Writes the archive of an image's files: the host's side of FileArchive.swift.

#if !hasFeature(Embedded)
    /// One file to be packed.
    public struct PackedFile: Sendable {
        /// Relative path, parts joined by "/".
        public var path: [UInt8]
        public var contents: [UInt8]
        /// Seconds since 1970-01-01 UTC.
        public var modificationTime: Int64
        /// A strong tag of the contents.
        public var tag: (UInt64, UInt64)

        public init(
            path: [UInt8], contents: [UInt8], modificationTime: Int64, tag: (UInt64, UInt64)
        ) {
            self.path = path
            self.contents = contents
            self.modificationTime = modificationTime
            self.tag = tag
        }
    }

    extension FileArchive {
        /// The archive that holds `files`, whose paths must differ.
        public static func write(_ files: [PackedFile]) -> [UInt8] {
            typealias Layout = FileArchiveLayout
            let sorted = files.sorted { $0.path.lexicographicallyPrecedes($1.path) }
            let pathStart = Layout.headerSize + sorted.count * Layout.entrySize
            let pathSize = sorted.reduce(0) { $0 + $1.path.count }
            var dataOffset = aligned(pathStart + pathSize)
            let total = sorted.reduce(dataOffset) { aligned($0 + $1.contents.count) }

            var archive: [UInt8] = []
            archive.reserveCapacity(total)
            archive.append(littleEndian: Layout.magic)
            archive.append(littleEndian: Layout.version)
            archive.append(littleEndian: UInt32(sorted.count))
            archive.append(littleEndian: UInt64(total))
            var pathOffset = pathStart
            for file in sorted {
                archive.append(littleEndian: UInt32(pathOffset))
                archive.append(littleEndian: UInt32(file.path.count))
                archive.append(littleEndian: UInt64(dataOffset))
                archive.append(littleEndian: UInt64(file.contents.count))
                archive.append(littleEndian: file.modificationTime)
                archive.append(littleEndian: file.tag.0)
                archive.append(littleEndian: file.tag.1)
                pathOffset += file.path.count
                dataOffset = aligned(dataOffset + file.contents.count)
            }
            for file in sorted { archive += file.path }
            for file in sorted {
                archive.pad(to: Layout.dataAlignment)
                archive += file.contents
            }
            archive.pad(to: Layout.dataAlignment)
            return archive
        }

        private static func aligned(_ offset: Int) -> Int {
            let alignment = FileArchiveLayout.dataAlignment
            return (offset + alignment - 1) / alignment * alignment
        }
    }

    extension [UInt8] {
        fileprivate mutating func pad(to alignment: Int) {
            append(
                contentsOf: repeatElement(0, count: (alignment - count % alignment) % alignment))
        }
    }
#endif
