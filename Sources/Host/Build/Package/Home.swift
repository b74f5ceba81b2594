// Where Swiftlet's own package lies: the guest's sources and the SDK that images are built from.

import SystemPackage

/// Swiftlet's own package on this machine.
public struct Home: Sendable {
    public var path: FilePath

    public init(_ path: FilePath) {
        self.path = path
    }

    /// Toolset and linker script.
    public var sdk: FilePath { path.appending("SDK") }

    /// `$SWIFTLET_HOME`, else the repository that the running program was built in, else
    /// `PREFIX/share/swiftlet` beside `PREFIX/bin/swiftlet`.
    public static func find() throws(ToolError) -> Home {
        if let value = FileSystem.environment("SWIFTLET_HOME") {
            let path = FileSystem.resolve(FilePath(value))
            guard isHome(path) else {
                throw ToolError(
                    "SWIFTLET_HOME is '\(value)', where Swiftlet's package does not lie",
                    hint: "Set it to a checkout of Swiftlet, or unset it.")
            }
            return Home(path)
        }
        let program = FileSystem.resolve("/proc/self/exe")
        var folder = program.removingLastComponent()
        while true {
            if isHome(folder) { return Home(folder) }
            let installed = folder.appending("share/swiftlet")
            if isHome(installed) { return Home(installed) }
            let parent = folder.removingLastComponent()
            if parent == folder || parent.isEmpty { break }
            folder = parent
        }
        throw ToolError(
            "cannot find Swiftlet's package from '\(program)'",
            hint: "Set SWIFTLET_HOME to a checkout of Swiftlet, or run `make install` there.")
    }

    private static func isHome(_ path: FilePath) -> Bool {
        FileSystem.isFile(path.appending("Package.swift"))
            && FileSystem.isFile(path.appending("SDK/swiftlet.ld"))
    }
}
