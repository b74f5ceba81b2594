// Making images, moving them in memory, and reading them back.

import SwiftletBootProtocol
import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("Images")
struct ImageTests {
    static func image(_ guest: SampleGuest, files: [PackedFile] = []) throws -> Image {
        try Image(
            "guest",
            contents: try ImageWriter.write(linked: guest.bytes, files: files, name: "guest"))
    }

    static func file(_ path: String, _ contents: [UInt8]) -> PackedFile {
        PackedFile(path: Array(path.utf8), contents: contents, modificationTime: 7, tag: (1, 2))
    }

    @Test("An image has the guest's segments and nothing else")
    func segments() throws {
        let guest = SampleGuest()
        let image = try Self.image(guest)
        #expect(image.elf.sections.isEmpty)
        #expect(image.segments.map(\.permissions) == ["r-x", "r--", "rw-"])
        #expect(image.segments.map(\.address) == image.segments.map(\.physicalAddress))
        #expect(Array(image.elf.contents(of: image.segments[0])) == guest.text)
        #expect(image.segments[2].memorySize == image.segments[2].fileSize + guest.bss)
        #expect(image.elf.buildID == "abcdef")
        #expect(image.header.imageEnd == 0x23_6000)
        #expect(image.header.physicalBase == SampleGuest.textAddress)
        #expect(image.header.filesSize == 0)
        #expect(image.files.isEmpty)
    }

    @Test("Files lie behind everything else, read-only, and are found in place")
    func files() throws {
        let image = try Self.image(
            SampleGuest(), files: [Self.file("b/c.txt", [1, 2, 3]), Self.file("a", [])])
        #expect(image.segments.last?.permissions == "r--")
        #expect(image.header.filesAddress == 0x23_6000)
        #expect(image.header.imageEnd == 0x23_7000)
        let bytes = Array(image.files)
        let archive = try FileArchive(bytes.span.bytes)
        let path = Array("b/c.txt".utf8)
        let contents = archive.find(path.span.bytes).map { Array(bytes[$0.contents]) }
        #expect(contents == [1, 2, 3])
        #expect(Inspection(image).files == 2)
    }

    @Test("The header says whether the guest listens for the request to stop")
    func listensForStop() throws {
        var guest = SampleGuest()
        #expect(try !Self.image(guest).listensForStop)
        guest.listensForStop = true
        let image = try Self.image(guest)
        #expect(image.listensForStop)
        #expect(try Image("guest", contents: try image.placed(.low)).listensForStop)
    }

    @Test("In low memory everything moves together")
    func placement() throws {
        let image = try Self.image(SampleGuest())
        #expect(image.placement(hasBIOS: true) == .asBuilt)
        #expect(image.placement(hasBIOS: false) == .low)
        let low = try Image("guest", contents: try image.placed(.low))
        #expect(low.segments.map(\.physicalAddress) == [0x3_0000, 0x3_1000, 0x3_2000])
        #expect(low.segments.map(\.address) == image.segments.map(\.address))
        #expect(low.elf.notes().first?.number == 0x3_0010)
        #expect(low.header.physicalBase == 0x3_0000)
        #expect(image.requiredMemory(.low) < 512 << 10)
        #expect(image.requiredMemory(.asBuilt) == image.requiredMemory(.low) + 0x20_0000)
        #expect(throws: ToolError.self) { try low.placed(.low) }
    }

    @Test("A large image stays in high memory")
    func largeImage() throws {
        var guest = SampleGuest()
        guest.bss = 0x9_0000
        let image = try Self.image(guest)
        #expect(image.placement(hasBIOS: false) == .asBuilt)
        #expect(throws: ToolError.self) { try image.placed(.low) }
    }

