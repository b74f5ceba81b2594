// Instances: machines with a name, in the background or not, without a daemon.
//
// Each instance is a folder with its records, its log, a FIFO for commands and a lock. One process,
// its supervisor, holds the lock from beginning to end and starts, watches and restarts the machine.
// The kernel gives the lock back however the supervisor ends, so a lock that is free means: dead.
// No process identifier is trusted. Commands that change the set of instances exclude each other
// by one more lock, which those that look share; it is held for moments.

import Glibc
import SwiftletBuild
import SystemPackage

/// All instances of one user.
public struct InstanceStore: Sendable {
    /// The folder that holds a folder for each.
    public let root: FilePath

    public init(_ root: FilePath) throws(ToolError) {
        self.root = root
        try FileSystem.makeFolder(root)
        chmod(root.string, 0o700)
    }

    /// `swiftlet/instances` in the user's state folder (XDG Base Directory Specification).
    public static func standard() throws(ToolError) -> InstanceStore {
        if let state = FileSystem.environment("XDG_STATE_HOME"), state.hasPrefix("/") {
            return try InstanceStore(FilePath(state).appending("swiftlet/instances"))
        }
        guard let home = FileSystem.environment("HOME") else {
            throw ToolError(
                "there is no place for instances", hint: "Set XDG_STATE_HOME or HOME.")
        }
        return try InstanceStore(FilePath(home).appending(".local/state/swiftlet/instances"))
    }

    private func locked<R>(
        _ mode: FileLock.Mode, _ body: () throws(ToolError) -> R
    ) throws(ToolError) -> R {
        let lock = try FileLock.take(root.appending(".lock"), mode)
        defer { withExtendedLifetime(lock) {} }
        return try body()
    }

    private func folder(_ name: String) -> InstanceFolder { InstanceFolder(root.appending(name)) }

    // MARK: Looking

    /// All instances, by name.
    public func list() throws(ToolError) -> [Instance] {
        try locked(.shared) { () throws(ToolError) in
            var instances: [Instance] = []
            for name in try FileSystem.names(in: root) where !name.hasPrefix(".") {
                // One damaged record must not hide the others.
                if let instance = try? observe(name) { instances.append(instance) }
            }
            return instances
        }
    }

    /// The instance of this name.
    public func find(_ name: String) throws(ToolError) -> Instance {
        try locked(.shared) { () throws(ToolError) in try observe(name) }
    }

    /// Whether there is one of this name.
    public func has(_ name: String) throws(ToolError) -> Bool {
        try InstanceName.check(name)
        return FileSystem.isFolder(folder(name).path)
    }

    private func observe(_ name: String) throws(ToolError) -> Instance {
        let folder = try existing(name)
        // Never waits: only the holder of the other lock takes this one besides a supervisor.
        let free = try FileLock.attempt(folder.lock, .shared)
        return try Instance(folder, isAlive: free == nil)
    }

    private func existing(_ name: String) throws(ToolError) -> InstanceFolder {
        try InstanceName.check(name)
        guard FileSystem.isFolder(folder(name).path) else {
            throw ToolError(
                "there is no instance '\(name)'", hint: "`swiftlet ps -a` lists them all.")
        }
        return folder(name)
    }

    // MARK: Changing

    /// A new instance. Its name is the configuration's; one is made up if that is empty.
    ///
    /// - Parameter keepsImage: whether it may be started again, and is to run the same image then.
    public func create(
        _ configuration: InstanceConfiguration, keepsImage: Bool = false
    ) throws(ToolError) -> ClaimedInstance {
        var configuration = configuration
        if !configuration.name.isEmpty { try InstanceName.check(configuration.name) }
        return try locked(.exclusive) { () throws(ToolError) in
            clean()
            if configuration.name.isEmpty {
                var generator = SystemRandomNumberGenerator()
                configuration.name = InstanceName.makeUp(
                    { FileSystem.status(folder($0).path) != nil }, using: &generator)
            } else if FileSystem.status(folder(configuration.name).path) != nil {
                throw inUse(configuration.name)
            }
            configuration.created = ConsoleLogWriter.wallTime()
            // Made under another name, so that nobody sees a part of it.
            let part = InstanceFolder(root.appending(".new-\(configuration.name)"))
            guard mkdir(part.path.string, 0o700) == 0 else { throw failure("make", part.path) }
            do throws(ToolError) {
                try part.write(configuration, to: part.configuration)
                try part.write(InstanceState(), to: part.state)
                if keepsImage { try part.keep(FilePath(configuration.image)) }
                guard mkfifo(part.control.string, 0o600) == 0 else {
                    throw failure("make", part.control)
                }
                guard let lock = try FileLock.attempt(part.lock, .exclusive) else {
                    throw ToolError("'\(part.lock)' is locked already")
                }
                // Room for the exit code, in case that the disk is full by then.
                _ = try? lock.descriptor.writeAll(
                    toAbsoluteOffset: 0, [UInt8](repeating: 0x0A, count: 16))
                let final = folder(configuration.name)
                guard rename(part.path.string, final.path.string) == 0 else {
                    throw failure("make", final.path)
                }
                return ClaimedInstance(
                    store: self, folder: final, configuration: configuration, lock: lock)
            } catch {
                FileSystem.remove(part.path)
                throw error
            }
        }
    }

