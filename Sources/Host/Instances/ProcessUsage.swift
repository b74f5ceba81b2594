// What the kernel tells of a process: proc_pid_stat(5), proc_pid_status(5).

import Glibc
import SwiftletBuild
import SystemPackage

/// One look at a process.
public struct ProcessUsage: Equatable, Sendable {
    /// When it began, in clock ticks since the host's start.
    public var start: UInt64
    /// Processor time of user and kernel together, in seconds.
    public var processorTime: Double
    /// Octets of memory that are in RAM for it.
    public var memory: Int

    /// Nil if there is no such process, or it has ended and waits to be collected.
    public init?(_ process: Int32) {
        guard let stat = try? FileSystem.read(FilePath("/proc/\(process)/stat")) else { return nil }
        self.init(stat: String(decoding: stat, as: UTF8.self))
    }

    /// Reads the text of /proc/PID/stat.
    init?(stat: String) {
        // The second field, the program's name in parentheses, may hold anything.
        guard let parenthesis = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: parenthesis)...].split(whereSeparator: \.isWhitespace)
        // Field 3, the state, is the first here.
        guard fields.count >= 22, fields[0] != "Z", fields[0] != "X", let user = UInt64(fields[11]),
            let kernel = UInt64(fields[12]), let start = UInt64(fields[19]),
            let pages = Int(fields[21])
        else { return nil }
        self.start = start
        processorTime = Double(user + kernel) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        memory = pages * Int(getpagesize())
    }
}
