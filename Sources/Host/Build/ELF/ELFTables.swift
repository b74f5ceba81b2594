// The entries of an ELF file's tables: segments, sections, symbols, notes.

import SwiftletBootProtocol

/// A program header.
public struct ELFSegment: Equatable, Sendable {
    /// PT_LOAD is 1, PT_NOTE 4.
    public var type: UInt32
    public var flags: UInt32
    public var offset: UInt64
    public var address: UInt64
    public var physicalAddress: UInt64
    public var fileSize: UInt64
    public var memorySize: UInt64
    public var alignment: UInt64

    static let size = 56
    /// Where `physicalAddress` stands in an entry.
    static let physicalAddressField = 24
    public static let load: UInt32 = 1
    public static let note: UInt32 = 4
    static let dynamic: UInt32 = 2
    static let interpreter: UInt32 = 3

    public var isExecutable: Bool { flags & 1 != 0 }
    public var isWritable: Bool { flags & 2 != 0 }
    public var isReadable: Bool { flags & 4 != 0 }

    /// As in `ls -l`: "r-x".
    public var permissions: String {
        (isReadable ? "r" : "-") + (isWritable ? "w" : "-") + (isExecutable ? "x" : "-")
    }

    /// The address after the segment.
    public var end: UInt64 { address + memorySize }

    init(_ span: RawSpan, at offset: Int) {
        type = span.littleEndian32(offset)
        flags = span.littleEndian32(offset + 4)
        self.offset = span.littleEndian64(offset + 8)
        address = span.littleEndian64(offset + 16)
        physicalAddress = span.littleEndian64(offset + 24)
        fileSize = span.littleEndian64(offset + 32)
        memorySize = span.littleEndian64(offset + 40)
        alignment = span.littleEndian64(offset + 48)
    }

    init(
        type: UInt32, flags: UInt32, offset: UInt64, address: UInt64, physicalAddress: UInt64,
        fileSize: UInt64, memorySize: UInt64, alignment: UInt64
    ) {
        self.type = type
        self.flags = flags
        self.offset = offset
        self.address = address
        self.physicalAddress = physicalAddress
        self.fileSize = fileSize
        self.memorySize = memorySize
        self.alignment = alignment
    }

    func append(to octets: inout [UInt8]) {
        octets.append(littleEndian: type)
        octets.append(littleEndian: flags)
        for field in [
            offset, address, physicalAddress, fileSize, memorySize, alignment,
        ] {
            octets.append(littleEndian: field)
        }
    }
}

/// A section header.
public struct ELFSection: Equatable, Sendable {
    public var name = ""
    var nameOffset: UInt32
    public var type: UInt32
    public var flags: UInt64
    public var address: UInt64
    public var offset: UInt64
    public var fileSize: UInt64
    var link: UInt32
    var entrySize: UInt64

    static let size = 64
    static let noBits: UInt32 = 8
    static let symbolTable: UInt32 = 2

    /// Whether octets of it stand in the file (SHT_NULL and SHT_NOBITS have none).
    public var hasContents: Bool { type != 0 && type != Self.noBits }
    /// Whether it takes memory at run time.
    public var isAllocated: Bool { flags & 2 != 0 }

    init(_ span: RawSpan, at offset: Int) {
        nameOffset = span.littleEndian32(offset)
        type = span.littleEndian32(offset + 4)
        flags = span.littleEndian64(offset + 8)
        address = span.littleEndian64(offset + 16)
        self.offset = span.littleEndian64(offset + 24)
        fileSize = span.littleEndian64(offset + 32)
        link = span.littleEndian32(offset + 40)
        entrySize = span.littleEndian64(offset + 56)
    }
}

/// A symbol that stands for code or data in the image.
public struct ELFSymbol: Equatable, Sendable {
    public var name: String
    public var address: UInt64
    public var size: UInt64
    public var isFunction: Bool
    /// Whether it is said to be data, which may lie among code.
    var isData = false
    /// Index into `ELFFile.sections`.
    public var section: Int
}

/// A note: owner, type and contents.
public struct ELFNote: Equatable, Sendable {
    public var owner: String
    public var type: UInt32
    public var contents: [UInt8]
    /// Where the contents lie in the file.
    var offset: Int

    /// The 32-bit entry of a PVH kernel (Xen, `XEN_ELFNOTE_PHYS32_ENTRY`).
    static let pvhEntry: UInt32 = 18

    /// Whether this is the note that makes an ELF file bootable through PVH.
    public var isPVHEntry: Bool {
        owner == "Xen" && type == Self.pvhEntry && (contents.count == 4 || contents.count == 8)
    }

    /// The contents as one little-endian number; nil if they are longer than 8 octets.
    var number: UInt64? {
        guard contents.count <= 8 else { return nil }
        return contents.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

extension ELFFile {
    /// The defined symbols, without names of files and sections; empty for a stripped file.
    public func symbols() -> [ELFSymbol] {
        let span = bytes.span.bytes
        guard let table = sections.first(where: { $0.type == ELFSection.symbolTable }),
            Int(table.link) < sections.count, sections[Int(table.link)].hasContents
        else { return [] }
        let strings = sections[Int(table.link)]
        let start = Int(table.offset)
        var room = Self.roomForNames(span)
        var symbols: [ELFSymbol] = []
        for index in 0..<Int(table.fileSize / 24) {
            let at = start + index * 24
            let kind = span.octet(at + 4) & 15
            let section = Int(span.littleEndian16(at + 6))
            // Types: none, object, function; section 0 is "undefined", high ones are special.
            guard kind <= 2, section > 0, section < sections.count,
                let name = Self.string(
                    span, in: strings, at: span.littleEndian32(at), room: &room),
                !name.isEmpty
            else { continue }
            symbols.append(
                ELFSymbol(
                    name: name, address: span.littleEndian64(at + 8),
                    size: span.littleEndian64(at + 16), isFunction: kind == 2,
                    isData: kind == 1, section: section))
        }
        return symbols
    }

    /// The notes of all PT_NOTE segments; what is damaged is left out.
    public func notes() -> [ELFNote] {
        let span = bytes.span.bytes
        var notes: [ELFNote] = []
        var room = bytes.count
        for segment in segments where segment.type == ELFSegment.note {
            // Any number of segments may be the same part of the file.
            guard segment.fileSize <= room else { break }
            room -= Int(segment.fileSize)
            var at = Int(segment.offset)
            let end = at + Int(segment.fileSize)
            while end - at >= 12 {
                let ownerSize = Int(span.littleEndian32(at))
                let size = Int(span.littleEndian32(at + 4))
                let type = span.littleEndian32(at + 8)
                let owner = at + 12
                let contents = owner + (ownerSize + 3) / 4 * 4
                let next = contents + (size + 3) / 4 * 4
                guard contents <= end, contents + size <= end else { break }
                notes.append(
                    ELFNote(
                        owner: String(
                            decoding: bytes[owner..<(owner + ownerSize)].prefix { $0 != 0 },
                            as: UTF8.self),
                        type: type, contents: Array(bytes[contents..<(contents + size)]),
                        offset: contents))
                at = min(next, end)
            }
        }
        return notes
    }

    /// The linker's id of this build (`NT_GNU_BUILD_ID`), in hexadecimal.
    public var buildID: String? {
        notes().first { $0.owner == "GNU" && $0.type == 3 }.map { hexadecimal($0.contents) }
    }
}
