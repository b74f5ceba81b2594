// What an instance takes of the host's memory: all of its processes, pages that several processes
// share divided among them (proc_pid_smaps(5), Pss).

import SwiftletBuild
import SystemPackage

/// Octets in RAM for the processes of one instance.
public struct InstanceMemory: Equatable, Encodable, Sendable {
    /// The process that runs the machine, with the guest's memory.
    public var monitor: Int
    /// The processes that the monitor has started, as the one of its network.
    public var network: Int
    /// The supervisor; for an instance in the foreground that is `swiftlet run` itself.
    public var supervisor: Int

    public var total: Int { monitor + network + supervisor }

    /// Nil if no machine runs, or one of the processes shows this user nothing.
    public init?(_ instance: Instance) {
        guard instance.machineProcess != nil, let machine = instance.state.machine,
            let monitor = Self.proportionalSize(machine),
            let supervisor = Self.proportionalSize(instance.state.supervisor)
        else { return nil }
        self.monitor = monitor
        self.supervisor = supervisor
        network = 0
        for child in ProcessConfinement.children(of: machine) {
            guard let size = Self.proportionalSize(child.process) else { return nil }
            network += size
        }
    }

    /// Of one process; nil if there is none, or it may not be looked at.
    private static func proportionalSize(_ process: Int32) -> Int? {
        let file = FilePath("/proc/\(process)/smaps_rollup")
        guard let octets = try? FileSystem.read(file) else { return nil }
        return proportionalSize(rollup: String(decoding: octets, as: UTF8.self))
    }

    /// Reads the text of /proc/PID/smaps_rollup; nil if it does not say.
    static func proportionalSize(rollup: String) -> Int? {
        for line in rollup.split(separator: "\n") where line.hasPrefix("Pss:") {
            return line.split(whereSeparator: \.isWhitespace).dropFirst().first
                .flatMap { Int($0) }.flatMap { $0 >= 0 && $0 < Int.max >> 10 ? $0 << 10 : nil }
        }
        return nil
    }
}
