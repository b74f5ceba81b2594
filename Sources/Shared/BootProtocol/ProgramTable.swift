// The program table: what the builder tells the library OS about an unmodified Linux program that
// it has put into the image.
//
// The program's segments are segments of the image, at the addresses that they run at: code and
// read-only data in place, without a copy. A further executable segment holds the thunks, which its
// `syscall` instructions were turned into jumps to. Thunks enter the library OS at the symbol
// `swiftlet_linux_entry` as the instruction would enter a kernel: rax is the number, rdi, rsi, rdx,
// r10, r8 and r9 are the arguments, and rcx is the address to return to.
//
// The table lies in the library OS's initialised data at the symbol `swiftlet_linux_program`, where
// the guest's sources reserve its size and define magic and version; the builder fills in the rest.
// Without a program the number of segments stays 0. All fields are little-endian:
//
//     0   magic "SWLINUX1"              48   segments, 32 octets each, in ascending order:
//     8   u32 version                        0  u64 address       8  u64 octets in memory
//     12  u32 number of segments             16 u64 octets in the file
//     16  u64 entry                          24 u32 permissions   28 u32 kind
//     24  u64 program headers           560  u32 length of the name
//     32  u64 load bias                 564  the name
//     40  u32 number of program headers
//     44  u32 unrewritten sites

/// A Linux program inside an image. Addresses are virtual.
public struct ProgramTable: ~Escapable {
    /// Octets of the table.
    public static var size: Int { 704 }
    /// "SWLINUX1", read as a little-endian number.
    public static var magic: UInt64 { 0x3158_554E_494C_5753 }
    public static var version: UInt32 { 1 }
    /// The most segments of a program, its thunks included.
    public static var mostSegments: Int { 16 }
    /// The longest name, in octets; a longer one is cut to its end.
    public static var longestName: Int { size &- nameOffset }

    private static var segmentsOffset: Int { 48 }
    private static var segmentSize: Int { 32 }
    private static var nameOffset: Int { 564 }

    /// One segment: whole pages, which it shares with no other.
    public struct Segment: Equatable, Sendable {
        /// What a segment is for.
        public enum Kind: UInt32, Sendable {
            case program = 0
            case thunks = 1
        }

        /// The first address; a multiple of 4096.
        public var address: UInt64
        /// Octets in memory. What the file does not fill is zero.
        public var memorySize: UInt64
        public var fileSize: UInt64
        /// As in a program header: 1 to execute, 2 to write, 4 to read. Never 1 and 2 together.
        public var permissions: UInt32
        public var kind: Kind

        public init(
            address: UInt64, memorySize: UInt64, fileSize: UInt64, permissions: UInt32, kind: Kind
        ) {
            self.address = address
            self.memorySize = memorySize
            self.fileSize = fileSize
            self.permissions = permissions
            self.kind = kind
        }
    }

    /// Where the program begins.
    public let entry: UInt64
    /// Where its program headers lie in memory, for AT_PHDR; 0 if no segment holds them.
    public let programHeaders: UInt64
    /// How many there are, of 56 octets each.
    public let programHeaderCount: Int
    /// What was added to the addresses in the program's file: 0 but for a position-independent one.
    public let loadBias: UInt64
    /// `syscall` instructions that are still there: in ring 0 they work, in ring 3 by a fault.
    public let unrewrittenSites: Int
    /// Number of segments.
    public let count: Int
    private let bytes: RawSpan
    private let nameLength: Int

    /// Reads a table that the builder has filled in; nil if `bytes` are none, or hold no program.
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.size, bytes.littleEndian64(0) == Self.magic,
            bytes.littleEndian32(8) == Self.version
        else { return nil }
        let segments = bytes.littleEndian32(12)
        let length = bytes.littleEndian32(560)
        guard segments > 0, segments <= UInt32(Self.mostSegments),
            length <= UInt32(Self.longestName)
        else { return nil }
        count = Int(segments)
        nameLength = Int(length)
        entry = bytes.littleEndian64(16)
        programHeaders = bytes.littleEndian64(24)
        loadBias = bytes.littleEndian64(32)
        programHeaderCount = Int(bytes.littleEndian32(40))
        unrewrittenSites = Int(bytes.littleEndian32(44))
        self.bytes = bytes
    }

    /// The segment at `index`, in the order of addresses; `index` must be below `count`.
    public func segment(at index: Int) -> Segment {
        precondition(index >= 0 && index < count)
        let at = Self.segmentsOffset &+ index &* Self.segmentSize
        return Segment(
            address: bytes.littleEndian64(at), memorySize: bytes.littleEndian64(at &+ 8),
            fileSize: bytes.littleEndian64(at &+ 16),
            permissions: bytes.littleEndian32(at &+ 24),
            kind: bytes.littleEndian32(at &+ 28) == 1 ? .thunks : .program)
    }

    /// The name of the program's file, without folders and without NUL: argument 0.
    public var name: RawSpan {
        @_lifetime(copy self) get {
            bytes.extracting(Self.nameOffset..<(Self.nameOffset &+ nameLength))
        }
    }

    #if !hasFeature(Embedded)
        /// The octets of a table. `segments` must be `mostSegments` at most, in ascending order.
        public static func octets(
            entry: UInt64, programHeaders: UInt64, programHeaderCount: Int, loadBias: UInt64,
            unrewrittenSites: Int, segments: [Segment], name: String
        ) -> [UInt8] {
            precondition(segments.count <= mostSegments)
            var octets: [UInt8] = []
            octets.append(littleEndian: magic)
            octets.append(littleEndian: version)
            octets.append(littleEndian: UInt32(segments.count))
            for field in [entry, programHeaders, loadBias] { octets.append(littleEndian: field) }
            octets.append(littleEndian: UInt32(programHeaderCount))
            octets.append(littleEndian: UInt32(clamping: unrewrittenSites))
            for segment in segments {
                octets.append(littleEndian: segment.address)
                octets.append(littleEndian: segment.memorySize)
                octets.append(littleEndian: segment.fileSize)
                octets.append(littleEndian: segment.permissions)
                octets.append(littleEndian: segment.kind.rawValue)
            }
            octets += [UInt8](repeating: 0, count: nameOffset - 4 - octets.count)
            let name = Array(name.utf8).suffix(longestName)
            octets.append(littleEndian: UInt32(name.count))
            octets += name
            octets += [UInt8](repeating: 0, count: size - octets.count)
            return octets
        }
    #endif
}
