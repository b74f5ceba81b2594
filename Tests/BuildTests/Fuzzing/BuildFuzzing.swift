// Command lines, archives and ELF files as targets of a fuzzer.

import SwiftletBootProtocol
import SwiftletTestSupport
import SystemPackage

@testable import SwiftletBuild

/// The kernel command line, which the monitor writes.
enum CommandLineFuzzing: FuzzTarget {
    static let name = "command-line"
    static let seeds = [
        "ip=10.0.2.15/24,10.0.2.2 exit.port=0x501 env.A=b%20c virtio_mmio.device=512@0xfeb02e00:12",
        "ip=dhcp virtio_mmio.device=4K@0xd0000000:5:1 quiet -- a % %25 b=c -- d",
        "x=1 env.=2 =3 virtio_mmio.device=1G@1:2 --",
    ].map { Array($0.utf8) }

    static func run(_ octets: RawSpan) {
        var words = CommandLineWords()
        while let word = words.next(in: octets) {
            switch word {
            case .setting(let key, let value):
                precondition(key.upperBound <= value.lowerBound)
                precondition(value.upperBound <= octets.byteCount)
                _ = NetworkSetting(octets, in: value)
                if let setting = VirtioDeviceSetting(octets, in: value) {
                    precondition(setting.size > 0 && setting.address <= .max - setting.size)
                }
                _ = parseNumber(octets, in: value)
                decode(octets, value)
            case .flag(let range), .argument(let range): decode(octets, range)
            }
        }
        _ = CommandLineWords.value(of: CommandLineKey.network, in: octets)
    }

    private static func decode(_ octets: RawSpan, _ range: Range<Int>) {
        var count = 0
        PercentEncoding.decode(octets, in: range) { _ in count += 1 }
        precondition(count <= range.count)
    }
}

/// The archive of packed files.
enum FileArchiveFuzzing: FuzzTarget {
    static let name = "files"
    static let seeds = [
        FileArchive.write([]),
        FileArchive.write(
            ["a", "a/b", "index.html"].map { path in
                PackedFile(
                    path: Array(path.utf8), contents: Array("contents of \(path)".utf8),
                    modificationTime: -5, tag: (7, 9))
            }),
    ]

    static func run(_ octets: RawSpan) {
        guard let archive = try? FileArchive(octets) else { return }
        var count = 0
        for index in 0..<archive.count {
            let entry = archive.entry(at: index)
            count &+= archive.contents(of: entry).byteCount
            // What is in the table is found.
            let found = archive.find(archive.path(of: entry))
            precondition(found?.path == entry.path && found?.contents == entry.contents)
        }
        _ = archive.find(octets)
    }
}

/// What the tool reads of ELF files and images.
enum ELFFuzzing: FuzzTarget {
    static let name = "elf"
    static var seeds: [[UInt8]] {
        let linked = SampleGuest().bytes
        let image = try? ImageWriter.write(linked: linked, files: [], name: "guest")
        return [linked] + (image.map { [$0] } ?? [])
    }

    static func run(_ octets: RawSpan) {
        let bytes = octets.withUnsafeBytes { Array($0) }
        if let elf = try? ELFFile(bytes) {
            _ = elf.symbols()
            _ = elf.notes()
            for segment in elf.segments { _ = elf.contents(of: segment).count }
            for section in elf.sections { _ = elf.contents(of: section).count }
        }
        if let written = try? ImageWriter.write(linked: bytes, files: [], name: "guest") {
            // What the writer makes, the reader takes.
            precondition(inspect(written))
        }
        _ = inspect(bytes)
    }

    private static func inspect(_ bytes: [UInt8]) -> Bool {
        guard let image = try? Image("guest", contents: bytes) else { return false }
        _ = image.files.count
        _ = image.requiredMemory(image.placement(hasBIOS: true))
        _ = image.requiredMemory(image.placement(hasBIOS: false))
        _ = try? image.placed(.low)
        _ = Inspection(image).text
        return true
    }
}

/// Linux programs: whole files, and code in a file that is right.
enum ProgramFuzzing: FuzzTarget {
    static let name = "program"
    static var seeds: [[UInt8]] {
        // mov $39, %eax; syscall; cmp $-4095, %rax; je; lea; syscall; ret
        let code: [UInt8] = [
            0xB8, 39, 0, 0, 0, 0x0F, 0x05, 0x48, 0x3D, 1, 0xF0, 0xFF, 0xFF, 0x74, 9, 0x48, 0x8D,
            0x35, 1, 0, 0, 0, 0x0F, 0x05, 0xC3,
        ]
        return [code, SampleELF(code).bytes]
    }

    static func run(_ octets: RawSpan) {
        let bytes = octets.withUnsafeBytes { Array($0) }
        let contents = LinuxProgram.isProgram(bytes) ? bytes : SampleELF(bytes).bytes
        guard let program = try? LinuxProgram("program", contents: contents) else { return }
        let rewritten: RewrittenProgram
        do throws(ToolError) {
            rewritten = try RewrittenProgram(program)
        } catch {
            // What is wrong with the program was said before.
            preconditionFailure("\(error)")
        }
        _ = ProgramInspection(rewritten).text
        var guest = SampleGuest()
        guest.runsPrograms = true
        guard
            let written = try? ImageWriter.write(
                linked: guest.bytes, files: [], program: rewritten, name: "guest"),
            let image = try? Image("guest", contents: written)
        else { return }
        precondition(image.holds(rewritten))
    }
}
