// Names for the addresses in a fault report: functions, files and lines from the image's debug file.

import SystemPackage

/// Turns addresses into places in the source.
public actor Symboliser {
    private let debug: FilePath
    private var functions: [ELFSymbol]?
    /// Where the image's instructions lie: nothing else has a name worth telling.
    private var code: [Range<UInt64>] = []
    private var toolchain: Toolchain?

    /// With the unstripped ELF at `debug`; without that file addresses stay as they are.
    public init(debug: FilePath) {
        self.debug = debug
    }

    /// For each address what stands there, innermost inlined function first; empty if unknown.
    public func places(_ addresses: [UInt64]) async -> [[String]] {
        if functions == nil { load() }
        if let lines = await symbolizer(addresses) {
            return zip(addresses, lines).map { address, line in
                code.contains { $0.contains(address) } ? line : []
            }
        }
        let names = addresses.map { function(at: $0) }
        let readable = await demangle(names.map { $0 ?? "" })
        return zip(names, readable).map { $0 == nil ? [] : [$1] }
    }

    private func load() {
        guard let contents = try? FileSystem.read(debug), let elf = try? ELFFile(contents) else {
            functions = []
            return
        }
        functions = elf.symbols().filter { $0.isFunction && $0.size > 0 }
            .sorted { $0.address < $1.address }
        code = elf.segments.filter(\.isExecutable).map {
            $0.address..<($0.address &+ $0.memorySize)
        }
    }

    /// The mangled name of the function that `address` lies in.
    private func function(at address: UInt64) -> String? {
        guard let functions else { return nil }
        var low = 0
        var high = functions.count
        while low < high {
            let middle = (low + high) / 2
            if functions[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, address - functions[low - 1].address < functions[low - 1].size else {
            return nil
        }
        return functions[low - 1].name
    }

    private func program(_ name: String) async -> String? {
        if toolchain == nil { toolchain = try? await Toolchain.find() }
        if let path = toolchain?.program(name) { return path.string }
        return await ProcessRunner.find(name)?.string
    }

    /// Names, files and lines by llvm-symbolizer; nil if it is not there or does not answer.
    private func symbolizer(_ addresses: [UInt64]) async -> [[String]]? {
        guard let functions, !functions.isEmpty, let program = await program("llvm-symbolizer"),
            let outcome = try? await ProcessRunner.collect(
                program,
                ["--obj=\(debug)", "--inlines", "--functions=linkage", "--no-demangle"]
                    + addresses.map { "0x" + String($0, radix: 16) }),
            outcome.succeeded
        else { return nil }
        // For each address pairs of lines (function, FILE:LINE:COLUMN), then an empty line.
        let groups = outcome.output.split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init).split(separator: "", omittingEmptySubsequences: true).map(Array.init)
        guard groups.count == addresses.count else { return nil }
        var result: [[String]] = []
        for group in groups {
            let names = stride(from: 0, to: group.count - 1, by: 2).map { group[$0] }
            let places = stride(from: 1, to: group.count, by: 2).map { group[$0] }
            let readable = await demangle(names)
            var lines: [String] = []
            for (name, place) in zip(readable, places) where name != "??" {
                lines.append(name + (Self.readable(place).map { " at \($0)" } ?? ""))
            }
            result.append(lines)
        }
        return result
    }

    /// FILE:LINE of FILE:LINE:COLUMN; nil where the symbolizer knows none, or the code is the
    /// compiler's own (`/<compiler-generated>`).
    private static func readable(_ place: String) -> String? {
        guard !place.hasPrefix("??"), !place.hasPrefix("/<"), let colon = place.lastIndex(of: ":")
        else { return nil }
        let trimmed = place[..<colon]
        return trimmed.hasSuffix(":0") ? String(trimmed.dropLast(2)) : String(trimmed)
    }

    private func demangle(_ names: [String]) async -> [String] {
        guard names.contains(where: { $0.hasPrefix("$") }),
            var lines = await swiftDemangle(names, ["--simplified"])
        else { return names }
        // Where an error ends that `main` has thrown, the type is what one wants to know.
        for (index, name) in names.enumerated() where name.contains(Self.uncaughtError) {
            guard let whole = await swiftDemangle([name], [])?.first,
                let type = whole.firstMatch(of: #/specialization <(.+)> of /#)?.output.1
            else { continue }
            lines[index] = "an uncaught \(type)"
        }
        return lines
    }

    /// The compiler's function for errors that `main` throws, specialised for their type.
    private static let uncaughtError = "17_errorInMainTyped"

    private func swiftDemangle(_ names: [String], _ options: [String]) async -> [String]? {
        guard let program = await program("swift-demangle"),
            let outcome = try? await ProcessRunner.collect(
                program, options, input: names.joined(separator: "\n") + "\n"),
            outcome.succeeded
        else { return nil }
        let lines = outcome.output.split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init)
        return lines.count >= names.count ? Array(lines.prefix(names.count)) : nil
    }
}
