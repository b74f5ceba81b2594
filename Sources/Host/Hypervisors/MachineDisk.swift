// The file behind a machine's disk: `--disk FILE[:ro]`.

import Glibc
import SwiftletBuild
import SystemPackage

/// One disk: a file, or a block device, of whole sectors of 512 octets.
public struct MachineDisk: Equatable, Sendable {
    public var path: FilePath
    public var isReadOnly: Bool

    private static let sectorSize = 512

    public init(path: FilePath, isReadOnly: Bool = false) {
        self.path = path
        self.isReadOnly = isReadOnly
    }

    /// Reads `FILE[:ro]`. The path becomes absolute, since others than the caller open it.
    public init(_ text: String) throws(ToolError) {
        isReadOnly = text.hasSuffix(":ro")
        let name = isReadOnly ? String(text.dropLast(3)) : text
        guard !name.isEmpty else {
            throw ToolError(
                "--disk \(text): that names no file",
                hint: "Write --disk FILE, or --disk FILE:ro to have it read only.",
                exitCode: ExitCode.usage)
        }
        path = FileSystem.resolve(FilePath(name))
    }

    /// As it is read.
    public var text: String { path.string + (isReadOnly ? ":ro" : "") }

    /// Throws if the file can be no disk, or if another machine of the built-in monitor has it:
    /// better before the machine starts than after. Nothing is changed.
    public func check() throws(ToolError) {
        // Without O_NONBLOCK a FIFO would wait for its other end.
        let file = open(
            path.string, (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            let number = errno
            throw failure(
                "cannot open the disk '\(path)': \(String(cString: strerror(number)))",
                number == ENOENT
                    ? "Make one, for example: truncate -s 64M FILE"
                    : isReadOnly ? nil : "Where it may only be read, write --disk FILE:ro.")
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0,
            [S_IFREG, S_IFBLK].contains(status.st_mode & S_IFMT)
        else { throw failure("the disk '\(path)' is no file and no block device", nil) }
        let size = lseek(file, 0, SEEK_END)
        guard size > 0, size % Self.sectorSize == 0 else {
            throw failure(
                "the disk '\(path)' has \(size) octets, which is no multiple of "
                    + "\(Self.sectorSize) above 0",
                size > 0
                    ? "Fill its last sector: truncate -s %\(Self.sectorSize) FILE"
                    : "Give it a size, for example: truncate -s 64M FILE")
        }
        if flock(file, (isReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0, errno == EWOULDBLOCK {
            throw failure(
                "the disk '\(path)' is in use by another machine",
                "Stop that one (swiftlet ps), or let all of them only read it: --disk FILE:ro")
        }
    }

    private func failure(_ message: String, _ hint: String?) -> ToolError {
        ToolError(message, hint: hint, exitCode: ExitCode.monitor)
    }
}
