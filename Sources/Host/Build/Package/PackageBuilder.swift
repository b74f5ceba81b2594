// Builds a package's executable for the guest, by SwiftPM, and makes an image of it.

import SwiftletBootProtocol
import SystemPackage

/// What to build, and how.
public struct BuildRequest: Sendable {
    /// The package's folder.
    public var package: FilePath
    /// The executable product; nil: the only one that uses Swiftlet, or the only one.
    public var product: String?
    /// Where the image goes; nil: `.build/swiftlet/images/PRODUCT` in the package.
    public var output: FilePath?
    /// The folder whose files are packed; nil: `Files` in the package, if it is there.
    public var files: FilePath?
    /// Show SwiftPM's own output.
    public var verbose = false

    public init(package: FilePath) {
        self.package = package
    }
}

/// A finished image on disk.
public struct BuiltImage: Sendable {
    public var image: FilePath
    /// The unstripped ELF with DWARF, for symbolising.
    public var debug: FilePath
    public var product: String
    /// Octets of the image.
    public var size: Int
    /// Files packed into it.
    public var fileCount: Int
    /// System calls of a Linux program that are still instructions; nil for a guest of its own.
    public var unrewrittenSites: Int?
}

/// Makes images of packages.
public struct PackageBuilder: Sendable {
    public var home: Home
    public var toolchain: Toolchain
    public var sdk: SDKBundle

    public init(home: Home, toolchain: Toolchain, sdk: SDKBundle) {
        self.home = home
        self.toolchain = toolchain
        self.sdk = sdk
    }

    /// With the toolchain in PATH, Swiftlet's package from where it lies, and the user's cache.
    public static func prepare() async throws(ToolError) -> PackageBuilder {
        let home = try Home.find()
        let toolchain = try await Toolchain.find()
        let sdk = try SDKBundle.prepare(
            toolchain: toolchain, home: home, cache: try SDKBundle.cache())
        return PackageBuilder(home: home, toolchain: toolchain, sdk: sdk)
    }

    /// Prepares only after the request was found to make sense, then builds it.
    public static func build(
        _ request: BuildRequest, progress: (String) -> Void = { _ in }
    ) async throws(ToolError) -> BuiltImage {
        _ = try FilesFolder.choose(request.files, package: request.package)
        guard FileSystem.isFile(request.package.appending("Package.swift")) else {
            throw PackageDescription.noPackage(request.package)
        }
        return try await prepare().build(request, progress: progress)
    }

    /// The folder in which SwiftPM builds the guest, apart from a package's own `.build`: a build
    /// for the host may be running there.
    static func scratch(_ package: FilePath) -> FilePath {
        package.appending(".build/swiftlet")
    }

    /// Swiftlet's Package.swift leaves out the host's tools, and what they depend on, when it is
    /// only asked for a guest.
    static let environment = ["SWIFTLET_GUEST": "1"]

    /// Builds the package and writes image and debug file. `progress` is told what is going on, in
    /// one line at a time.
    public func build(
        _ request: BuildRequest, progress: (String) -> Void = { _ in }
    ) async throws(ToolError) -> BuiltImage {
        let package = FileSystem.resolve(request.package)
        let files = try FilesFolder.choose(request.files, package: package)
        let description = try await PackageDescription.load(
            package, environment: Self.environment)
        let executable = try description.executable(named: request.product, in: package)
        let product = executable.name
        let output = request.output ?? Self.scratch(package).appending("images/\(product)")
        let packed = try (files.map { folder throws(ToolError) in try FilesFolder.load(folder) })

        progress("building \(product)")
        guard executable.usesSwiftlet else {
            let path = try await compileForLinux(
                package, product: product, verbose: request.verbose)
            return try await build(
                LinuxProgram(path), files: packed ?? [], output: output, verbose: request.verbose,
                progress: progress)
        }
        let linked = try await compile(
            package, product: product, scratch: Self.scratch(package), verbose: request.verbose)
        progress("writing the image")
        let contents = try FileSystem.read(linked)
        return try write(
            linked: contents, files: packed ?? [], program: nil, name: linked.string,
            product: product, to: output)
    }

