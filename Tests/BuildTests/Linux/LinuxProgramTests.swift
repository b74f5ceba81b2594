// What can run as a Linux program, what cannot and why, and how it lies in an image.

import SwiftletBootProtocol
import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("Linux programs")
struct LinuxProgramTests {
    static let code = SyscallRewriterTests.number + SyscallRewriterTests.syscall + [0xC3]

    static func failure(_ change: (inout SampleELF) -> Void) -> ToolError? {
        var sample = SampleELF(code)
        change(&sample)
        do throws(ToolError) {
            _ = try sample.program()
            return nil
        } catch {
            return error
        }
    }

    @Test("What cannot run is refused, with the reason and the next step")
    func refusals() {
        let dynamic = Self.failure { $0.interpreter = Array("/lib64/ld-linux-x86-64.so.2\0".utf8) }
        #expect(
            dynamic?.message
                == "'sample' cannot run: it is linked dynamically, for "
                + "'/lib64/ld-linux-x86-64.so.2'")
        #expect(dynamic?.hint?.contains("gcc -static") ?? false)
        #expect(
            Self.failure { $0.dynamic = [(1, 1)] }?.message.hasSuffix("needs shared libraries")
                ?? false)
        #expect(Self.failure { $0.type = 3 }?.message.hasSuffix("a shared library") ?? false)
        #expect(Self.failure { $0.type = 1 }?.message.contains("object file") ?? false)
        #expect(Self.failure { $0.type = 4 }?.message.hasSuffix("it is no executable") ?? false)
        #expect(
            Self.failure { $0.machine = 183 }?.message
                == "'sample' cannot run: it is a program for arm64, not for x86-64")
        #expect(Self.failure { $0.machine = 3 }?.message.contains("for i386") ?? false)
        #expect(Self.failure { $0.codeFlags = 7 }?.message.contains("writable and exec") ?? false)
        #expect(Self.failure { $0.codeFlags = 4 }?.message.contains("entry does not lie") ?? false)
        #expect(Self.failure { $0.base = 0x7FFF_F000 }?.message.contains("above 2 GiB") ?? false)
        #expect(Self.failure { _ in } == nil)
    }

    @Test("Files that are missing, empty, text or cut short")
    func noPrograms() throws {
        let missing = #expect(throws: ToolError.self) { try LinuxProgram("/no/such/program") }
        #expect(missing?.message.contains("/no/such/program") ?? false)
        #expect(!LinuxProgram.isProgram(Array("#!/bin/sh\n".utf8)))
        #expect(!LinuxProgram.isProgram([]))
        let bytes = SampleELF(Self.code).bytes
        #expect(LinuxProgram.isProgram(bytes))
        for count in stride(from: 4, to: bytes.count, by: 13) {
            let cut = Array(bytes.prefix(count))
            #expect(LinuxProgram.isProgram(cut))
            #expect(throws: ToolError.self) { try LinuxProgram("cut", contents: cut) }
        }
        let image = try ImageWriter.write(
            linked: SampleGuest().bytes, files: [], name: "guest")
        #expect(!LinuxProgram.isProgram(image))
    }

    /// The image of a sample, the program in it, and its table.
    static func image(
        _ sample: SampleELF, files: [PackedFile] = []
    ) throws(ToolError) -> (Image, RewrittenProgram) {
        var guest = SampleGuest()
        guest.runsPrograms = true
        let rewritten = try RewrittenProgram(sample.program())
        let bytes = try ImageWriter.write(
            linked: guest.bytes, files: files, program: rewritten, name: "guest")
        return (try Image("image", contents: bytes), rewritten)
    }

    @Test("A program's segments are the image's, at their own addresses, and the table names them")
    func placement() throws {
        let sample = SampleELF(Self.code)
        let (image, rewritten) = try Self.image(sample, files: [ImageTests.file("a", [1])])
        #expect(
            image.segments.map(\.permissions) == ["r-x", "r--", "rw-"] + [
                "r--", "r-x", "rw-", "r-x",
            ]
                + ["r--"])
        let addresses = image.segments[3...].map(\.address)
        #expect(addresses == [0x40_0000, 0x40_1000, 0x40_2000, 0x40_3000, 0x40_4000])
        #expect(image.header.filesAddress == 0x40_4000)
        #expect(image.header.imageEnd == 0x40_5000)
        #expect(image.segments[5].memorySize == image.segments[5].fileSize + 0x100)
        #expect(image.holds(rewritten))
        let thunks = Array(image.elf.contents(of: image.segments[6]))
        #expect(thunks == rewritten.thunks(entering: SampleGuest.linuxEntry))

        let data = Array(image.elf.contents(of: image.segments[2]))
        let at = ImageHeader.size + SampleGuest().dataAfterHeader.count
        guard let table = ProgramTable(data.span.bytes.extracting(at..<data.count)) else {
            Issue.record("there is no program table")
            return
        }
        #expect(table.entry == sample.codeAddress)
        #expect(table.programHeaders == 0x40_0040)
        #expect(table.programHeaderCount == 3)
        #expect(table.loadBias == 0)
        #expect(table.unrewrittenSites == 0)
        var segments: [ProgramTable.Segment] = []
        for index in 0..<table.count { segments.append(table.segment(at: index)) }
        #expect(segments.map(\.address) == Array(addresses.prefix(4)))
        #expect(segments.map(\.permissions) == [4, 5, 6, 5])
        #expect(segments.map(\.kind) == [.program, .program, .program, .thunks])
        var name: [UInt8] = []
        for index in 0..<table.name.byteCount { name.append(table.name.octet(index)) }
        #expect(name == Array("sample".utf8))
    }

    @Test("A segment that begins within a page takes the page's beginning along")
    func unalignedSegment() throws {
        var sample = SampleELF(Self.code)
        sample.dataLead = 0x650
        sample.data = [1, 2, 3]
        let (image, rewritten) = try Self.image(sample)
        let segment = image.segments[5]
        #expect(segment.address == 0x40_2000)
        #expect(segment.fileSize == 0x653)
        #expect(image.elf.contents(of: segment).suffix(4) == [0x33, 1, 2, 3])
        #expect(image.holds(rewritten))
    }

    @Test("A position-independent program goes where there is room, its thunks with it")
    func positionIndependent() throws {
        var sample = SampleELF(Self.code)
        sample.type = 3
        sample.base = 0
        sample.dynamic = [(0x6FFF_FFFB, 0x0800_0000)]
        let (image, _) = try Self.image(sample)
        // Behind the sample guest, whose data and .bss end there.
        let start: UInt64 = 0x23_6000
        #expect(
            image.segments[3...].map(\.address)
                == [start, start + 0x1000, start + 0x2000, start + 0x3000])
    }

    @Test("A program that lies where Swiftlet does is refused; so is a guest without the module")
    func conflicts() throws {
        var sample = SampleELF(Self.code)
        sample.base = 0x20_0000
        let error = #expect(throws: ToolError.self) { try Self.image(sample) }
        #expect(error?.message == "'sample' cannot run: it lies at 0x200000, where Swiftlet is")
        #expect(error?.hint?.contains("image-base") ?? false)
        let rewritten = try RewrittenProgram(SampleELF(Self.code).program())
        #expect(throws: ToolError.self) {
            try ImageWriter.write(
                linked: SampleGuest().bytes, files: [], program: rewritten, name: "guest")
        }
    }

    @Test("inspect lists every site, what became of it, and what was left")
    func inspection() throws {
        var sample = SampleELF(Self.code)
        sample.code += [0x0F, 0x05, 0xE8, 0, 0, 0, 0]
        let inspection = ProgramInspection(try RewrittenProgram(sample.program()))
        #expect(inspection.sites.count == 2)
        #expect(inspection.left.map(\.address) == [sample.codeAddress + 8])
        #expect(inspection.text.contains("2 system calls: 1 rewritten with their numbers"))
        #expect(inspection.text.contains("left: its neighbours cannot be moved"))
        #expect(inspection.json.contains("\"method\" : \"number\""))
    }
}
