// An unmodified Linux program: a static ELF executable for x86-64, checked before anything is done
// with it (System V ABI, AMD64 supplement, chapter 5).

import SwiftletBootProtocol
import SystemPackage

/// A static Linux executable. Addresses are those of the file: a position-independent program runs
/// at a distance from them.
public struct LinuxProgram: Sendable {
    public let path: FilePath
    public let elf: ELFFile
    /// The loaded segments, in ascending order; no two share a page.
    public let segments: [ELFSegment]
    /// Whether it runs at any address (a static PIE).
    public let isPositionIndependent: Bool

    static let pageSize: UInt64 = 4096

    /// The file's name, without folders.
    public var name: String { path.lastComponent?.string ?? path.string }
    /// The pages that it covers.
    var extent: Range<UInt64> {
        (segments[0].address / Self.pageSize * Self.pageSize)..<Self.pageEnd(
            segments[segments.count - 1].end)
    }

    /// Whether a file is meant as a program: an ELF file, and no image.
    public static func isProgram(_ contents: [UInt8]) -> Bool {
        guard isELF(contents) else { return false }
        guard let elf = try? ELFFile(contents) else { return true }
        return !elf.notes().contains(where: \.isPVHEntry)
    }

    private static func isELF(_ contents: [UInt8]) -> Bool {
        contents.starts(with: [0x7F, 0x45, 0x4C, 0x46])
    }

    /// Reads a program; throws if it is none that can run here.
    public init(_ path: FilePath) throws(ToolError) {
        try self.init(path, contents: try FileSystem.read(path))
    }

    /// A program whose contents were read already.
    public init(_ path: FilePath, contents: [UInt8]) throws(ToolError) {
        func reject(_ reason: String, hint: String? = nil) -> ToolError {
            ToolError("'\(path)' cannot run: \(reason)", hint: hint)
        }
        if let machine = Self.foreignMachine(contents) {
            throw reject(
                "it is a program for \(machine), not for x86-64",
                hint: "Build it for x86_64-linux, 64 bits.")
        }
        let elf: ELFFile
        do {
            elf = try ELFFile(contents)
        } catch {
            throw reject(
                "\(error)", hint: "Give a static Linux executable, as its linker wrote it.")
        }
        guard elf.type == ELFFile.executableType || elf.type == Self.sharedType else {
            throw reject(
                elf.type == 1 ? "it is an object file that was not linked" : "it is no executable",
                hint: "Link it: \(Self.howToLink)")
        }
        let dynamic = DynamicTable(elf)
        if let interpreter = Self.interpreter(elf) {
            throw reject(
                "it is linked dynamically, for '\(interpreter)'",
                hint: "Link it statically: \(Self.howToLink)")
        }
        guard dynamic.neededCount == 0 else {
            throw reject(
                "it needs shared libraries", hint: "Link it statically: \(Self.howToLink)")
        }
        guard elf.type == ELFFile.executableType || dynamic.isExecutable else {
            throw reject("it is a shared library", hint: "Give an executable: \(Self.howToLink)")
        }
        do throws(SegmentError) {
            segments = try Self.segments(elf)
        } catch {
            throw reject(
                error.reason, hint: "Link it again without unusual options, or report its linker.")
        }
        self.path = path
        self.elf = elf
        isPositionIndependent = elf.type == Self.sharedType
    }

    private static let sharedType: UInt16 = 3
    private static let howToLink =
        "gcc -static, swift build -Xswiftc -static-executable, CGO_ENABLED=0 go build."

    /// The name of the machine that an ELF file is for, if that is not x86-64 of 64 bits.
    private static func foreignMachine(_ contents: [UInt8]) -> String? {
        let span = contents.span.bytes
        guard isELF(contents), span.byteCount >= 20 else { return nil }
        let isBig = span.octet(5) == 2
        let raw = span.littleEndian16(18)
        let machine = isBig ? raw.byteSwapped : raw
        if machine == ELFFile.amd64 { return span.octet(4) == 1 ? "x32, x86-64 of 32 bits" : nil }
        switch machine {
        case 3: return "i386"
        case 8: return "MIPS"
        case 20, 21: return "PowerPC"
        case 22: return "s390"
        case 40: return "arm"
        case 183: return "arm64"
        case 243: return "RISC-V"
        case 258: return "LoongArch"
        default: return "another machine (ELF machine \(machine))"
        }
    }

    private static func interpreter(_ elf: ELFFile) -> String? {
        guard let segment = elf.segments.first(where: { $0.type == ELFSegment.interpreter }) else {
            return nil
        }
        return String(decoding: elf.contents(of: segment).prefix { $0 != 0 }, as: UTF8.self)
    }

    private struct SegmentError: Error {
        var reason: String
    }

    private static func segments(_ elf: ELFFile) throws(SegmentError) -> [ELFSegment] {
        let loads = elf.segments.filter { $0.type == ELFSegment.load && $0.memorySize > 0 }
            .sorted { $0.address < $1.address }
        guard !loads.isEmpty else { throw SegmentError(reason: "nothing of it is to be loaded") }
        // One entry of the table is for the thunks.
        guard loads.count < ProgramTable.mostSegments else {
            throw SegmentError(reason: "it has more than \(ProgramTable.mostSegments - 1) segments")
        }
        for (index, segment) in loads.enumerated() {
            guard segment.fileSize <= segment.memorySize, segment.end <= ImageWriter.highEnd else {
                throw SegmentError(reason: "segment \(index) lies above 2 GiB, or is inconsistent")
            }
            guard segment.isReadable, !(segment.isWritable && segment.isExecutable) else {
                throw SegmentError(
                    reason: "segment \(index) is both writable and executable, or not readable")
            }
            // The page's beginning is taken from the file as well, as the kernel does.
            guard segment.offset % pageSize == segment.address % pageSize else {
                throw SegmentError(reason: "segment \(index) is not aligned in the file")
            }
            if index > 0, pageEnd(loads[index - 1].end) > segment.address / pageSize * pageSize {
                throw SegmentError(reason: "segments \(index - 1) and \(index) share a page")
            }
        }
        // Rewriting one must not change another.
        let inFile = loads.filter { $0.fileSize > 0 }.sorted { $0.offset < $1.offset }
        for (former, latter) in zip(inFile, inFile.dropFirst())
        where former.offset + former.fileSize > latter.offset {
            throw SegmentError(reason: "two segments are the same part of the file")
        }
        guard
            loads.contains(where: {
                $0.isExecutable && elf.entry >= $0.address
                    && elf.entry - $0.address < $0.fileSize
            })
        else { throw SegmentError(reason: "its entry does not lie in code") }
        return loads
    }

    static func pageEnd(_ address: UInt64) -> UInt64 {
        (address + pageSize - 1) / pageSize * pageSize
    }

    /// The place in the file of what is loaded at `address`; nil if nothing of the file is.
    func offset(of address: UInt64) -> Int? {
        guard let segment = segments.last(where: { $0.address <= address }),
            address - segment.address < segment.fileSize
        else { return nil }
        return Int(segment.offset + (address - segment.address))
    }
}
