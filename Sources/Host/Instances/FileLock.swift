// Locks that the kernel gives back, however their holder ends (flock(2)).

import Glibc
import SwiftletBuild
import SystemPackage

/// A lock on a file, held for as long as the descriptor, or a process that inherited it, lives.
public final class FileLock: Sendable {
    public enum Mode: Sendable { case shared, exclusive }

    public let descriptor: FileDescriptor

    private init(_ descriptor: FileDescriptor) {
        self.descriptor = descriptor
    }

    /// A lock that another process took and handed over.
    public init(inherited descriptor: FileDescriptor) {
        self.descriptor = descriptor
        _ = fcntl(descriptor.rawValue, F_SETFD, FD_CLOEXEC)
    }

    deinit { try? descriptor.close() }

    /// Takes the lock, waiting for it if it has to.
    static func take(_ path: FilePath, _ mode: Mode) throws(ToolError) -> FileLock {
        let file = try open(path)
        while flock(file.rawValue, mode == .shared ? LOCK_SH : LOCK_EX) != 0 {
            guard errno == EINTR else {
                let reason = Errno(rawValue: errno).description
                try? file.close()
                throw ToolError("cannot lock '\(path)': \(reason)")
            }
        }
        return FileLock(file)
    }

    /// Takes the lock if it is free; nil if it is not.
    static func attempt(_ path: FilePath, _ mode: Mode) throws(ToolError) -> FileLock? {
        let file = try open(path)
        if flock(file.rawValue, (mode == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 {
            return FileLock(file)
        }
        try? file.close()
        return nil
    }

    private static func open(_ path: FilePath) throws(ToolError) -> FileDescriptor {
        do {
            return try FileDescriptor.open(
                path, .readWrite, options: [.create, .closeOnExec], permissions: .ownerReadWrite)
        } catch {
            throw ToolError("cannot open '\(path)': \(error)")
        }
    }
}
