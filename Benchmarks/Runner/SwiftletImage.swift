// One image of ours: built with the command line, or given.

import Foundation
import SwiftletBootProtocol
import SwiftletBuild
import SystemPackage

struct SwiftletImage {
    /// As built: what has a size, and symbols beside it.
    let built: URL
    /// As `swiftlet run` boots it on this machine type: a small image moved into low memory.
    let file: URL
    let size: Int
    /// The 32-bit entry that a monitor jumps to: where "ELF entry" is in the budgets.
    let entry: UInt64
    /// Where it is linked to run, and how far below that it lies in physical memory.
    let addresses: Range<UInt64>
    let distance: UInt64

    /// Takes an image that is there.
    init(_ built: URL, work: URL) throws(NotMeasured) {
        do throws(ToolError) {
            let image = try Image(FilePath(built.path))
            let octets = try image.placed(image.placement(hasBIOS: false))
            size = image.elf.bytes.count
            file = work.appending(path: built.lastPathComponent + ".placed")
            try FileSystem.write(octets, to: FilePath(file.path))
            let placed = try Image(FilePath(file.path))
            addresses = placed.segments[0].address..<placed.header.imageEnd
            distance = placed.segments[0].address - placed.segments[0].physicalAddress
        } catch { throw NotMeasured("\(error)") }
        self.built = built
        entry = try Self.entry(of: file)
    }

    /// Builds an example with the command line of this package.
    init(example: String, root: URL, work: URL) throws(NotMeasured) {
        try self.init(package: "Examples/\(example)", root: root, work: work)
    }

    /// Builds a package of the repository with the command line of this package.
    init(package path: String, root: URL, work: URL) throws(NotMeasured) {
        let command = root.appending(path: ".build/release/swiftlet")
        let package = root.appending(path: path)
        guard FileManager.default.isExecutableFile(atPath: command.path) else {
            throw NotMeasured("no .build/release/swiftlet: `swift build -c release` makes it")
        }
        guard FileManager.default.fileExists(atPath: package.path) else {
            throw NotMeasured("no \(path)")
        }
        let image = work.appending(path: package.lastPathComponent)
        try Command.run([command.path, "build", package.path, "-o", image.path])
        try self.init(image, work: work)
    }

    /// What the PVH note of an ELF file says.
    static func entry(of file: URL) throws(NotMeasured) -> UInt64 {
        guard let contents = try? FileSystem.read(FilePath(file.path)),
            let note = try? ELFFile(contents).notes().first(where: \.isPVHEntry)
        else { throw NotMeasured("\(file.lastPathComponent) is no ELF file with a PVH note") }
        return note.contents.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The file with symbols and debugging information: beside the image, or the image.
    var symbols: URL {
        let file = built.appendingPathExtension("debug")
        return FileManager.default.fileExists(atPath: file.path) ? file : built
    }

    /// Addresses of functions by a part of their mangled names; none in an image without symbols.
    func addresses(ofSymbolsContaining part: String) throws(NotMeasured) -> [UInt64] {
        try Command.run(["nm", "--defined-only", symbols.path]).split(separator: "\n")
            .compactMap { line in
                let words = line.split(separator: " ")
                guard words.count == 3, words[2].contains(part), "tT".contains(words[1]) else {
                    return nil
                }
                return UInt64(words[0], radix: 16)
            }
    }

    /// The machine that runs it.
    func configuration(on network: NetworkNamespace? = nil) -> MachineConfiguration {
        var configuration = MachineConfiguration(kernel: file)
        // As `swiftlet run` starts it: QEMU then names its devices on the kernel command line.
        configuration.machineOptions = ",acpi=off"
        configuration.memory = 64 * 1024
        configuration.network = network
        if network != nil {
            configuration.commandLine =
                "ip=\(NetworkNamespace.guestAddress)/24,\(NetworkNamespace.hostAddress)"
        }
        return configuration
    }
}
