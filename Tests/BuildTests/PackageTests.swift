// Packages that cannot become an image: each says what is wrong and what to do.

import SwiftletBootProtocol
import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("Packages")
struct PackageTests {
    /// Runs `body` with a package of this manifest, in a folder that is gone afterwards.
    static func withPackage<R>(
        _ manifest: String?, sources: [String: String] = [:], _ body: (FilePath) async throws -> R
    ) async throws -> R {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        if let manifest {
            let text = "// swift-tools-version: 6.2\nimport PackageDescription\n" + manifest
            try FileSystem.write(Array(text.utf8), to: folder.appending("Package.swift"))
        }
        for (name, text) in sources {
            let path = folder.appending(name)
            try FileSystem.makeFolder(path.removingLastComponent())
            try FileSystem.write(Array(text.utf8), to: path)
        }
        return try await body(folder)
    }

    /// The error of choosing the executable of a package.
    static func failure(
        _ manifest: String?, sources: [String: String] = [:], product: String? = nil
    ) async throws -> ToolError? {
        try await withPackage(manifest, sources: sources) { folder in
            do {
                _ = try await PackageDescription.load(folder, environment: [:])
                    .executable(named: product, in: folder)
                return nil
            } catch let error as ToolError {
                return error
            }
        }
    }

    @Test("A folder without a Package.swift, and no folder at all")
    func noManifest() async throws {
        #expect(
            try await Self.failure(nil)?.message.hasPrefix("no Package.swift in") ?? false)
        let error = await #expect(throws: ToolError.self) {
            try await PackageBuilder.build(BuildRequest(package: "/no/such/folder"))
        }
        #expect(error?.message == "no folder '/no/such/folder'")
        #expect(error?.hint?.contains("swiftlet new") ?? false)
    }

    @Test("A manifest that SwiftPM cannot read: SwiftPM's own words")
    func brokenManifest() async throws {
        let error = try await Self.failure("let package = nonsense")
        #expect(error?.message.contains("cannot find 'nonsense' in scope") ?? false)
    }

    @Test("No executable, one without Swiftlet, one of another name")
    func wrongExecutables() async throws {
        let library = """
            let package = Package(name: "P", targets: [.target(name: "L")])
            """
        #expect(
            try await Self.failure(library, sources: ["Sources/L/l.swift": ""])?.message
                .contains("has no executable") ?? false)
        let plain = """
            let package = Package(name: "P", targets: [.executableTarget(name: "E")])
            """
        let sources = ["Sources/E/main.swift": "print(1)"]
        let ordinary = try await Self.withPackage(plain, sources: sources) { folder in
            try await PackageDescription.load(folder, environment: [:])
                .executable(named: nil, in: folder)
        }
        #expect(ordinary == PackageDescription.Executable(name: "E", usesSwiftlet: false))
        let other = try await Self.failure(plain, sources: sources, product: "F")
        #expect(other?.message == "package 'P' has no executable 'F'")
        #expect(other?.hint == "It has: E.")
    }

    @Test("Several executables want --product; Swiftlet may come through a library")
    func severalExecutables() async throws {
        let home = try Self.home().path
        let manifest = """
            let swiftlet = Target.Dependency.product(name: "Swiftlet", package: "Swiftlet")
            let package = Package(
                name: "P", dependencies: [.package(name: "Swiftlet", path: "\(home)")],
                targets: [
                    .executableTarget(name: "A", dependencies: [swiftlet]),
                    .executableTarget(name: "B", dependencies: ["L"]),
                    .executableTarget(name: "C"),
                    .target(name: "L", dependencies: [swiftlet]),
                ])
            """
        let sources = [
            "Sources/A/main.swift": "", "Sources/B/main.swift": "", "Sources/C/main.swift": "",
            "Sources/L/l.swift": "",
        ]
        let error = try await Self.failure(manifest, sources: sources)
        #expect(error?.message == "package 'P' has several executables: A, B")
        #expect(error?.hint == "Choose one with --product NAME.")
        #expect(try await Self.failure(manifest, sources: sources, product: "B") == nil)
        let missing = try await Self.failure(manifest, sources: sources, product: "D")
        #expect(missing?.hint == "It has: A, B, C.")
    }

    static func home() throws -> Home {
        var path = FilePath(#filePath)
        for _ in 0..<3 { path.removeLastComponent() }
        return Home(path)
    }

    @Test("Files folders that do not exist, are none, or lead round in circles")
    func filesFolders() async throws {
        let missing = #expect(throws: ToolError.self) {
            try FilesFolder.choose("/no/such/files", package: "/")
        }
        #expect(missing?.message == "files folder '/no/such/files' does not exist")
        let file = #expect(throws: ToolError.self) {
            try FilesFolder.choose("/etc/passwd", package: "/")
        }
        #expect(file?.message == "'/etc/passwd' is not a folder")
        try await Self.withPackage(nil, sources: ["Files/a/b.txt": "x", "Files/.hidden": "y"]) {
            #expect(try FilesFolder.choose(nil, package: $0) == $0.appending("Files"))
            let files = try FilesFolder.load($0.appending("Files"))
            #expect(files.map(\.path) == [Array("a/b.txt".utf8)])
            #expect(files.first?.contents == Array("x".utf8))
        }
        try await Self.withPackage(nil) { folder in
            let chosen = try FilesFolder.choose(nil, package: folder)
            #expect(chosen == nil)
        }
    }

    @Test("SwiftPM's progress is left out of its diagnostics")
    func diagnostics() {
        let output = """
            Building for production...
            [0/3] Write sources
            [2/3] Compiling P main.swift
            error: emit-module failed
            /p/main.swift:1:1: error: cannot find 'x' in scope
            [x] stays
            """
        #expect(
            PackageBuilder.diagnostics(output) == """
                error: emit-module failed
                /p/main.swift:1:1: error: cannot find 'x' in scope
                [x] stays
                """)
    }

    @Test("Names for new packages")
    func names() throws {
        for name in ["demo", "My-App_2"] { try PackageTemplate.check(name) }
        for name in ["", "2x", "a b", "ü", "Swift", "swiftlet", "SwiftletX", "-a", "a/b", "main"] {
            #expect(throws: ToolError.self, "\(name)") { try PackageTemplate.check(name) }
        }
    }

    @Test("A new package is complete, and is not written over another")
    func newPackage() async throws {
        try await Self.withPackage(nil) { folder in
            let home = try Self.home()
            let path = try PackageTemplate.write(
                name: folder.appending("demo").string, home: home)
            let description = try await PackageDescription.load(path, environment: [:])
            #expect(try description.executable(named: nil, in: path).name == "demo")
            #expect(FileSystem.isFile(path.appending(".gitignore")))
            let error = #expect(throws: ToolError.self) {
                try PackageTemplate.write(name: path.string, home: home)
            }
            #expect(error?.message.hasSuffix("exists already") ?? false)
        }
    }

    @Test("The SDK bundle is made once and survives a second maker")
    func bundle() async throws {
        let toolchain = try await Toolchain.find()
        try await Self.withPackage(nil) { cache in
            let first = try SDKBundle.prepare(
                toolchain: toolchain, home: try Self.home(), cache: cache)
            let second = try SDKBundle.prepare(
                toolchain: toolchain, home: try Self.home(), cache: cache)
            #expect(first.path == second.path)
            #expect(try FileSystem.names(in: cache).count == 1)
            let bundle = first.path.appending("swiftlet.artifactbundle")
            #expect(FileSystem.isFile(bundle.appending("info.json")))
            #expect(FileSystem.isFile(bundle.appending("swiftlet/lib/swiftlet.ld")))
            #expect(FileSystem.isFile(bundle.appending("swiftlet/toolset.json")))
        }
    }
}