    /// An instance that has ended, to be started again.
    public func reclaim(_ name: String) throws(ToolError) -> ClaimedInstance {
        try locked(.exclusive) { () throws(ToolError) in
            let folder = try existing(name)
            guard let lock = try attemptForGood(folder) else {
                throw ToolError("instance '\(name)' is running")
            }
            try folder.write(InstanceState(), to: folder.state)
            return ClaimedInstance(
                store: self, folder: folder,
                configuration: try folder.read(InstanceConfiguration.self, folder.configuration),
                lock: lock)
        }
    }

    /// Forgets an instance that has ended.
    public func remove(_ name: String) throws(ToolError) {
        try locked(.exclusive) { () throws(ToolError) in
            let folder = try existing(name)
            guard try attemptForGood(folder) != nil else {
                throw ToolError(
                    "instance '\(name)' is running",
                    hint: "Stop it before, or use `swiftlet rm -f \(name)`.")
            }
            try forget(folder)
        }
    }

    /// Forgets an instance whose lock the caller holds.
    func removeOwn(_ folder: InstanceFolder) throws(ToolError) {
        try locked(.exclusive) { () throws(ToolError) in try forget(folder) }
    }

    /// The lock, but for those who wait for an instance's end, and hold it for a moment then.
    private func attemptForGood(_ folder: InstanceFolder) throws(ToolError) -> FileLock? {
        for _ in 0..<20 {
            if let lock = try FileLock.attempt(folder.lock, .exclusive) { return lock }
            if try FileLock.attempt(folder.lock, .shared) == nil { return nil }
            usleep(5000)
        }
        return nil
    }

    private func forget(_ folder: InstanceFolder) throws(ToolError) {
        // Out of sight in one step, then piece by piece.
        let name = folder.path.lastComponent?.string ?? ""
        let away = root.appending(".gone-\(name)")
        FileSystem.remove(away)
        guard rename(folder.path.string, away.string) == 0 else {
            throw failure("remove", folder.path)
        }
        FileSystem.remove(away)
    }

    /// What commands left behind that were killed half-way.
    private func clean() {
        for name in (try? FileSystem.names(in: root)) ?? []
        where name.hasPrefix(".new-") || name.hasPrefix(".gone-") {
            FileSystem.remove(root.appending(name))
        }
    }

    private func inUse(_ name: String) -> ToolError {
        let isAlive = (try? observe(name))?.isAlive ?? false
        return ToolError(
            "the name '\(name)' is in use by an instance that "
                + (isAlive ? "runs" : "has ended"),
            hint: isAlive
                ? "Take another, or stop and remove it: swiftlet rm -f \(name)"
                : "Take another, start it again (swiftlet restart \(name)), or remove it "
                    + "(swiftlet rm \(name)).", exitCode: ExitCode.monitor)
    }

    private func failure(_ verb: String, _ path: FilePath) -> ToolError {
        ToolError("cannot \(verb) '\(path)': \(Errno(rawValue: errno).description)")
    }
}

/// An instance whose lock is ours: we are its supervisor, or start one that inherits the lock.
public struct ClaimedInstance: Sendable {
    public let store: InstanceStore
    public let folder: InstanceFolder
    public let configuration: InstanceConfiguration
    public let lock: FileLock

    /// The instance of `folder`, whose lock the parent process has handed over.
    public init(folder: FilePath, lock: FileLock) throws(ToolError) {
        self.folder = InstanceFolder(folder)
        self.lock = lock
        store = try InstanceStore(folder.removingLastComponent())
        configuration = try self.folder.read(
            InstanceConfiguration.self, self.folder.configuration)
    }

    init(
        store: InstanceStore, folder: InstanceFolder, configuration: InstanceConfiguration,
        lock: FileLock
    ) {
        self.store = store
        self.folder = folder
        self.configuration = configuration
        self.lock = lock
    }

    /// Undoes `create`: nothing was started.
    public func abandon() {
        try? store.removeOwn(folder)
    }
}
