// What a process is confined by, as the kernel tells it: proc_pid_status(5), proc_pid_limits(5),
// namespaces(7). Nothing here is taken from the process's own word.

import Glibc
import SwiftletBuild
import SystemPackage

/// One look at a process.
public struct ProcessConfinement: Equatable, Encodable, Sendable {
    /// Of system calls: "none", "strict" or "filter".
    public var seccomp: String
    /// Seccomp filters that are installed.
    public var seccompFilters: Int
    /// Whether it can gain no privileges by exec.
    public var noNewPrivileges: Bool
    /// Real, effective, saved and file-system user.
    public var users: [Int]
    /// Effective capabilities as bits (capabilities(7)).
    public var capabilities: UInt64
    /// Namespaces that are not those of this tool.
    public var ownNamespaces: [String]
    /// By descriptor, what is open.
    public var descriptors: [Descriptor]
    /// Soft limits on what could be made or left behind (setrlimit(2)).
    public var limits: [Limit]
    /// Octets of address space.
    public var addressSpace: Int?
    public var threads: Int

    public struct Descriptor: Equatable, Encodable, Sendable {
        public var number: Int
        public var target: String
    }

    public struct Limit: Equatable, Encodable, Sendable {
        public var name: String
        /// "unlimited", or a number.
        public var value: String
    }

    /// Nil if there is no such process, or its files cannot be read.
    public init?(_ process: Int32) {
        let folder = FilePath("/proc/\(process)")
        func text(_ name: String) -> String? {
            guard let octets = try? FileSystem.read(folder.appending(name)) else { return nil }
            return String(decoding: octets, as: UTF8.self)
        }
        guard let status = text("status"),
            let names = try? FileSystem.names(in: folder.appending("fd"))
        else { return nil }
        self.init(status: status)
        descriptors = names.compactMap { name in
            guard let number = Int(name),
                let target = FileSystem.link(folder.appending("fd").appending(name))
            else { return nil }
            return Descriptor(number: number, target: target)
        }.sorted { $0.number < $1.number }
        let shown = ["open files", "processes", "core file size", "file size"]
        limits = Self.limits(text("limits") ?? "").filter { shown.contains($0.name) }
        for name in (try? FileSystem.names(in: folder.appending("ns"))) ?? []
        where !name.hasSuffix("_for_children") {
            let theirs = FileSystem.link(folder.appending("ns").appending(name))
            if let theirs, theirs != FileSystem.link(FilePath("/proc/self/ns/\(name)")) {
                ownNamespaces.append(name)
            }
        }
    }

    /// Processes that this one has started and that run still (proc_pid_task_children(5)), by name.
    public static func children(of process: Int32) -> [(process: Int32, name: String)] {
        let list = FilePath("/proc/\(process)/task/\(process)/children")
        guard let octets = try? FileSystem.read(list) else { return [] }
        return String(decoding: octets, as: UTF8.self).split(separator: " ").compactMap { word in
            guard let child = Int32(word),
                let name = try? FileSystem.read(FilePath("/proc/\(child)/comm"))
            else { return nil }
            return (child, String(decoding: name.prefix { $0 != 0x0A }, as: UTF8.self))
        }
    }

    /// Reads the text of /proc/PID/status; what it does not have is as if nothing were in force.
    init(status: String) {
        var fields: [Substring: [Substring]] = [:]
        for line in status.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...]
                .split(whereSeparator: \.isWhitespace)
        }
        func number(_ name: Substring) -> Int { fields[name]?.first.flatMap { Int($0) } ?? 0 }
        seccomp = ["none", "strict", "filter"][min(max(number("Seccomp"), 0), 2)]
        seccompFilters = number("Seccomp_filters")
        noNewPrivileges = number("NoNewPrivs") == 1
        users = fields["Uid"]?.compactMap { Int($0) } ?? []
        capabilities = fields["CapEff"]?.first.flatMap { UInt64($0, radix: 16) } ?? .max
        addressSpace = fields["VmSize"]?.first.flatMap { Int($0) }.map { $0 << 10 }
        threads = number("Threads")
        ownNamespaces = []
        descriptors = []
        limits = []
    }

    /// Reads the text of /proc/PID/limits: a name of 26 columns, soft and hard limit, unit.
    static func limits(_ text: String) -> [Limit] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            guard line.utf8.count > 26 else { return nil }
            let name = line.prefix(26).split(separator: " ").dropFirst().joined(separator: " ")
            let words = line.dropFirst(26).split(separator: " ")
            guard let soft = words.first else { return nil }
            return Limit(name: name, value: String(soft))
        }
    }
}
