// Makes images of unmodified Linux programs: the program, rewritten, beside the library OS.

import SwiftletBootProtocol
import SystemPackage

/// Which Linux program to make an image of, and how.
public struct ProgramRequest: Sendable {
    /// The static executable.
    public var program: FilePath
    /// Where the image goes; nil: a place in the user's cache.
    public var output: FilePath?
    /// The folder whose files are packed, for the program to read.
    public var files: FilePath?
    /// Show SwiftPM's own output.
    public var verbose = false

    public init(program: FilePath) {
        self.program = program
    }
}

extension PackageBuilder {
    /// The package in Swiftlet's own that runs a Linux program, and its product.
    static let linuxPackage = "SDK/LinuxProgram"
    static let linuxProduct = "LinuxProgram"

    /// Makes an image of a program, which is looked at before anything else is prepared.
    public static func build(
        _ request: ProgramRequest, progress: (String) -> Void = { _ in }
    ) async throws(ToolError) -> BuiltImage {
        let program = try LinuxProgram(request.program)
        var files: [PackedFile] = []
        if let folder = try FilesFolder.choose(request.files, package: nil) {
            files = try FilesFolder.load(folder)
        }
        let output: FilePath
        if let chosen = request.output {
            output = chosen
        } else {
            output = try cachedImage(program, files)
        }
        return try await prepare().build(
            program, files: files, output: output, verbose: request.verbose,
            progress: progress)
    }

    /// A place for the image of `program`: the same for the same contents.
    private static func cachedImage(
        _ program: LinuxProgram, _ files: [PackedFile]
    ) throws(ToolError) -> FilePath {
        var hash = SHA256()
        hash.update(program.elf.bytes)
        if !files.isEmpty { hash.update(FileArchive.write(files)) }
        let key = hexadecimal(hash.finish().prefix(8))
        return try SDKBundle.cache().appending("programs/\(program.name)-\(key)")
    }

    /// Rewrites `program`, builds the library OS, and makes an image of both.
    func build(
        _ program: LinuxProgram, files: [PackedFile], output: FilePath, verbose: Bool,
        progress: (String) -> Void
    ) async throws(ToolError) -> BuiltImage {
        progress("rewriting \(program.name)")
        let rewritten = try RewrittenProgram(program)
        progress("building the library OS")
        let package = home.path.appending(Self.linuxPackage)
        guard FileSystem.isFile(package.appending("Package.swift")) else {
            throw ToolError(
                "'\(program.path)' cannot run: no module for Linux programs lies in '\(package)'",
                hint: "Install Swiftlet whole, or set SWIFTLET_HOME to a checkout that has it.")
        }
        // Swiftlet's own folder may not be writable; who shares a cache shares the build.
        var hash = SHA256()
        hash.update(Array(home.path.string.utf8))
        let scratch = try SDKBundle.cache().appending(
            "linux-" + hexadecimal(hash.finish().prefix(8)))
        let linked = try await compile(
            package, product: Self.linuxProduct, scratch: scratch, verbose: verbose)
        progress("writing the image")
        return try write(
            linked: try FileSystem.read(linked), files: files, program: rewritten,
            name: linked.string, product: program.name, to: output)
    }
}
