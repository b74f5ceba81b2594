// A finished image, as `run` and `inspect` read it.

import SwiftletBootProtocol
import SystemPackage

/// An image on disk, checked.
public struct Image: Sendable {
    public private(set) var path: FilePath
    public let elf: ELFFile
    public let header: ImageHeader
    /// Where the header lies in the file.
    let headerOffset: Int
    /// The loaded segments, in the order of their addresses.
    public let segments: [ELFSegment]

    /// The most segments that are loaded of one: the built-in monitor takes no more, notes included.
    static let mostSegments = 16

    /// Reads an image; throws if the file is none.
    public init(_ path: FilePath) throws(ToolError) {
        try self.init(path, contents: try FileSystem.read(path))
    }

    /// An image whose contents were read already.
    public init(_ path: FilePath, contents: [UInt8]) throws(ToolError) {
        func reject(_ reason: String) -> ToolError {
            ToolError(
                "'\(path)' is no Swiftlet image: \(reason)",
                hint: "Make one with `swiftlet build PACKAGE -o FILE`.")
        }
        let elf: ELFFile
        do {
            elf = try ELFFile(contents)
        } catch {
            throw reject("\(error)")
        }
        guard elf.notes().contains(where: \.isPVHEntry)
        else { throw reject("it has no PVH entry") }
        let segments = elf.segments.filter { $0.type == ELFSegment.load && $0.memorySize > 0 }
            .sorted { $0.address < $1.address }
        guard segments.count <= Self.mostSegments else {
            throw reject("it has \(segments.count) segments, more than \(Self.mostSegments)")
        }
        guard let (header, headerOffset) = Self.header(elf, segments) else {
            throw reject("it has no image header")
        }
        guard header.version == bootProtocolVersion else {
            throw ToolError(
                "image '\(path)' speaks boot protocol \(header.version), this tool "
                    + "\(bootProtocolVersion)", hint: "Build it again with this version.")
        }
        guard let first = segments.first, let last = segments.last,
            header.imageEnd >= last.end, header.imageEnd <= ImageWriter.highEnd,
            header.physicalBase == first.physicalAddress, header.physicalBase <= first.address,
            first.address >= Placement.lowDistance
        else { throw reject("its header does not match its segments") }
        self.path = path
        self.elf = elf
        self.header = header
        self.headerOffset = headerOffset
        self.segments = segments
    }

    /// The same image, a copy of which lies at `path`.
    public func at(_ path: FilePath) -> Image {
        var copy = self
        copy.path = path
        return copy
    }

    /// The header lies somewhere in writable data; it is known by its magic number.
    private static func header(_ elf: ELFFile, _ segments: [ELFSegment]) -> (ImageHeader, Int)? {
        let span = elf.bytes.span.bytes
        for segment in segments where segment.isWritable {
            let start = Int(segment.offset)
            for offset in stride(from: 0, to: Int(segment.fileSize) - ImageHeader.size + 1, by: 8) {
                if let header = ImageHeader(span, at: start + offset), header.imageEnd != 0 {
                    return (header, start + offset)
                }
            }
        }
        return nil
    }

    /// The octets of the files archive; empty if there is none.
    public var files: ArraySlice<UInt8> {
        guard header.filesSize > 0,
            let segment = segments.first(where: { $0.address == header.filesAddress }),
            segment.fileSize >= header.filesSize
        else { return [] }
        return elf.contents(of: segment).prefix(Int(header.filesSize))
    }

    /// The addresses of the segments of the Linux program in it, its thunks among them; nil if it
    /// holds none.
    var programSegments: Set<UInt64>? {
        let span = elf.bytes.span.bytes
        for segment in segments where segment.isWritable {
            let start = Int(segment.offset)
            let room = Int(segment.fileSize) - ProgramTable.size
            for offset in stride(from: 0, through: room, by: 8) {
                let size = ProgramTable.size
                let octets = span.extracting((start + offset)..<(start + offset + size))
                if let table = ProgramTable(octets) {
                    return Set((0..<table.count).map { table.segment(at: $0).address })
                }
            }
        }
        return nil
    }

    /// Whether the program in it is this one: the same octets in the same segments.
    func holds(_ rewritten: RewrittenProgram) -> Bool {
        guard let addresses = programSegments else { return false }
        let held = segments.filter { addresses.contains($0.address) }
        let program = rewritten.program
        return held.count == program.segments.count + 1
            && zip(held, program.segments).allSatisfy { held, segment in
                let end = held.fileSize
                return end >= segment.fileSize
                    && elf.contents(of: held).suffix(Int(segment.fileSize))
                        == rewritten.bytes[
                            Int(segment.offset)..<Int(segment.offset + segment.fileSize)]
            }
    }

    /// Where the Linux program in it is expected as it was before it was rewritten.
    public var programPath: FilePath { FilePath(path.string + ".program") }

    /// Whether the guest hears `ConsoleControl.stop`; without, it can only be stopped from outside.
    public var listensForStop: Bool { header.flags & ImageHeader.listensForStop != 0 }

    /// Where the unstripped ELF of this image is expected.
    public var debugPath: FilePath { FilePath(path.string + ".debug") }
}
