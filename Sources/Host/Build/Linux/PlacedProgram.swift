// A Linux program as a part of an image: its segments at the addresses that it runs at, the thunks
// behind them, and the table that tells the library OS (Sources/Shared/BootProtocol/ProgramTable).

import SwiftletBootProtocol

/// A rewritten program at its place in an image.
struct PlacedProgram {
    /// Where thunks enter the library OS.
    static let entrySymbol = "swiftlet_linux_entry"
    /// Where the library OS keeps the program table.
    static let tableSymbol = "swiftlet_linux_program"
    /// What the image has besides code, read-only data, data: files, two notes.
    private static let otherSegments = 3 + 3

    /// The program's segments, and the thunks'.
    let parts: [ImageWriter.Part]
    let table: ImageWriter.Patch
    /// The address behind all of it; whole pages.
    let end: UInt64

    /// - Parameters:
    ///   - start: the end of the library OS, below which nothing may lie.
    ///   - symbols: the library OS's.
    init(
        _ rewritten: RewrittenProgram, above start: UInt64, symbols: [ELFSymbol],
        _ reject: ImageWriter.Reject
    ) throws(ToolError) {
        guard let entry = symbols.first(where: { $0.name == Self.entrySymbol })?.address,
            let tableAddress = symbols.first(where: { $0.name == Self.tableSymbol })?.address
        else { throw reject("it has no module for Linux programs in it") }
        let program = rewritten.program
        let bias = try Self.bias(program, above: start)
        guard program.segments.count + 1 + Self.otherSegments <= Image.mostSegments else {
            throw ToolError("'\(program.path)' cannot run: it has too many segments")
        }
        var parts = program.segments.map { segment in
            // Whole pages, with what stands in the file before the segment, as a kernel maps it.
            let lead = segment.address % LinuxProgram.pageSize
            let from = Int(segment.offset - lead)
            var copy = segment
            copy.flags &= 7
            copy.address = copy.address - lead + bias
            copy.fileSize += lead
            copy.memorySize += lead
            return ImageWriter.Part(
                segment: copy, contents: rewritten.bytes[from..<(from + Int(copy.fileSize))])
        }
        let thunks = rewritten.thunks(entering: entry)
        let thunksAddress = rewritten.thunksAddress + bias
        end = LinuxProgram.pageEnd(thunksAddress + UInt64(thunks.count))
        guard end <= ImageWriter.highEnd else {
            throw ToolError("'\(program.path)' cannot run: it does not fit below 2 GiB")
        }
        parts.append(
            ImageWriter.Part(
                segment: ELFSegment(
                    type: ELFSegment.load, flags: 5, offset: 0, address: thunksAddress,
                    physicalAddress: 0, fileSize: UInt64(thunks.count),
                    memorySize: UInt64(thunks.count), alignment: 0), contents: thunks[...]))
        self.parts = parts
        let segments = parts.enumerated().map { index, part in
            ProgramTable.Segment(
                address: part.segment.address, memorySize: part.segment.memorySize,
                fileSize: part.segment.fileSize, permissions: part.segment.flags,
                kind: index == parts.count - 1 ? .thunks : .program)
        }
        table = ImageWriter.Patch(
            address: tableAddress,
            octets: ProgramTable.octets(
                entry: program.elf.entry + bias,
                programHeaders: Self.programHeaders(program).map { $0 + bias } ?? 0,
                programHeaderCount: program.elf.segments.count, loadBias: bias,
                unrewrittenSites: rewritten.unrewrittenCount, segments: segments,
                name: program.name))
    }

    /// How far the program is moved.
    private static func bias(
        _ program: LinuxProgram, above start: UInt64
    ) throws(ToolError) -> UInt64 {
        if program.isPositionIndependent {
            let largestPage: UInt64 = 1 << 21
            let alignment = program.segments.map(\.alignment).filter {
                $0 <= largestPage && $0 & ($0 &- 1) == 0
            }.max()
            let unit = max(alignment ?? 0, LinuxProgram.pageSize)
            // The program's own addresses begin at 0, or near it.
            return (start + unit - 1) / unit * unit
        }
        guard program.extent.lowerBound >= start else {
            let address = String(program.extent.lowerBound, radix: 16)
            throw ToolError(
                "'\(program.path)' cannot run: it lies at 0x\(address), where Swiftlet is",
                hint: "Link it at 0x400000 or above (-Wl,-Ttext-segment=0x400000; lld: "
                    + "-Wl,--image-base=0x400000), or as a static PIE.")
        }
        return 0
    }

    /// Where the program headers are loaded, as linked; nil if they are not.
    private static func programHeaders(_ program: LinuxProgram) -> UInt64? {
        let at = UInt64(program.elf.segmentTable)
        let size = UInt64(program.elf.segments.count * ELFSegment.size)
        // What stands in the page before a segment is loaded with it.
        for segment in program.segments {
            let lead = segment.address % LinuxProgram.pageSize
            let from = segment.offset - lead
            if at >= from, at - from + size <= segment.fileSize + lead {
                return segment.address - lead + (at - from)
            }
        }
        return nil
    }
}