    /// Makes an image of a linked guest, and writes it with what lies beside it.
    func write(
        linked: [UInt8], files: [PackedFile], program: RewrittenProgram?, name: String,
        product: String, to output: FilePath
    ) throws(ToolError) -> BuiltImage {
        let image = try ImageWriter.write(
            linked: linked, files: files, program: program, name: name)
        if let folder = output.parent { try FileSystem.makeFolder(folder) }
        let debug = FilePath(output.string + ".debug")
        try FileSystem.write(linked, to: debug)
        if let program {
            try FileSystem.write(
                program.program.elf.bytes, to: FilePath(output.string + ".program"),
                executable: true)
        }
        try FileSystem.write(image, to: output, executable: false)
        return BuiltImage(
            image: output, debug: debug, product: product, size: image.count,
            fileCount: files.count, unrewrittenSites: program?.unrewrittenCount)
    }

    /// Builds a guest; where its linked ELF lies.
    func compile(
        _ package: FilePath, product: String, scratch: FilePath, verbose: Bool
    ) async throws(ToolError) -> FilePath {
        try await compile(
            package, product: product, verbose: verbose, environment: Self.environment,
            options: [
                "--swift-sdks-path", sdk.path.string, "--swift-sdk", SDKBundle.name,
                "--scratch-path", scratch.string,
                // SwiftPM's cached plan does not notice new files in packages used by path, which
                // Swiftlet itself is.
                "--disable-build-manifest-caching",
            ])
        return scratch.appending("\(Toolchain.guestTriple)/release/\(product)")
    }

    /// Builds an ordinary static executable for Linux; where it lies.
    private func compileForLinux(
        _ package: FilePath, product: String, verbose: Bool
    ) async throws(ToolError) -> FilePath {
        let scratch = Self.scratch(package).appending("linux")
        try await compile(
            package, product: product, verbose: verbose, environment: [:],
            options: ["-Xswiftc", "-static-executable", "--scratch-path", scratch.string])
        return scratch.appending("release/\(product)")
    }

    private func compile(
        _ package: FilePath, product: String, verbose: Bool, environment: [String: String],
        options: [String]
    ) async throws(ToolError) {
        let arguments =
            ["build", "--package-path", package.string, "-c", "release", "--product", product]
            + options
        if verbose {
            let code = try await ProcessRunner.passThrough(
                "swift", arguments + ["-v"], environment: environment)
            guard code == 0 else { throw doesNotBuild(product, package, code) }
        } else {
            let outcome = try await ProcessRunner.collect(
                "swift", arguments, environment: environment)
            guard outcome.succeeded else {
                throw doesNotBuild(
                    product, package, outcome.exitCode,
                    output: Self.diagnostics(outcome.output + outcome.errorOutput))
            }
        }
    }

    private func doesNotBuild(
        _ product: String, _ package: FilePath, _ code: Int32, output: String = ""
    ) -> ToolError {
        ToolError(
            output + (output.isEmpty ? "" : "\n")
                + "'\(product)' in '\(package)' does not build (swift build ended with \(code))",
            exitCode: code)
    }

    /// SwiftPM's output without its lines of progress ("[3/7] Compiling …"), and without what the
    /// compiler says of every guest.
    static func diagnostics(_ output: String) -> String {
        let usual = [
            "Building for ", "Swift version ", "Target: ", "<unknown>:0: error: libc not found",
            "<unknown>:0: warning: libc not found", "warning: libc not found",
        ]
        return output.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            let isProgress =
                line.hasPrefix("[") && line.contains("] ")
                && line.dropFirst().prefix { $0.isNumber || $0 == "/" }.contains("/")
            return !isProgress && !usual.contains { line.hasPrefix($0) }
        }.joined(separator: "\n").trimmed
    }
}

extension FilePath {
    /// The folder that this path lies in; nil if it names none.
    var parent: FilePath? {
        let parent = removingLastComponent()
        return parent.isEmpty ? nil : parent
    }
}
