// The read-only files of an image: one archive, read in place.
//
//     0   magic "SWFILES1"           24  entries, 48 octets each, sorted by path:
//     8   u32 version                      0  u32 offset of the path    4  u32 length of it
//     12  u32 number of entries            8  u64 offset of the data   16  u64 size of it
//     16  u64 size of the archive         24  i64 modification time     32  u64 × 2 tag
//
// All little-endian; offsets count from the archive's start; data is aligned to 16 octets.
// Paths are relative, without "." and "..", parts joined by "/", in ascending order of octets.

/// Why an archive cannot be read.
public enum FileArchiveError: Error, Equatable {
    case notAnArchive
    case unknownVersion
    /// A table entry points outside the archive, or the paths are out of order.
    case damaged
}

/// The layout that writer and reader share.
enum FileArchiveLayout {
    /// "SWFILES1", read as a little-endian number.
    static var magic: UInt64 { 0x3153_454C_4946_5753 }
    static var version: UInt32 { 1 }
    static var headerSize: Int { 24 }
    static var entrySize: Int { 48 }
    static var dataAlignment: Int { 16 }
}

/// The files packed into an image.
public struct FileArchive: ~Escapable {
    /// One file: its place in the archive and what an HTTP server wants to know of it.
    public struct Entry: Sendable {
        /// Where the path lies in the archive.
        public let path: Range<Int>
        /// Where the contents lie in the archive.
        public let contents: Range<Int>
        /// Seconds since 1970-01-01 UTC.
        public let modificationTime: Int64
        /// The first 128 bits of the contents' SHA-256: a strong entity tag (RFC 9110 §8.8.3).
        public let tag: (UInt64, UInt64)
    }

    /// The whole archive.
    public let bytes: RawSpan
    /// Number of files.
    public let count: Int

    /// Checks the archive's table: afterwards every entry is known to lie within `bytes`.
    @_lifetime(copy bytes)
    public init(_ bytes: RawSpan) throws(FileArchiveError) {
        typealias Layout = FileArchiveLayout
        guard bytes.byteCount >= Layout.headerSize, bytes.littleEndian64(0) == Layout.magic else {
            throw .notAnArchive
        }
        guard bytes.littleEndian32(8) == Layout.version else { throw .unknownVersion }
        let count = Int(bytes.littleEndian32(12))
        guard bytes.littleEndian64(16) == UInt64(bytes.byteCount),
            count <= (bytes.byteCount &- Layout.headerSize) / Layout.entrySize
        else { throw .damaged }
        self.bytes = bytes
        self.count = count
        var previous = 0..<0
        for index in 0..<count {
            let at = Layout.headerSize &+ index &* Layout.entrySize
            guard
                Self.range(bytes.littleEndian64(at &+ 8), bytes.littleEndian64(at &+ 16), bytes)
                    != nil,
                let path = Self.range(
                    UInt64(bytes.littleEndian32(at)), UInt64(bytes.littleEndian32(at &+ 4)), bytes),
                index == 0 || Self.order(bytes, previous, bytes, path) < 0
            else { throw .damaged }
            previous = path
        }
    }

    /// An archive that `init(_:)` has accepted before, and that nobody can have changed since.
    @_lifetime(copy bytes)
    public init(alreadyChecked bytes: RawSpan) {
        self.bytes = bytes
        count = bytes.byteCount > 0 ? Int(bytes.littleEndian32(12)) : 0
    }

    private static func range(_ offset: UInt64, _ size: UInt64, _ bytes: RawSpan) -> Range<Int>? {
        let total = UInt64(bytes.byteCount)
        guard offset <= total, size <= total &- offset else { return nil }
        return Int(offset)..<Int(offset &+ size)
    }

    /// The file at `index`, in the order of paths; `index` must be below `count`.
    public func entry(at index: Int) -> Entry {
        precondition(index >= 0 && index < count)
        let at = FileArchiveLayout.headerSize &+ index &* FileArchiveLayout.entrySize
        let path = Int(bytes.littleEndian32(at))
        let contents = Int(bytes.littleEndian64(at &+ 8))
        return Entry(
            path: path..<(path &+ Int(bytes.littleEndian32(at &+ 4))),
            contents: contents..<(contents &+ Int(bytes.littleEndian64(at &+ 16))),
            modificationTime: Int64(bitPattern: bytes.littleEndian64(at &+ 24)),
            tag: (bytes.littleEndian64(at &+ 32), bytes.littleEndian64(at &+ 40)))
    }

    /// The file of exactly this path; nil if there is none.
    public func find(_ path: RawSpan) -> Entry? {
        var low = 0
        var high = count
        while low < high {
            let middle = low &+ (high &- low) / 2
            let entry = entry(at: middle)
            let order = Self.order(path, 0..<path.byteCount, bytes, entry.path)
            if order == 0 { return entry }
            if order < 0 { high = middle } else { low = middle &+ 1 }
        }
        return nil
    }

    /// The octets of a file.
    @_lifetime(copy self)
    public func contents(of entry: Entry) -> RawSpan {
        bytes.extracting(entry.contents)
    }

    /// The octets of a file's path.
    @_lifetime(copy self)
    public func path(of entry: Entry) -> RawSpan {
        bytes.extracting(entry.path)
    }

    /// Below, at or above 0 as the octets of `a` sort before, with or after those of `b`.
    private static func order(
        _ left: RawSpan, _ a: Range<Int>, _ right: RawSpan, _ b: Range<Int>
    ) -> Int {
        for index in 0..<min(a.count, b.count) {
            let difference =
                Int(left.octet(a.lowerBound &+ index)) &- Int(right.octet(b.lowerBound &+ index))
            if difference != 0 { return difference }
        }
        return a.count &- b.count
    }
}
