// One image of ours: built with the command line, or given.

import Foundation

struct SwiftletImage {
    let file: URL
    let size: Int
    /// The 32-bit entry that a monitor jumps to: where "ELF entry" is in the budgets.
    let entry: UInt64
    /// Where the image's first octet lies, as linked and in memory.
    let virtualBase: UInt64
    let physicalBase: UInt64

    /// Takes an image that is there.
    init(_ file: URL) throws(NotMeasured) {
        guard let data = try? Data(contentsOf: file) else {
            throw NotMeasured("cannot read the image \(file.path)")
        }
        self.file = file
        size = data.count
        guard let entry = Self.entry(of: data) else {
            throw NotMeasured("\(file.path) is no ELF file with a PVH note")
        }
        self.entry = entry
        virtualBase = Self.number(in: data, Self.firstSegment(of: data) + 16, 8) ?? 0
        physicalBase = Self.number(in: data, Self.firstSegment(of: data) + 24, 8) ?? 0
    }

    /// Builds an example with the command line of this package.
    init(example: String, root: URL, work: URL) throws(NotMeasured) {
        let command = root.appending(path: ".build/release/swiftlet")
        let package = root.appending(path: "Examples/\(example)")
        guard FileManager.default.isExecutableFile(atPath: command.path) else {
            throw NotMeasured("no .build/release/swiftlet: `swift build -c release` makes it")
        }
        guard FileManager.default.fileExists(atPath: package.path) else {
            throw NotMeasured("no Examples/\(example)")
        }
        let image = work.appending(path: example)
        try Command.run([command.path, "build", package.path, "-o", image.path])
        try self.init(image)
    }

    private static func number(in data: Data, _ offset: Int, _ size: Int) -> UInt64? {
        guard offset >= 0, offset <= data.count - size else { return nil }
        return data[offset..<offset + size].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The offsets of the program headers of a 64-bit ELF file.
    private static func programHeaders(of data: Data) -> [Int] {
        guard data.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]),
            let table = number(in: data, 32, 8), let count = number(in: data, 56, 2),
            table < UInt64(data.count)
        else { return [] }
        return (0..<Int(count)).map { Int(table) + $0 * 56 }
    }

    private static func firstSegment(of data: Data) -> Int {
        programHeaders(of: data).first { number(in: data, $0, 4) == 1 } ?? data.count
    }

    /// The note "Xen" of type 18 (XEN_ELFNOTE_PHYS32_ENTRY).
    private static func entry(of data: Data) -> UInt64? {
        for header in programHeaders(of: data) {
            guard number(in: data, header, 4) == 4, let offset = number(in: data, header + 8, 8),
                let size = number(in: data, header + 32, 8), offset <= data.count,
                size <= UInt64(data.count) - offset
            else { continue }
            var note = Int(offset)
            let end = note + Int(size)
            while note + 12 <= end, let name = number(in: data, note, 4),
                let length = number(in: data, note + 4, 4), name < 4096, length < 4096
            {
                let contents = note + 12 + (Int(name) + 3) & ~3
                if name == 4, number(in: data, note + 8, 4) == 18,
                    number(in: data, note + 12, 4) == 0x6E6558
                {
                    return number(in: data, contents, min(Int(length), 8))
                }
                note = contents + (Int(length) + 3) & ~3
            }
        }
        return nil
    }

    /// The machine that runs it.
    func configuration(on network: NetworkNamespace? = nil) -> MachineConfiguration {
        var configuration = MachineConfiguration(kernel: file)
        configuration.memory = 64 * 1024
        configuration.network = network
        if network != nil {
            configuration.commandLine =
                "ip=\(NetworkNamespace.guestAddress)/24,\(NetworkNamespace.hostAddress)"
        }
        return configuration
    }
}
