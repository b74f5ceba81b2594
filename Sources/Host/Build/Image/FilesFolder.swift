// The folder of files that is packed into an image.

import SwiftletBootProtocol
import SystemPackage

/// Reads a folder for an image's files archive.
public enum FilesFolder {
    /// The most that one image can carry: addresses of code and data reach 2 GiB.
    public static let maximumSize = 1 << 30

    /// The name of the folder in a package that is packed without being asked for.
    public static let defaultName = "Files"

    /// The folder that was asked for, or the package's own if there is a package; else nil.
    static func choose(
        _ requested: FilePath?, package: FilePath?
    ) throws(ToolError) -> FilePath? {
        guard let requested else {
            guard let own = package?.appending(defaultName) else { return nil }
            return FileSystem.isFolder(own) ? own : nil
        }
        guard let status = FileSystem.status(requested) else {
            throw ToolError(
                "files folder '\(requested)' does not exist", exitCode: ExitCode.usage)
        }
        guard status.kind == .folder else {
            throw ToolError(
                "'\(requested)' is not a folder",
                hint: "--files wants a folder, whose contents are packed into the image.",
                exitCode: ExitCode.usage)
        }
        return requested
    }

    /// All files below `folder`, links followed. Names that begin with a dot are left out, and so
    /// are sockets and devices.
    public static func load(_ folder: FilePath) throws(ToolError) -> [PackedFile] {
        var files: [PackedFile] = []
        var total = 0
        try add(folder, prefix: "", depth: 0, to: &files, total: &total, root: folder)
        return files
    }

    private static func add(
        _ folder: FilePath, prefix: String, depth: Int, to files: inout [PackedFile],
        total: inout Int, root: FilePath
    ) throws(ToolError) {
        guard depth < 64 else {
            throw ToolError(
                "files folder '\(root)' is nested too deeply at '\(folder)'",
                hint: "Does a link in it lead back to itself?")
        }
        for name in try FileSystem.names(in: folder) where !name.hasPrefix(".") {
            let path = folder.appending(name)
            guard let status = FileSystem.status(path) else {
                throw ToolError("cannot read '\(path)': it is a link to nothing")
            }
            switch status.kind {
            case .folder:
                try add(
                    path, prefix: prefix + name + "/", depth: depth + 1, to: &files,
                    total: &total, root: root)
            case .file:
                total += status.size
                guard total <= maximumSize else {
                    throw ToolError(
                        "files folder '\(root)' does not fit: it holds more than "
                            + "\(maximumSize >> 20) MiB")
                }
                let contents = try FileSystem.read(path)
                let digest = SHA256.digest(contents)
                files.append(
                    PackedFile(
                        path: Array((prefix + name).utf8), contents: contents,
                        modificationTime: status.modificationTime,
                        tag: (number(digest[0..<8]), number(digest[8..<16]))))
            case .other: continue
            }
        }
    }

    private static func number(_ octets: ArraySlice<UInt8>) -> UInt64 {
        octets.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
