// Makes an image of a linked guest: physical addresses, the header, the files; nothing superfluous.
//
// The linker fixes virtual addresses (SDK/swiftlet.ld). Physical addresses are the same here: every
// monitor and firmware leaves that memory alone. Placement.swift moves an image lower down.

import SwiftletBootProtocol
import SystemPackage

/// Writes images.
public enum ImageWriter {
    /// The end of the addresses that an image may use: its code and data are linked for 2 GiB.
    static let highEnd: UInt64 = 0x8000_0000
    /// The guest's image header, as its assembly names it.
    static let headerSymbol = "swiftlet_image_header"
    /// Linked where somebody listens for the host's request to stop.
    static let stopSymbol = "swiftlet_listen_for_stop"
    /// File offsets of segments are multiples of this; monitors copy, so pages are not needed.
    static let fileAlignment = 16

    /// A segment of the image, and what stands in the file of it.
    struct Part {
        var segment: ELFSegment
        var contents: ArraySlice<UInt8>
    }

    /// Octets that take the place of others at a virtual address.
    struct Patch {
        var address: UInt64
        var octets: [UInt8]
    }

    /// Makes an error of a reason why there can be no image.
    typealias Reject = (String) -> ToolError

    /// The image of the linked ELF `linked` with `files` in it, and with `program` if it is the
    /// library OS for Linux programs. `name` names the ELF in errors.
    public static func write(
        linked: [UInt8], files: [PackedFile], program: RewrittenProgram? = nil, name: String
    ) throws(ToolError) -> [UInt8] {
        let elf: ELFFile
        do {
            elf = try ELFFile(linked)
        } catch {
            throw ToolError("cannot make an image of '\(name)': \(error)")
        }
        func reject(_ reason: String) -> ToolError {
            ToolError("cannot make an image of '\(name)': \(reason)")
        }
        let loads = try guestSegments(elf, reject)
        let symbols = elf.symbols()
        guard let headerAddress = symbols.first(where: { $0.name == headerSymbol })?.address else {
            throw reject("it has no symbol \(headerSymbol)")
        }

        var parts = loads.map { Part(segment: $0, contents: elf.contents(of: $0)) }
        var patches: [Patch] = []
        var end = LinuxProgram.pageEnd(loads[loads.count - 1].end)
        if let program {
            let placed = try PlacedProgram(program, above: end, symbols: symbols, reject)
            parts += placed.parts
            patches.append(placed.table)
            end = placed.end
        }
        var header = ImageHeader()
        if symbols.contains(where: { $0.name == stopSymbol }) {
            header.flags |= ImageHeader.listensForStop
        }
        if !files.isEmpty {
            let archive = FileArchive.write(files)
            header.filesAddress = end
            header.filesSize = UInt64(archive.count)
            parts.append(
                Part(
                    segment: ELFSegment(
                        type: ELFSegment.load, flags: 4, offset: 0, address: end,
                        physicalAddress: 0, fileSize: header.filesSize,
                        memorySize: header.filesSize, alignment: 0), contents: archive[...]))
            end += LinuxProgram.pageEnd(header.filesSize)
            guard end <= highEnd else { throw reject("its files do not fit the address space") }
        }
        header.imageEnd = end
        header.physicalBase = loads[0].address
        let image = try assemble(
            elf, parts: parts, patches: patches, header: header, headerAddress: headerAddress,
            reject)
        // Tables may contradict each other: a note, say, that lies elsewhere in the file than in
        // memory. What cannot be read again would not boot.
        guard (try? Image(FilePath(name), contents: image)) != nil else {
            throw reject("its tables contradict each other")
        }
        return image
    }

