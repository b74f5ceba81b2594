// `swiftlet build`: makes an image of a package.

import ArgumentParser
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage

/// What `build` and `run` agree on.
struct BuildOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Pack the files of this folder into the image (default: the package's Files folder).",
            valueName: "dir"))
    var files: String?

    @Option(help: "The executable to build, where a package has several.")
    var product: String?

    @Flag(name: .shortAndLong, help: "Show SwiftPM's own output.")
    var verbose = false

    /// Builds the package at `path`, or makes an image of the Linux program there.
    func build(_ path: String, output: String? = nil) async throws(ToolError) -> BuiltImage {
        guard !FileSystem.isFile(FilePath(path)) else {
            return try await buildProgram(FilePath(path), output: output)
        }
        var request = BuildRequest(package: FilePath(path))
        request.product = product
        request.files = files.map { FilePath($0) }
        request.output = output.map { FilePath($0) }
        request.verbose = verbose
        defer { Terminal.clearProgress() }
        return try await PackageBuilder.build(request, progress: Terminal.progress)
    }

    private func buildProgram(
        _ path: FilePath, output: String?
    ) async throws(ToolError) -> BuiltImage {
        guard product == nil else {
            throw ToolError(
                "--product goes with a package, and '\(path)' is a file",
                exitCode: SwiftletBuild.ExitCode.usage)
        }
        var request = ProgramRequest(program: path)
        request.files = files.map { FilePath($0) }
        request.output = output.map { FilePath($0) }
        request.verbose = verbose
        defer { Terminal.clearProgress() }
        return try await PackageBuilder.build(request, progress: Terminal.progress)
    }
}

struct BuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build",
        abstract: "Makes a bootable image of a Swift package, or of a Linux program.",
        discussion: """
            The package is a plain SwiftPM package whose executable depends on the product \
            Swiftlet. A folder named Files at its root is packed into the image.

            A static Linux executable becomes an image as it is, and so does a package that does \
            not use Swiftlet: its system calls are turned into calls of the library OS.
            """)

    @Argument(help: "The package's folder, or a static Linux executable.")
    var path = "."

    @Option(name: .shortAndLong, help: "Where the image goes.")
    var output: String?

    @OptionGroup var options: BuildOptions

    func run() async throws {
        let built = try await options.build(path, output: output)
        let files = built.fileCount == 0 ? "" : ", with \(built.fileCount) files"
        let calls =
            switch built.unrewrittenSites ?? 0 {
            case 0: ""
            case let count: ", with \(count) system calls that could not be rewritten"
            }
        Terminal.note("\(built.product): \(Size.text(built.size))\(files)\(calls)")
        Terminal.result(built.image.string)
    }
}

/// Sizes of files as people read them.
enum Size {
    static func text(_ octets: Int) -> String {
        if octets < 10_000 { return "\(octets) B" }
        if octets < 10_000_000 { return "\((octets + 500) / 1000) KB" }
        return "\((octets + 500_000) / 1_000_000) MB"
    }
}
