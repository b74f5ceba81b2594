// The Swift toolchain that builds the guest: the one whose `swift` is first in PATH.

import FoundationEssentials
import SystemPackage

/// An installed Swift toolchain.
public struct Toolchain: Sendable {
    /// As the compiler says it, for example "Swift version 6.3.1 (swift-6.3.1-RELEASE)".
    public var version: String
    /// Where the compiler keeps its libraries: `…/usr/lib/swift`.
    public var resources: FilePath
    /// Where its programs lie: `…/usr/bin`.
    public var programs: FilePath

    /// The triple that guests are compiled for: the one with an embedded `_Concurrency`.
    public static let guestTriple = "x86_64-unknown-linux-gnu"

    /// Asks the compiler in PATH who it is.
    public static func find() async throws(ToolError) -> Toolchain {
        guard await ProcessRunner.find("swift") != nil else {
            throw ToolError(
                "no Swift toolchain: 'swift' is not in PATH",
                hint: "Install Swift 6.3 or newer from https://www.swift.org/install.",
                exitCode: ExitCode.notFound)
        }
        let outcome = try await ProcessRunner.collect("swiftc", ["-print-target-info"])
        struct TargetInformation: Decodable {
            struct Paths: Decodable { var runtimeResourcePath: String }
            var compilerVersion: String
            var paths: Paths
        }
        guard outcome.succeeded,
            let information = try? JSONDecoder().decode(
                TargetInformation.self, from: Data(outcome.output.utf8))
        else {
            throw ToolError("'swiftc -print-target-info' failed: \(outcome.errorOutput)")
        }
        let resources = FilePath(information.paths.runtimeResourcePath)
        return Toolchain(
            version: information.compilerVersion, resources: resources,
            programs: resources.removingLastComponent().removingLastComponent().appending("bin"))
    }

    /// The static libraries that every guest links.
    public func guestLibraries() throws(ToolError) -> [FilePath] {
        let folder = resources.appending("embedded").appending(Self.guestTriple)
        var found: [FilePath] = []
        for name in ["libswift_Concurrency.a", "libswiftUnicodeDataTables.a"] {
            let path = folder.appending(name)
            guard FileSystem.isFile(path) else {
                throw ToolError(
                    "the toolchain (\(version)) has no '\(path)'",
                    hint: "Use a toolchain from https://www.swift.org/install, 6.3 or newer.")
            }
            found.append(path)
        }
        return found
    }

    /// One of the toolchain's programs; nil if it has none of that name.
    public func program(_ name: String) -> FilePath? {
        let path = programs.appending(name)
        return FileSystem.isFile(path) ? path : nil
    }
}
