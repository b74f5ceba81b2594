// What `swiftlet inspect` knows of an image: sizes, permissions, what was linked in.

import FoundationEssentials
import SwiftletBootProtocol
import SystemPackage

/// A description of an image, for people and as JSON.
public struct Inspection: Encodable, Sendable {
    /// One loaded segment.
    public struct Segment: Encodable, Sendable {
        public var address: UInt64
        public var physicalAddress: UInt64
        public var size: UInt64
        public var fileSize: UInt64
        public var permissions: String
        public var contents: String
    }

    /// A part of the image and its octets, split by kind of section.
    public struct Part: Encodable, Sendable {
        public var name: String
        public var text: UInt64 = 0
        public var readOnlyData: UInt64 = 0
        public var data: UInt64 = 0
        public var zeroed: UInt64 = 0

        /// Octets that stand in the image's file.
        public var stored: UInt64 { text + readOnlyData + data }
    }

    public var path: String
    public var size: Int
    public var buildID: String?
    public var entry: UInt64
    public var requiredMemory: Int
    public var segments: [Segment]
    public var files: Int
    public var filesSize: UInt64
    /// The Linux program in it; nil if there is none, or its own file does not lie beside the image.
    public var program: ProgramInspection?
    /// By section; empty without the debug file.
    public var sections: [String: UInt64] = [:]
    /// By module, the largest first; empty without the debug file.
    public var modules: [Part] = []
    /// Drivers and protocols that were linked in, known by their types; empty without the debug
    /// file.
    public var devices: [String] = []
    public var protocols: [String] = []
    /// Why `program` is missing though the image holds one; nil if it is not.
    public var programNote: String?
    /// Why modules and the rest are missing; nil if they are not.
    public var note: String?

    /// Looks at `image`, and at its debug file if that lies beside it.
    public init(_ image: Image) {
        path = image.path.string
        size = image.elf.bytes.count
        buildID = image.elf.buildID
        entry = image.elf.entry
        requiredMemory = image.requiredMemory(image.placement(hasBIOS: false))
        let programSegments = image.programSegments ?? []
        segments = image.segments.map { segment in
            let isFiles =
                segment.address == image.header.filesAddress && image.header.filesSize > 0
            let isProgram = programSegments.contains(segment.address)
            let contents =
                isFiles
                ? "files"
                : isProgram
                    ? "program"
                    : segment.isExecutable ? "code" : segment.isWritable ? "data" : "read-only data"
            return Segment(
                address: segment.address, physicalAddress: segment.physicalAddress,
                size: segment.memorySize, fileSize: segment.fileSize,
                permissions: segment.permissions, contents: contents)
        }
        filesSize = image.header.filesSize
        files = Self.fileCount(image)
        do throws(ToolError) {
            program = try ProgramInspection.program(in: image)
        } catch {
            programNote = "the program's system calls are not known: \(error.message)"
        }
        guard let contents = try? FileSystem.read(image.debugPath),
            let debug = try? ELFFile(contents)
        else {
            note = "no '\(image.debugPath)': sizes by module are not known"
            return
        }
        guard debug.buildID == image.elf.buildID else {
            note = "'\(image.debugPath)' is of another build: sizes by module are not known"
            return
        }
        for section in debug.sections where section.isAllocated {
            sections[section.name, default: 0] += section.fileSize
        }
        let symbols = debug.symbols()
        modules = Self.modules(debug, symbols)
        devices = Self.found(Self.knownDevices, in: symbols)
        protocols = Self.found(Self.knownProtocols, in: symbols)
    }

    private static func fileCount(_ image: Image) -> Int {
        let files = Array(image.files)
        guard let archive = try? FileArchive(files.span.bytes) else { return 0 }
        return archive.count
    }

    /// Sizes of symbols by the module in their names; aliases are counted once, and what no symbol
    /// covers stands under "(other)".
    private static func modules(_ elf: ELFFile, _ symbols: [ELFSymbol]) -> [Part] {
        var parts: [String: Part] = [:]
        var covered: [Int: UInt64] = [:]
        var end: UInt64 = 0
        let sorted = symbols.filter { $0.size > 0 && elf.sections[$0.section].isAllocated }
            .sorted { ($0.address, $1.size) < ($1.address, $0.size) }
        for symbol in sorted {
            let section = elf.sections[symbol.section]
            let (limit, overflow) = section.address.addingReportingOverflow(section.fileSize)
            guard !overflow, symbol.address >= section.address, symbol.address < limit else {
                continue
            }
            let last = symbol.address + min(symbol.size, limit - symbol.address)
            let start = max(symbol.address, end)
            guard last > start else { continue }
            end = last
            let module = MangledName.module(symbol.name)
            parts[module, default: Part(name: module)].add(last - start, in: section)
            covered[symbol.section, default: 0] += last - start
        }
        for (index, section) in elf.sections.enumerated() where section.isAllocated {
            let rest = section.fileSize - min(section.fileSize, covered[index] ?? 0)
            if rest > 0 { parts["(other)", default: Part(name: "(other)")].add(rest, in: section) }
        }
        return parts.values.sorted { ($1.stored, $0.name) < ($0.stored, $1.name) }
    }

    /// The image in words.
    public var text: String {
        var lines = [
            "\(path): \(size) octets, needs \(requiredMemory >> 10) KiB of memory"
                + (buildID.map { ", build \($0.prefix(12))" } ?? ""), "",
            "segment         at         physical    in memory      in file",
        ]
        for segment in segments {
            lines.append(
                pad(segment.contents, 15) + pad("0x" + String(segment.address, radix: 16), 11)
                    + pad("0x" + String(segment.physicalAddress, radix: 16), 10)
                    + padLeft("\(segment.size)", 11) + padLeft("\(segment.fileSize)", 13) + "  "
                    + segment.permissions)
        }
        if files > 0 { lines += ["", "\(files) files, \(filesSize) octets"] }
        if !modules.isEmpty {
            lines += ["", "module                     code   read-only       data     zeroed"]
            for part in modules {
                lines.append(
                    pad(part.name, 22) + padLeft("\(part.text)", 9)
                        + padLeft("\(part.readOnlyData)", 12) + padLeft("\(part.data)", 11)
                        + padLeft("\(part.zeroed)", 11))
            }
            lines += ["", "section"]
            for (name, size) in sections.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
                lines.append(pad(name, 22) + padLeft("\(size)", 9))
            }
        }
        if !devices.isEmpty { lines += ["", "devices: " + devices.joined(separator: ", ")] }
        if !protocols.isEmpty { lines += ["protocols: " + protocols.joined(separator: ", ")] }
        if let program { lines += ["", program.text] }
        if let programNote { lines += ["", programNote] }
        if let note { lines += ["", note] }
        return lines.joined(separator: "\n")
    }

    /// The image as JSON, keys sorted.
    public var json: String { Self.json(self) }

    /// A description as JSON, keys sorted.
    static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return "{}" }
        return String(decoding: data, as: UTF8.self)
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private func padLeft(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}

extension Inspection.Part {
    fileprivate mutating func add(_ size: UInt64, in section: ELFSection) {
        switch (section.hasContents, section.flags & 4 != 0, section.flags & 1 != 0) {
        case (false, _, _): zeroed += size
        case (_, true, _): text += size
        case (_, _, true): data += size
        default: readOnlyData += size
        }
    }
}
