// Reading ELF files: right ones whole, damaged ones without a crash.

import SwiftletBootProtocol
import SwiftletTestSupport
import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("ELF files")
struct ELFTests {
    @Test("Segments, sections, symbols and notes are read")
    func reading() throws {
        let elf = try ELFFile(SampleGuest().bytes)
        #expect(elf.segments.map(\.permissions) == ["r-x", "r--", "rw-", "r--"])
        #expect(elf.sections.map(\.name) == ["", ".text", ".data", ".strtab", ".symtab"])
        #expect(elf.symbols().map(\.name) == ["swiftlet_image_header", "$s10SampleCode4workyyF"])
        #expect(elf.symbols().map(\.isFunction) == [false, true])
        #expect(elf.notes().map(\.owner) == ["Xen", "GNU"])
        #expect(elf.notes().first?.number == SampleGuest.textAddress + 0x10)
        #expect(elf.buildID == "abcdef")
        #expect(elf.entry == SampleGuest.textAddress)
    }

    @Test("What is no ELF file of 64 bits is refused")
    func refusals() {
        #expect(throws: ELFError.notELF) { try ELFFile([]) }
        #expect(throws: ELFError.notELF) { try ELFFile(Array("#!/bin/sh\n".utf8)) }
        #expect(throws: ELFError.outside("the header")) { try ELFFile([0x7F, 0x45, 0x4C, 0x46]) }
        var bytes = SampleGuest().bytes
        bytes[4] = 1
        #expect(throws: ELFError.unsupported("not of 64 bits")) { try ELFFile(bytes) }
        bytes[4] = 2
        bytes[5] = 2
        #expect(throws: ELFError.unsupported("not little-endian")) { try ELFFile(bytes) }
    }

    @Test("Names without end, and segments over the same octets, take no more than the file")
    func sharedOctets() throws {
        var bytes = SampleGuest().bytes
        func write(_ value: Int, at place: Int, size: Int = 8) {
            for octet in 0..<size {
                bytes[place + octet] = UInt8(truncatingIfNeeded: value >> (8 * octet))
            }
        }
        /// Appends the contents of a section.
        func append(_ octets: [UInt8], section: Int) {
            let sections = Int(bytes.span.bytes.littleEndian64(40))
            write(bytes.count, at: sections + section * ELFSection.size + 24)
            write(octets.count, at: sections + section * ELFSection.size + 32)
            bytes += octets
        }
        append([UInt8](repeating: UInt8(ascii: "a"), count: 50_000), section: 3)
        let symbol: [UInt8] = [1, 0, 0, 0, 2, 0, 1, 0] + [UInt8](repeating: 1, count: 16)
        append((0..<2000).flatMap { _ in symbol }, section: 4)
        let elf = try ELFFile(bytes)
        #expect(elf.sections.map(\.name.utf8.count) == .init(repeating: 4096, count: 5))
        let names = elf.symbols().map(\.name.utf8.count)
        #expect(names.first == 4096)
        #expect(names.reduce(0, +) <= 4 * bytes.count)

        var note: [UInt8] = []
        for word in [4, 50_000, 3] as [UInt32] { note.append(littleEndian: word) }
        note += Array("GNU\0".utf8) + [UInt8](repeating: 1, count: 50_000)
        let place = bytes.count
        bytes += note
        write(bytes.count, at: 32)
        write(100, at: 56, size: 2)
        for _ in 0..<100 {
            ELFSegment(
                type: ELFSegment.note, flags: 4, offset: UInt64(place), address: 0,
                physicalAddress: 0, fileSize: UInt64(note.count), memorySize: 0, alignment: 4
            ).append(to: &bytes)
        }
        let notes = try ELFFile(bytes).notes()
        #expect(notes.first?.contents.count == 50_000)
        #expect(notes.reduce(0) { $0 + $1.contents.count } <= bytes.count)
    }

    @Test("Every truncation is refused or read")
    func truncations() {
        let bytes = SampleGuest().bytes
        for count in 0..<bytes.count { Self.exercise(Array(bytes[..<count])) }
    }

    @Test("Every single octet may be anything", arguments: [0, 1, 0x7F, 0x80, 0xFF] as [UInt8])
    func singleMutations(value: UInt8) {
        let bytes = SampleGuest().bytes
        for index in bytes.indices {
            var mutated = bytes
            mutated[index] = value
            Self.exercise(mutated)
        }
    }

    @Test("Random damage does not crash", arguments: 0..<8 as Range<UInt64>)
    func randomMutations(seed: UInt64) {
        let bytes = SampleGuest().bytes
        var random = SeededRandom(seed: seed)
        for _ in 0..<500 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                // Mostly the tables: numbers of eight octets that are far too large.
                let at = Int.random(in: 0..<(bytes.count - 8), using: &random)
                let value = random.next() >> UInt64.random(in: 0...63, using: &random)
                for octet in 0..<(Bool.random(using: &random) ? 8 : 1) {
                    mutated[at + octet] = UInt8(truncatingIfNeeded: value >> UInt64(octet * 8))
                }
            }
            Self.exercise(mutated)
        }
    }

    /// Does with a file whatever the tool does with it; only crashes would fail.
    private static func exercise(_ bytes: [UInt8]) {
        if let elf = try? ELFFile(bytes) {
            _ = elf.symbols()
            _ = elf.notes()
            for segment in elf.segments { _ = elf.contents(of: segment).count }
            for section in elf.sections { _ = elf.contents(of: section).count }
        }
        if let written = try? ImageWriter.write(linked: bytes, files: [], name: "guest") {
            inspect(written)
        }
        inspect(bytes)
    }

    private static func inspect(_ bytes: [UInt8]) {
        guard let image = try? Image("guest", contents: bytes) else { return }
        _ = image.files.count
        _ = image.requiredMemory(image.placement(hasBIOS: true))
        _ = image.requiredMemory(image.placement(hasBIOS: false))
        _ = try? image.placed(.low)
        _ = Inspection(image).text
    }
}
