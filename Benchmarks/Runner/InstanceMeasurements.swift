// Instances by the command line, without root and without a namespace: the start of one on a published
// port, and many at once.

import Foundation

extension Bench {
    /// The first of the host's ports that are published here, one for each instance.
    private static let firstPort = 20_000

    /// Octets in RAM of the processes of instances, on average; each page divided by those that share
    /// it (proc_pid_smaps(5), Pss).
    private struct Memory {
        var monitor = 0
        var network = 0
        var supervisor = 0
    }

    private struct Row: Decodable {
        var process: Int32?
        var supervisor: Int32?
    }

    /// Kibibytes that one of many servers takes, its supervisor and network included.
    func memoryOfInstance() throws(NotMeasured) -> Figure {
        let count = quick ? 20 : 200
        let image = try server.get().built.path
        let state = work.appending(path: "state").path
        func swiftlet(_ words: [String]) throws(NotMeasured) -> String {
            try Command.run(
                ["env", "XDG_STATE_HOME=\(state)", root.path + "/.build/release/swiftlet"] + words)
        }
        let cleanup = Cleanup.add {
            _ = try? Command.run([
                "env", "XDG_STATE_HOME=\(state)", root.path + "/.build/release/swiftlet", "rm",
                "--force", "--all",
            ])
        }
        defer {
            _ = try? swiftlet(["rm", "--force", "--all"])
            Cleanup.remove(cleanup)
        }
        var clock = ContinuousClock.now
        func lap() -> Double {
            let before = clock
            clock = .now
            return (clock - before) / .milliseconds(1)
        }
        for number in 0..<count {
            _ = try swiftlet([
                "run", "--detach", "--monitor", "builtin", "--name", "bench-\(number)", "--publish",
                "\(Self.firstPort + number):80", image,
            ])
        }
        let start = lap()
        for number in 0..<count {
            let answer = try Command.run([
                "curl", "--silent", "--max-time", "5",
                "http://127.0.0.1:\(Self.firstPort + number)/",
            ])
            guard answer == "Hello\n" else { throw NotMeasured("no answer of instance \(number)") }
        }
        let listed = Data(try swiftlet(["ps", "--json"]).utf8)
        guard let rows = try? JSONDecoder().decode([Row].self, from: listed), rows.count == count
        else { throw NotMeasured("not all instances run") }
        var total = Memory()
        for case (let process?, let supervisor?) in rows.map({ ($0.process, $0.supervisor) }) {
            total.monitor += Self.proportionalSize(process)
            total.supervisor += Self.proportionalSize(supervisor)
            for child in Self.children(process) { total.network += Self.proportionalSize(child) }
        }
        _ = lap()
        _ = try swiftlet(["stop", "--all"])
        let stop = lap()
        let each = Double(total.monitor + total.network + total.supervisor) / Double(count)
        let detail = String(
            format: "%d at once: monitor %d, network %d, supervisor %d; started in %.1f ms each, "
                + "all stopped in %.0f ms",
            count, total.monitor / count, total.network / count, total.supervisor / count,
            start / Double(count), stop)
        return Figure(value: each, detail: detail)
    }

    /// Kibibytes; 0 for a process that has ended.
    private static func proportionalSize(_ process: Int32) -> Int {
        guard
            let text = try? String(
                contentsOfFile: "/proc/\(process)/smaps_rollup", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Pss:") })
        else { return 0 }
        return line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    }

    private static func children(_ process: Int32) -> [Int32] {
        let text = try? String(
            contentsOfFile: "/proc/\(process)/task/\(process)/children", encoding: .utf8)
        return (text ?? "").split(separator: " ").compactMap { Int32($0) }
    }
}
