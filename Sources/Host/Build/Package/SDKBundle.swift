// The Swift SDK bundle that lets a plain Package.swift build a guest.
//
// It lives in the user's cache, one for each toolchain and state of SDK/, and is made once:
//
//     $XDG_CACHE_HOME/swiftlet/sdk-KEY/swiftlet.artifactbundle/
//         info.json                    names the bundle and its triple
//         swiftlet/swift-sdk.json      schema 4.0: toolset, library folder
//         swiftlet/toolset.json        compiler and linker options, from SDK/
//         swiftlet/lib/                linker script, the toolchain's embedded libraries

import FoundationEssentials
import SystemPackage

/// A Swift SDK bundle on disk.
public struct SDKBundle: Sendable {
    /// The folder for `--swift-sdks-path`.
    public var path: FilePath
    /// The name for `--swift-sdk`.
    public static let name = "swiftlet"

    /// The user's cache folder of this tool.
    public static func cache() throws(ToolError) -> FilePath {
        if let base = FileSystem.environment("XDG_CACHE_HOME") {
            return FilePath(base).appending("swiftlet")
        }
        guard let home = FileSystem.environment("HOME") else {
            throw ToolError(
                "neither XDG_CACHE_HOME nor HOME is set", hint: "Set one: the SDK is cached there.")
        }
        return FilePath(home).appending(".cache/swiftlet")
    }

    /// The bundle for `toolchain` and the SDK in `home`; made in `cache` if it is not there yet.
    public static func prepare(
        toolchain: Toolchain, home: Home, cache: FilePath
    ) throws(ToolError) -> SDKBundle {
        let libraries = try toolchain.guestLibraries()
        var sources: [(name: String, contents: [UInt8])] = []
        for name in try FileSystem.names(in: home.sdk) {
            let path = home.sdk.appending(name)
            if FileSystem.isFile(path) { sources.append((name, try FileSystem.read(path))) }
        }

        var hash = SHA256()
        hash.update(Array("1 \(toolchain.version) \(toolchain.resources)".utf8))
        for library in libraries {
            let status = FileSystem.status(library)
            hash.update(Array(" \(status?.size ?? 0) \(status?.modificationTime ?? 0)".utf8))
        }
        for source in sources {
            hash.update(Array(" \(source.name) \(source.contents.count) ".utf8))
            hash.update(source.contents)
        }
        let final = cache.appending("sdk-" + hexadecimal(hash.finish().prefix(8)))
        if FileSystem.isFolder(final) { return SDKBundle(path: final) }

        // Built under a name of this process's own and renamed: a concurrent build either finds
        // the whole bundle or makes the same one, and whoever comes second uses the first's.
        try FileSystem.makeFolder(cache)
        let draft = FilePath(final.string + ".\(FileSystem.processIdentifier).part")
        FileSystem.remove(draft)
        defer { FileSystem.remove(draft) }
        try write(to: draft, sources: sources, libraries: libraries)
        try FileSystem.renameFolder(draft, to: final)
        return SDKBundle(path: final)
    }

    private static func write(
        to folder: FilePath, sources: [(name: String, contents: [UInt8])], libraries: [FilePath]
    ) throws(ToolError) {
        let bundle = folder.appending("\(name).artifactbundle")
        let variant = bundle.appending(name)
        let libraryFolder = variant.appending("lib")
        try FileSystem.makeFolder(libraryFolder)
        try FileSystem.write(
            Array(
                """
                {
                    "schemaVersion": "1.0",
                    "artifacts": {
                        "\(name)": {
                            "type": "swiftSDK",
                            "version": "1.0.0",
                            "variants": [
                                {
                                    "path": "\(name)",
                                    "supportedTriples": [
                                        "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu",
                                        "x86_64-apple-macosx", "arm64-apple-macosx"
                                    ]
                                }
                            ]
                        }
                    }
                }

                """.utf8), to: bundle.appending("info.json"))
        try FileSystem.write(
            Array(
                """
                {
                    "schemaVersion": "4.0",
                    "targetTriples": {
                        "\(Toolchain.guestTriple)": {
                            "sdkRootPath": ".",
                            "librarySearchPaths": ["lib"],
                            "toolsetPaths": ["toolset.json"]
                        }
                    }
                }

                """.utf8), to: variant.appending("swift-sdk.json"))
        for source in sources {
            let place = source.name.hasSuffix(".json") ? variant : libraryFolder
            try FileSystem.write(source.contents, to: place.appending(source.name))
        }
        for library in libraries {
            guard let name = library.lastComponent else { continue }
            try FileSystem.write(
                try FileSystem.read(library), to: libraryFolder.appending(name))
        }
        // Swift's driver asks for libm on Linux triples; an empty archive satisfies it.
        try FileSystem.write(Array("!<arch>\n".utf8), to: libraryFolder.appending("libm.a"))
    }
}