    static let refused: [(String, @Sendable (inout SampleGuest) -> Void)] = [
        ("no static x86-64 executable", { $0.type = 3 }),
        ("no static x86-64 executable", { $0.machine = 183 }),
        ("no PVH entry", { $0.hasNote = false }),
        ("no symbol swiftlet_image_header", { $0.hasSymbol = false }),
        ("marks no header", { $0.magic = 1 }),
        ("boot protocol 99", { $0.version = 99 }),
        ("writable and executable", { $0.dataFlags = 7 }),
        ("initialised, writable data", { $0.dataFlags = 4 }),
    ]

    @Test("What is no guest is refused, with the reason", arguments: refused.indices)
    func refusals(index: Int) throws {
        var guest = SampleGuest()
        Self.refused[index].1(&guest)
        let error = #expect(throws: ToolError.self) {
            try ImageWriter.write(linked: guest.bytes, files: [], name: "guest")
        }
        #expect(error?.message.contains(Self.refused[index].0) ?? false, "\(error?.message ?? "")")
    }

    @Test("A guest whose notes lie elsewhere in the file than in memory is refused")
    func contradictingNotes() throws {
        var bytes = SampleGuest().bytes
        let elf = try ELFFile(bytes)
        let index = try #require(elf.segments.firstIndex { $0.type == ELFSegment.note })
        let place = Int(elf.segments[index].offset)
        let size = Int(elf.segments[index].fileSize)
        let notes = bytes[place..<place + size]
        bytes.replaceSubrange(place..<place + size, with: repeatElement(0, count: size))
        let field = ELFFile.headerSize + index * ELFSegment.size + 8
        for octet in 0..<8 {
            bytes[field + octet] = UInt8(truncatingIfNeeded: bytes.count >> (8 * octet))
        }
        bytes += notes
        #expect(try ELFFile(bytes).notes().contains(where: \.isPVHEntry))
        let error = #expect(throws: ToolError.self) {
            try ImageWriter.write(linked: bytes, files: [], name: "guest")
        }
        #expect(error?.message.contains("contradict each other") ?? false)
    }

    @Test("An image with more segments than a monitor takes is refused before they are looked at")
    func manySegments() throws {
        let bytes = try ImageWriter.write(linked: SampleGuest().bytes, files: [], name: "guest")
        let elf = try ELFFile(bytes)
        let loads = elf.segments.filter { $0.type == ELFSegment.load }
        func image(_ count: Int) throws -> Image {
            var bytes = bytes
            let more = [ELFSegment](repeating: loads[0], count: count - loads.count)
            let segments = elf.segments + more
            bytes.replaceSubrange(32..<40, with: littleEndian(UInt64(bytes.count)))
            bytes.replaceSubrange(56..<58, with: littleEndian(UInt64(segments.count)).prefix(2))
            for segment in segments { segment.append(to: &bytes) }
            return try Image("guest", contents: bytes)
        }
        func littleEndian(_ value: UInt64) -> [UInt8] {
            var octets: [UInt8] = []
            octets.append(littleEndian: value)
            return octets
        }
        #expect(try image(16).segments.count == 16)
        let error = #expect(throws: ToolError.self) { try image(17) }
        #expect(error?.message.contains("it has 17 segments, more than 16") ?? false)
    }

    @Test("A linked guest that was not made an image of is no image")
    func notAnImage() {
        let error = #expect(throws: ToolError.self) {
            try Image("guest", contents: SampleGuest().bytes)
        }
        #expect(error?.message == "'guest' is no Swiftlet image: it has no image header")
    }

    @Test("The module of a symbol is told from its name")
    func moduleNames() {
        #expect(MangledName.module("$s15SwiftletNetwork3TCPV7receiveyyF") == "SwiftletNetwork")
        #expect(MangledName.module("$e4main3AppV") == "main")
        #expect(MangledName.module("$sSa6appendyyxF") == "Swift")
        #expect(MangledName.module("$s999999999999999999999999") == "Swift")
        #expect(MangledName.module("memcpy") == "C and assembly")
    }
}