    /// The loaded segments of a linked guest, checked, in the order of their addresses: at least one.
    private static func guestSegments(
        _ elf: ELFFile, _ reject: Reject
    ) throws(ToolError) -> [ELFSegment] {
        guard elf.type == ELFFile.executableType, elf.machine == ELFFile.amd64 else {
            throw reject("it is no static x86-64 executable")
        }
        guard elf.notes().contains(where: \.isPVHEntry)
        else { throw reject("it has no PVH entry, so Swiftlet's boot code is not in it") }
        let loads = elf.segments.filter { $0.type == ELFSegment.load && $0.memorySize > 0 }
            .sorted { $0.address < $1.address }
        for (index, segment) in loads.enumerated() {
            if segment.isWritable && segment.isExecutable {
                throw reject("segment \(index) is both writable and executable")
            }
            if segment.fileSize > segment.memorySize || segment.end > highEnd {
                throw reject("segment \(index) does not fit the address space")
            }
            if index > 0 && loads[index - 1].end > segment.address {
                throw reject("segments \(index - 1) and \(index) overlap")
            }
        }
        guard let first = loads.first, first.address >= Placement.lowDistance else {
            throw reject("it has no loadable segments at Swiftlet's addresses")
        }
        return loads
    }

    private static func assemble(
        _ elf: ELFFile, parts: [Part], patches: [Patch], header: ImageHeader,
        headerAddress: UInt64, _ reject: Reject
    ) throws(ToolError) -> [UInt8] {
        var segments = parts.map(\.segment)
        let noteSegments = elf.segments.filter { $0.type == ELFSegment.note }
        let tableSize = (segments.count + noteSegments.count) * ELFSegment.size

        var body: [UInt8] = []
        let bodyStart = ELFFile.headerSize + tableSize
        for (index, part) in parts.enumerated() {
            while (bodyStart + body.count) % fileAlignment != 0 { body.append(0) }
            segments[index].offset = UInt64(bodyStart + body.count)
            segments[index].physicalAddress = segments[index].address
            segments[index].alignment = UInt64(fileAlignment)
            body += part.contents
        }
        /// Where `size` octets of writable data at `address` lie in `body`.
        func place(_ address: UInt64, _ size: Int) -> Int? {
            guard
                let place = segments.first(where: {
                    $0.isWritable && address >= $0.address && $0.fileSize >= UInt64(size)
                        && address - $0.address <= $0.fileSize - UInt64(size)
                })
            else { return nil }
            return Int(place.offset + address - place.address) - bodyStart
        }

        guard let at = place(headerAddress, ImageHeader.size)
        else { throw reject("its header does not lie in initialised, writable data") }
        guard let found = ImageHeader(body.span.bytes, at: at) else {
            throw reject("its symbol \(headerSymbol) marks no header")
        }
        guard found.version == bootProtocolVersion else {
            throw reject(
                "it speaks boot protocol \(found.version), this tool \(bootProtocolVersion)")
        }
        var patched = header
        patched.flags |= found.flags
        body.replaceSubrange(at..<(at + ImageHeader.size), with: patched.octets)
        for patch in patches {
            guard let at = place(patch.address, patch.octets.count) else {
                throw reject("its program table does not lie in initialised, writable data")
            }
            body.replaceSubrange(at..<(at + patch.octets.count), with: patch.octets)
        }

        for note in noteSegments {
            guard
                let home = segments.first(where: {
                    note.address >= $0.address && note.fileSize <= $0.fileSize
                        && note.address - $0.address <= $0.fileSize - note.fileSize
                })
            else { throw reject("its notes are not loaded") }
            var note = note
            note.offset = home.offset + note.address - home.address
            note.physicalAddress = note.address
            segments.append(note)
        }
        var image = elfHeader(entry: elf.entry, segments: segments.count)
        for segment in segments { segment.append(to: &image) }
        return image + body
    }

    /// An ELF header of an executable without sections.
    private static func elfHeader(entry: UInt64, segments: Int) -> [UInt8] {
        var header: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0]
        header += [UInt8](repeating: 0, count: 8)
        header.append(littleEndian: ELFFile.executableType)
        header.append(littleEndian: ELFFile.amd64)
        header.append(littleEndian: UInt32(1))
        header.append(littleEndian: entry)
        header.append(littleEndian: UInt64(ELFFile.headerSize))
        header.append(littleEndian: UInt64(0))
        header.append(littleEndian: UInt32(0))
        header.append(littleEndian: UInt16(ELFFile.headerSize))
        header.append(littleEndian: UInt16(ELFSegment.size))
        header.append(littleEndian: UInt16(segments))
        header.append(littleEndian: UInt16(ELFSection.size))
        header.append(littleEndian: UInt16(0))
        header.append(littleEndian: UInt16(0))
        return header
    }
}
