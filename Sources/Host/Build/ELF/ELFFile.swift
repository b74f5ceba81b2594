// ELF files of 64 bits, little-endian (System V ABI, "Object Files"): read, with every offset from
// the file checked before it is used. Nothing in a file can crash the tool.

import SwiftletBootProtocol

/// Why a file cannot be read as an ELF.
public enum ELFError: Error, Equatable, CustomStringConvertible {
    case notELF
    /// 32 bits, big-endian, or another version.
    case unsupported(String)
    /// A table or string lies outside the file.
    case outside(String)

    public var description: String {
        switch self {
        case .notELF: "not an ELF file"
        case .unsupported(let what): "unsupported ELF file: \(what)"
        case .outside(let what): "damaged ELF file: \(what) lies outside the file"
        }
    }
}

/// A whole ELF file in memory.
public struct ELFFile: Sendable {
    public let bytes: [UInt8]
    /// Object file type: 2 is an executable at fixed addresses, 3 a shared or PIE object.
    public let type: UInt16
    /// Machine: 62 is x86-64.
    public let machine: UInt16
    public let entry: UInt64
    public let segments: [ELFSegment]
    /// Where the program headers lie in the file.
    let segmentTable: Int
    public let sections: [ELFSection]

    public static let headerSize = 64
    public static let executableType: UInt16 = 2
    public static let amd64: UInt16 = 62

    /// Reads header, program headers and section headers.
    public init(_ bytes: [UInt8]) throws(ELFError) {
        let span = bytes.span.bytes
        guard span.byteCount >= 4, span.littleEndian32(0) == 0x464C_457F else { throw .notELF }
        guard span.byteCount >= Self.headerSize else { throw .outside("the header") }
        guard span.octet(4) == 2 else { throw .unsupported("not of 64 bits") }
        guard span.octet(5) == 1 else { throw .unsupported("not little-endian") }
        self.bytes = bytes
        type = span.littleEndian16(16)
        machine = span.littleEndian16(18)
        entry = span.littleEndian64(24)
        segments = try Self.segments(span)
        // Checked with the table, unless that is empty.
        segmentTable = segments.isEmpty ? 0 : Int(span.littleEndian64(32))
        sections = try Self.sections(span)
    }

    private static func segments(_ span: RawSpan) throws(ELFError) -> [ELFSegment] {
        let count = Int(span.littleEndian16(56))
        guard count > 0 else { return [] }
        guard Int(span.littleEndian16(54)) == ELFSegment.size else {
            throw .unsupported("program headers of another size")
        }
        guard
            let table = range(
                span.littleEndian64(32), UInt64(count * ELFSegment.size), in: span.byteCount)
        else { throw .outside("the program header table") }
        var segments: [ELFSegment] = []
        for index in 0..<count {
            let segment = ELFSegment(span, at: table.lowerBound + index * ELFSegment.size)
            guard range(segment.offset, segment.fileSize, in: span.byteCount) != nil else {
                throw .outside("segment \(index)")
            }
            guard !segment.address.addingReportingOverflow(segment.memorySize).overflow else {
                throw .outside("the end of segment \(index)")
            }
            segments.append(segment)
        }
        return segments
    }

    private static func sections(_ span: RawSpan) throws(ELFError) -> [ELFSection] {
        let count = Int(span.littleEndian16(60))
        guard count > 0 else { return [] }
        guard Int(span.littleEndian16(58)) == ELFSection.size else {
            throw .unsupported("section headers of another size")
        }
        guard
            let table = range(
                span.littleEndian64(40), UInt64(count * ELFSection.size), in: span.byteCount)
        else { throw .outside("the section header table") }
        var sections: [ELFSection] = []
        for index in 0..<count {
            let section = ELFSection(span, at: table.lowerBound + index * ELFSection.size)
            if section.hasContents,
                range(section.offset, section.fileSize, in: span.byteCount) == nil
            {
                throw .outside("section \(index)")
            }
            sections.append(section)
        }
        let names = Int(span.littleEndian16(62))
        guard names < count, sections[names].hasContents else { return sections }
        var room = roomForNames(span)
        for index in 0..<count {
            sections[index].name =
                string(span, in: sections[names], at: sections[index].nameOffset, room: &room) ?? ""
        }
        return sections
    }

    /// The range of `size` octets at `offset`, if it lies within `count` octets.
    static func range(_ offset: UInt64, _ size: UInt64, in count: Int) -> Range<Int>? {
        let count = UInt64(count)
        guard offset <= count, size <= count - offset else { return nil }
        return Int(offset)..<Int(offset + size)
    }

    /// Octets of the longest name that is kept whole.
    static let longestName = 4096

    /// Octets that all names of a table may have: entries may share a name, but not without end.
    static func roomForNames(_ span: RawSpan) -> Int { 4 * span.byteCount }

    /// The NUL-terminated string at `offset` of a string table; cut off behind `longestName`, and where
    /// `room` ends, of which it takes its length.
    static func string(
        _ span: RawSpan, in table: ELFSection, at offset: UInt32, room: inout Int
    ) -> String? {
        guard let range = range(table.offset, table.fileSize, in: span.byteCount),
            Int(offset) < range.count
        else { return nil }
        let start = range.lowerBound + Int(offset)
        let limit = min(range.upperBound, start + min(longestName, room))
        var end = start
        while end < limit && span.octet(end) != 0 { end += 1 }
        room -= end - start
        return String(
            decoding: (start..<end).map { span.octet($0) }, as: UTF8.self)
    }

    /// The first section of this name.
    public func section(_ name: String) -> ELFSection? {
        sections.first { $0.name == name }
    }

    /// The octets of a segment that stand in the file.
    public func contents(of segment: ELFSegment) -> ArraySlice<UInt8> {
        bytes[Int(segment.offset)..<Int(segment.offset + segment.fileSize)]
    }

    /// The octets of a section; empty if it has none in the file.
    public func contents(of section: ELFSection) -> ArraySlice<UInt8> {
        guard section.hasContents else { return [] }
        return bytes[Int(section.offset)..<Int(section.offset + section.fileSize)]
    }
}
