// The house's order (docs/architecture.md), held: who may import whom, where unsafe pointers may be.

import Foundation
import Testing

/// One source file of ours.
struct SourceFile: CustomTestStringConvertible, Sendable {
    /// Relative to the repository, for example "Sources/Guest/HTTP/Parser.swift".
    var path: String
    var lines: [String]

    var testDescription: String { path }

    /// The modules that it imports.
    var imports: [String] {
        lines.compactMap { line in
            // Deeper lines are text: a declaration within `#if` is indented once.
            guard !line.hasPrefix("     ") else { return nil }
            let words = line.split(separator: " ").map(String.init)
            guard let place = words.firstIndex(of: "import"), place + 1 < words.count,
                words[..<place].allSatisfy({ $0.hasPrefix("@") || Self.modifiers.contains($0) })
            else { return nil }
            // `import struct Module.Type`
            let name = words.count > place + 2 ? words[place + 2] : words[place + 1]
            return String(name.split(separator: ".")[0])
        }
    }

    private static let modifiers: Set = ["public", "package", "internal", "fileprivate", "private"]

    static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// All Swift files below a folder of the repository, apart from build folders.
    static func all(in folder: String) -> [SourceFile] {
        let base = root.appending(path: folder)
        guard let walk = FileManager.default.enumerator(atPath: base.path()) else { return [] }
        var files: [SourceFile] = []
        for case let name as String in walk
        where name.hasSuffix(".swift") && !name.contains(".build/") {
            let text = (try? String(contentsOf: base.appending(path: name), encoding: .utf8)) ?? ""
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            files.append(SourceFile(path: folder + "/" + name, lines: lines.map(String.init)))
        }
        return files.sorted { $0.path < $1.path }
    }
}

@Suite("Architecture")
struct ArchitectureTests {
    /// The guest's layers, the lowest first; a layer imports only from those before its own.
    static let layers: [[String]] = [
        ["CMachine"], ["Machine"], ["Memory"], ["Virtio"], ["Network", "HTTP", "Storage"],
        ["Runtime"], ["NetworkCard"], ["Linux"], ["Swiftlet"],
    ]

    /// Folders of the guest whose modules import nothing of ours.
    static let pure: Set = ["Network", "HTTP"]

    static func module(_ folder: String) -> String {
        switch folder {
        case "CMachine": "CSwiftletMachine"
        case "Swiftlet": "Swiftlet"
        default: "Swiftlet" + folder
        }
    }

    static func isOurs(_ module: String) -> Bool {
        module.hasPrefix("Swiftlet") || module.hasPrefix("CSwiftlet")
    }

    @Test("The sources are found")
    func sources() {
        #expect(SourceFile.all(in: "Sources/Guest").count > 10)
        #expect(SourceFile.all(in: "Sources/Host").count > 10)
        #expect(SourceFile.all(in: "Sources/Shared").count > 3)
    }

    @Test("The guest's layers import downwards only, and never the host")
    func guestLayers() {
        for file in SourceFile.all(in: "Sources/Guest") {
            let folder = String(file.path.split(separator: "/")[2])
            guard let rank = Self.layers.firstIndex(where: { $0.contains(folder) }) else {
                Issue.record("\(file.path): folder \(folder) has no place in the order of layers")
                continue
            }
            var allowed: Set<String> = []
            if !Self.pure.contains(folder) {
                allowed = Set(Self.layers[..<rank].joined().map(Self.module))
                allowed.insert("SwiftletBootProtocol")
            }
            for module in file.imports where Self.isOurs(module) {
                #expect(allowed.contains(module), "\(file.path) imports \(module)")
            }
        }
    }

    @Test("The guest imports nothing but Swift's own modules besides ours")
    func guestDependencies() {
        let allowed: Set = ["Swift", "_Concurrency", "Synchronization", "_Volatile"]
        for file in SourceFile.all(in: "Sources/Guest") {
            for module in file.imports where !Self.isOurs(module) {
                #expect(allowed.contains(module), "\(file.path) imports \(module)")
            }
        }
    }

    @Test("What guest and host share imports neither")
    func shared() {
        for file in SourceFile.all(in: "Sources/Shared") {
            #expect(file.imports.isEmpty, "\(file.path) imports \(file.imports)")
        }
    }

    @Test("The host imports nothing of the guest's")
    func host() {
        let guest = Set(Self.layers.joined().map(Self.module))
        for file in SourceFile.all(in: "Sources/Host") {
            for module in file.imports {
                #expect(!guest.contains(module), "\(file.path) imports \(module)")
            }
        }
    }

    @Test("Unsafe pointers stay where they belong")
    func unsafePointers() {
        let allowed = [
            "Sources/Guest/Machine/", "Sources/Guest/Memory/", "Sources/Guest/Virtio/",
            "Sources/Guest/Runtime/", "Sources/Guest/Network/Storage/",
            // The stack on the card, which nothing may move.
            "Sources/Guest/NetworkCard/NetworkCard.swift",
            // Where addresses of a Linux program become pointers, after a look at its mappings, and
            // where its registers lie; and its network stack.
            "Sources/Guest/Linux/Memory/", "Sources/Guest/Linux/Network/ProgramNetwork.swift",
            // The SDK joins the stack to the machine, and hands out what the image holds.
            "Sources/Guest/Swiftlet/",
            // A literal's octets as a span, which Swift does not offer yet.
            "Sources/Guest/HTTP/Protocol/Octets.swift",
            // Growing octets without reference counting.
            "Sources/Guest/HTTP/Protocol/OctetBuffer.swift",
        ]
        let files = SourceFile.all(in: "Sources/Guest") + SourceFile.all(in: "Sources/Shared")
        for file in files where !allowed.contains(where: file.path.hasPrefix) {
            for (number, line) in file.lines.enumerated() {
                #expect(
                    !line.contains("Unsafe") || line.drop { $0 == " " }.hasPrefix("//"),
                    "\(file.path):\(number + 1) uses an unsafe pointer")
            }
        }
    }
}
