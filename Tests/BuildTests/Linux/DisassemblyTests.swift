// The decoder against known instructions, and against objdump on a whole program.

import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("Disassembly")
struct DisassemblyTests {
    static func decode(_ octets: [UInt8]) -> Instruction? { Instruction(octets.span.bytes, at: 0) }

    @Test(
        "Every form of an instruction's length",
        arguments: [
            [0x90], [0xC3], [0x48, 0x89, 0xE5], [0x0F, 0x05], [0xB8, 1, 0, 0, 0],
            [0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8], [0x66, 0xB8, 1, 0],
            [0x8B, 0x04, 0x25, 0, 0, 0, 0],
            [0x8B, 0x44, 0x24, 8], [0x8B, 0x84, 0x24, 0, 1, 0, 0],
            [0x48, 0xA1, 0, 0, 0, 0, 0, 0, 0, 0],
            [0xF6, 0xC1, 1], [0xF6, 0xD1], [0xF7, 0xC1, 1, 0, 0, 0], [0xC8, 1, 0, 0],
            [0xF0, 0x48, 0x0F, 0xB1, 0x0D, 0, 0, 0, 0], [0xF3, 0x48, 0x0F, 0x1E, 0xFA],
            [0x66, 0x0F, 0x38, 0xDC, 0xC1], [0x66, 0x0F, 0x3A, 0x0F, 0xC1, 8],
            [0xC5, 0xF8, 0x77], [0xC5, 0xF9, 0x6F, 0x06], [0xC4, 0xE2, 0x7D, 0x58, 0xC0],
            [0xC4, 0xE3, 0x7D, 0x39, 0xC0, 1], [0x62, 0xF1, 0x7C, 0x48, 0x10, 0x46, 1],
            [0x62, 0xF3, 0x7D, 0x48, 0x3F, 0xC0, 0], [0x8F, 0xE9, 0x78, 0x81, 0xC0],
        ] as [[UInt8]])
    func lengths(octets: [UInt8]) {
        #expect(Self.decode(octets + [0x90, 0x90])?.length == octets.count)
        // Cut short, it is none.
        for count in 0..<octets.count { #expect(Self.decode(Array(octets.prefix(count))) == nil) }
    }

    @Test("Where instructions lead")
    func flow() {
        #expect(Self.decode([0xEB, 0xFE])?.flow == .jump(-2))
        #expect(Self.decode([0xE9, 0, 1, 0, 0])?.flow == .jump(256))
        #expect(Self.decode([0x74, 5])?.flow == .conditional(5))
        #expect(Self.decode([0x0F, 0x84, 0xFF, 0xFF, 0xFF, 0xFF])?.flow == .conditional(-1))
        #expect(Self.decode([0xE3, 5])?.flow == .special(5))
        #expect(Self.decode([0xE8, 0, 0, 0, 0])?.flow == .call(0))
        #expect(Self.decode([0xFF, 0xD0])?.flow == .indirectCall)
        #expect(Self.decode([0xFF, 0xE1])?.flow == .indirectJump)
        #expect(Self.decode([0xFF, 0xC0])?.flow == .next)
        #expect(Self.decode([0xF2, 0xC3])?.flow == .return)
        #expect(Self.decode([0x0F, 0x05])?.flow == .syscall)
        #expect(Self.decode([0xCD, 0x80])?.flow == .legacySystemCall)
        #expect(Self.decode([0xCD, 0x03])?.flow == .next)
        #expect(Self.decode([0x48, 0x8D, 0x05, 0, 0, 0, 0])?.relativeOperand == 3)
        #expect(Self.decode([0x48, 0x8D, 0x45, 0])?.relativeOperand == nil)
        #expect(Self.decode([0x67, 0x8D, 0x05, 0, 0, 0, 0])?.hasShortAddress == true)
    }

    @Test("What is no instruction of 64-bit mode")
    func invalid() {
        for octets: [UInt8] in [
            [0x06], [0x9A], [0x0F, 0x04], [0x62, 0, 0, 0, 0, 0], [0x66, 0xE8, 0, 0, 0, 0],
            [0x66, 0xC5, 0xF8, 0x77], [UInt8](repeating: 0x66, count: 16) + [0x90],
        ] {
            #expect(Self.decode(octets + [UInt8](repeating: 0, count: 16)) == nil)
        }
    }

    @Test(
        "A whole program decodes as objdump decodes it",
        .enabled(
            if: SampleProgram.glibc.isAvailable && FileSystem.findProgram("objdump") != nil,
            "no gcc, or no objdump"))
    func wholeProgram() async throws {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let path = try await SampleProgram.glibc.build(in: folder)
        let elf = try ELFFile(try FileSystem.read(path))
        let text = try #require(elf.section(".text"))
        let code = elf.contents(of: text)
        let outcome = try await ProcessRunner.collect(
            "objdump", ["-d", "-w", "-j", ".text", path.string])
        var count = 0
        // "  401000:<tab>48 89 e5 <tab>mov    %rsp,%rbp"
        for line in outcome.output.utf8.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: "\t"))
            guard fields.count >= 2, line.first == UInt8(ascii: " ") else { continue }
            let digits = fields[0].filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: ":") }
            let address = try #require(UInt64(String(decoding: digits, as: UTF8.self), radix: 16))
            let length = fields[1].split(separator: UInt8(ascii: " ")).count
            let at = code.startIndex + Int(address - text.address)
            let instruction = Instruction(elf.bytes.span.bytes, at: at)
            // objdump takes FWAIT and the instruction behind it for one.
            if instruction?.length != length, elf.bytes[at] != 0x9B {
                Issue.record(
                    "0x\(String(address, radix: 16)): \(String(decoding: line, as: UTF8.self))")
            }
            count += 1
        }
        #expect(count > 100_000)
    }
}
