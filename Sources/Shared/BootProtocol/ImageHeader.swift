// The image header: what the builder tells the guest about its own image.
//
// It lies in the image's writable data, in section `.swiftlet.header` at symbol
// `swiftlet_image_header`. The guest's sources define it with magic and version, the builder fills
// in the rest; all fields are little-endian.

/// The fields of the image header.
public struct ImageHeader: Equatable, Sendable {
    /// Octets of the header.
    public static var size: Int { 48 }
    /// "SWIFTLET", read as a little-endian number.
    public static var magic: UInt64 { 0x5445_4C54_4649_5753 }

    /// Of `flags`: the image listens for `ConsoleControl.stop`.
    public static var listensForStop: UInt32 { 1 << 0 }
    /// Of `flags`: behind the header stands a `MainEnd`. The guest's sources set it.
    public static var tellsMainEnd: UInt32 { 1 << 1 }

    public var version: UInt32 = bootProtocolVersion
    public var flags: UInt32 = 0
    /// Virtual address of the files archive; 0 if there is none.
    public var filesAddress: UInt64 = 0
    /// Octets of the files archive.
    public var filesSize: UInt64 = 0
    /// Virtual address after everything in the image, page aligned.
    public var imageEnd: UInt64 = 0
    /// Physical address at which the image's first segment is loaded.
    public var physicalBase: UInt64 = 0

    public init() {}

    /// Reads a header at `offset`; nil if there is none (no room, other magic).
    public init?(_ bytes: RawSpan, at offset: Int) {
        guard offset >= 0, bytes.byteCount >= Self.size, offset <= bytes.byteCount &- Self.size,
            bytes.littleEndian64(offset) == Self.magic
        else { return nil }
        version = bytes.littleEndian32(offset &+ 8)
        flags = bytes.littleEndian32(offset &+ 12)
        filesAddress = bytes.littleEndian64(offset &+ 16)
        filesSize = bytes.littleEndian64(offset &+ 24)
        imageEnd = bytes.littleEndian64(offset &+ 32)
        physicalBase = bytes.littleEndian64(offset &+ 40)
    }

    #if !hasFeature(Embedded)
        /// The header as it stands in the image.
        public var octets: [UInt8] {
            var octets: [UInt8] = []
            octets.append(littleEndian: Self.magic)
            octets.append(littleEndian: version)
            octets.append(littleEndian: flags)
            for field in [filesAddress, filesSize, imageEnd, physicalBase] {
                octets.append(littleEndian: field)
            }
            return octets
        }
    #endif
}

/// Where an error that `main` does not catch ends: Embedded Swift traps there. A monitor that gets the
/// guest's exceptions goes on at `handler`, with the trap's address in rdi; it reports the error.
public struct MainEnd: Equatable, Sendable {
    /// Octets behind the header.
    public static var size: Int { 24 }

    /// The instructions among which such a trap is the only one.
    public var start: UInt64
    public var end: UInt64
    public var handler: UInt64

    /// Reads it at `offset`; nil if there is no room.
    public init?(_ bytes: RawSpan, at offset: Int) {
        guard offset >= 0, bytes.byteCount >= Self.size, offset <= bytes.byteCount &- Self.size
        else { return nil }
        start = bytes.littleEndian64(offset)
        end = bytes.littleEndian64(offset &+ 8)
        handler = bytes.littleEndian64(offset &+ 16)
    }
}

extension RawSpan {
    /// The number at `offset`, at any alignment; bounds are checked.
    @inlinable public func littleEndian16(_ offset: Int) -> UInt16 {
        UInt16(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The number at `offset`, at any alignment; bounds are checked.
    @inlinable public func littleEndian32(_ offset: Int) -> UInt32 {
        UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The number at `offset`, at any alignment; bounds are checked.
    @inlinable public func littleEndian64(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

#if !hasFeature(Embedded)
    extension [UInt8] {
        /// Appends a number, the lowest octet first.
        public mutating func append(littleEndian value: some FixedWidthInteger) {
            var rest = value
            for _ in 0..<(type(of: value).bitWidth / 8) {
                append(UInt8(truncatingIfNeeded: rest))
                rest >>= 8
            }
        }
    }
#endif
