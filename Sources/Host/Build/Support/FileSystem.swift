// Files and folders of the host, on octets: the one place where the builder touches the disk.

import Glibc
import SystemPackage

/// What a file is, and when it was changed.
public struct FileStatus: Sendable {
    public enum Kind: Sendable { case file, folder, other }
    public var kind: Kind
    public var size: Int
    /// Seconds since 1970-01-01 UTC.
    public var modificationTime: Int64
}

/// Operations on the host's files, with errors in words.
public enum FileSystem {
    /// What lies at `path`, links followed; nil if nothing does.
    public static func status(_ path: FilePath) -> FileStatus? {
        var information = stat()
        guard stat(path.string, &information) == 0 else { return nil }
        let kind: FileStatus.Kind =
            switch information.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .folder
            default: .other
            }
        return FileStatus(
            kind: kind, size: Int(information.st_size),
            modificationTime: Int64(information.st_mtim.tv_sec))
    }

    public static func isFile(_ path: FilePath) -> Bool { status(path)?.kind == .file }

    public static func isFolder(_ path: FilePath) -> Bool { status(path)?.kind == .folder }

    /// The names in a folder, sorted, without "." and "..".
    public static func names(in folder: FilePath) throws(ToolError) -> [String] {
        guard let stream = opendir(folder.string) else {
            throw failure("cannot read folder '\(folder)'")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Where a symbolic link leads, as it stands there; nil if it is none. Those in /proc name what
    /// is no file.
    public static func link(_ path: FilePath) -> String? {
        var target = [CChar](repeating: 0, count: 4096)
        let count = readlink(path.string, &target, target.count)
        guard count >= 0 else { return nil }
        return String(decoding: target[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The first octets of a file that may be any size.
    public static func read(
        _ path: FilePath, atMost limit: Int
    ) throws(ToolError) -> [UInt8] {
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: .nonBlocking)
            defer { try? file.close() }
            return try [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
                count = try file.read(
                    fromAbsoluteOffset: 0, into: UnsafeMutableRawBufferPointer(buffer))
            }
        } catch {
            throw ToolError("cannot read '\(path)': \(words(error))")
        }
    }

    /// The whole contents of a file.
    public static func read(_ path: FilePath) throws(ToolError) -> [UInt8] {
        do {
            let file = try FileDescriptor.open(path, .readOnly)
            defer { try? file.close() }
            // The files of /proc do not tell their sizes.
            var room = max((status(path)?.size ?? 0) + 1, 4096)
            var contents: [UInt8] = []
            while true {
                let piece = try [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                    count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
                if piece.isEmpty { break }
                contents = contents.isEmpty ? piece : contents + piece
                room = max(room - piece.count, 4096)
            }
            return contents
        } catch {
            throw ToolError("cannot read '\(path)': \(words(error))")
        }
    }

    /// Writes a file whole: readers see the old contents or the new, never a part.
    public static func write(
        _ contents: [UInt8], to path: FilePath, executable: Bool = false
    ) throws(ToolError) {
        let temporary = FilePath(path.string + ".\(getpid()).part")
        do {
            let file = try FileDescriptor.open(
                temporary, .writeOnly, options: [.create, .truncate],
                permissions: FilePermissions(rawValue: executable ? 0o755 : 0o644))
            do {
                try file.closeAfter { _ = try file.writeAll(contents) }
            } catch {
                unlink(temporary.string)
                throw error
            }
        } catch {
            throw ToolError("cannot write '\(path)': \(words(error))")
        }
        guard rename(temporary.string, path.string) == 0 else {
            let error = failure("cannot write '\(path)'")
            unlink(temporary.string)
            throw error
        }
    }

    /// Makes a folder and those above it; one that exists already is as good.
    public static func makeFolder(_ path: FilePath) throws(ToolError) {
        if isFolder(path) || path.isEmpty { return }
        let parent = path.removingLastComponent()
        if parent != path { try makeFolder(parent) }
        guard mkdir(path.string, 0o755) == 0 || errno == EEXIST, isFolder(path) else {
            throw failure("cannot make folder '\(path)'")
        }
    }

    /// Removes a file, or a folder with everything in it; links are removed, not followed.
    public static func remove(_ path: FilePath) {
        var information = stat()
        guard lstat(path.string, &information) == 0 else { return }
        if information.st_mode & S_IFMT == S_IFDIR {
            for name in (try? names(in: path)) ?? [] { remove(path.appending(name)) }
            rmdir(path.string)
        } else {
            unlink(path.string)
        }
    }

    /// A new, empty folder for temporary files.
    public static func makeTemporaryFolder() throws(ToolError) -> FilePath {
        let base = environment("TMPDIR") ?? "/tmp"
        var template = Array((base + "/swiftlet-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw failure("cannot make a temporary folder in '\(base)'")
        }
        return FilePath(
            String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self))
    }

    /// `path` made absolute, with links followed; unchanged if nothing lies there.
    public static func resolve(_ path: FilePath) -> FilePath {
        guard let resolved = realpath(path.string, nil) else { return path }
        defer { free(resolved) }
        return FilePath(String(cString: resolved))
    }

    /// Where a program lies: the path itself if it is one, else the first of that name in PATH; nil
    /// if there is none.
    public static func findProgram(_ name: String) -> FilePath? {
        if name.contains("/") { return FilePath(name) }
        for folder in (environment("PATH") ?? "").split(separator: ":")
        where access("\(folder)/\(name)", X_OK) == 0 {
            return FilePath(String(folder)).appending(name)
        }
        return nil
    }

    /// A variable of the environment; nil if unset or empty.
    public static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    private static func failure(_ message: String) -> ToolError {
        ToolError("\(message): \(words(Errno(rawValue: errno)))")
    }

    private static func words(_ error: any Error) -> String {
        (error as? Errno)?.description ?? "\(error)"
    }
}

extension FileSystem {
    /// This process, for names of temporary files.
    static var processIdentifier: Int32 { getpid() }

    /// Gives a folder its final name. If another process was first with that name, its folder
    /// stays and ours is left where it was.
    static func renameFolder(_ from: FilePath, to final: FilePath) throws(ToolError) {
        guard rename(from.string, final.string) != 0 else { return }
        let code = errno
        guard code == EEXIST || code == ENOTEMPTY, isFolder(final) else {
            throw ToolError("cannot make '\(final)': \(Errno(rawValue: code).description)")
        }
    }
}
