// `swiftlet ps`: the instances there are.

import ArgumentParser
import FoundationEssentials
import SwiftletBuild
import SwiftletHypervisors
import SwiftletInstances

struct ProcessesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "Lists instances that run.")

    @Flag(name: .shortAndLong, help: "Also those that have ended.")
    var all = false

    @Flag(name: .shortAndLong, help: "Names only.")
    var quiet = false

    @Flag(help: "Print JSON instead of a table.")
    var json = false

    func run() throws {
        let instances = try InstanceStore.standard().list().filter { all || $0.isAlive }
        if quiet {
            for instance in instances { Terminal.result(instance.name) }
            return
        }
        let now = Date().timeIntervalSince1970
        let rows = instances.map { InstanceRow($0, now: now) }
        if json { return Terminal.result(JSONText.of(rows)) }
        Terminal.result(
            Table.text(
                ["NAME", "STATE", "UPTIME", "MONITOR", "MEMORY", "CPU", "PORTS"],
                rows.map { row in
                    [
                        row.name, row.description, row.uptime.map(Age.text) ?? "-", row.monitor,
                        "\(row.memoryUsed.map(Size.text) ?? "-") / "
                            + MemorySize.text(row.memoryGiven),
                        row.processorTime.map { "\(Age.hundredths($0)) s" } ?? "-",
                        row.ports.isEmpty ? "-" : row.ports.joined(separator: ", "),
                    ]
                }))
    }
}

/// One instance as `ps` shows it.
struct InstanceRow: Encodable {
    var name: String
    /// As `InstanceState.Phase`.
    var state: String
    /// Seconds since the last start; nil if it does not run.
    var uptime: Double?
    var monitor: String
    var image: String
    var ports: [String]
    /// Octets in RAM for all processes of the instance; of the monitor's alone where the kernel does
    /// not show how processes share.
    var memoryUsed: Int?
    /// The parts of that.
    var memory: InstanceMemory?
    /// Octets that the guest has.
    var memoryGiven: Int
    /// Seconds of the host's processors.
    var processorTime: Double?
    var restart: String
    var restarts: Int
    var exitCode: Int32?
    var reason: String?
    /// The monitor's process.
    var process: Int32?
    /// The supervisor's process.
    var supervisor: Int32?
    /// Since the last start; nil where the monitor does not count.
    var counters: MachineCounters?

    init(_ instance: Instance, now: Double) {
        let (configuration, state) = (instance.configuration, instance.state)
        let usage = instance.machineProcess
        name = instance.name
        self.state = state.phase.rawValue
        uptime = usage == nil ? nil : state.started.map { max(0, now - $0) }
        monitor = configuration.monitor
        image = configuration.image
        ports = configuration.ports
        memory = InstanceMemory(instance)
        memoryUsed = memory?.total ?? usage?.memory
        memoryGiven = configuration.memory
        processorTime = usage?.processorTime
        restart = configuration.restart.text
        restarts = state.restarts
        exitCode = state.phase == .running ? nil : state.exitCode
        reason = state.phase == .running ? nil : state.reason
        process = usage == nil ? nil : state.machine
        supervisor = instance.isAlive ? state.supervisor : nil
        counters = MachineCounters(instance)
    }

    /// The state, and how an end came.
    var description: String {
        guard state == "exited" else { return state }
        return "exited (\(exitCode ?? 0))" + (reason.map { ": \($0)" } ?? "")
    }
}

/// Values as JSON, keys sorted.
enum JSONText {
    static func of(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return "null" }
        return String(decoding: data, as: UTF8.self)
    }
}

/// Columns as wide as their widest word.
enum Table {
    static func text(_ head: [String], _ rows: [[String]]) -> String {
        let lines = [head] + rows
        let widths = head.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            var text = ""
            for (word, width) in zip(line, widths) {
                text += word + String(repeating: " ", count: width - word.count + 3)
            }
            while text.last == " " { text.removeLast() }
            return text
        }.joined(separator: "\n")
    }
}

/// Times as people read them.
enum Age {
    static func text(_ seconds: Double) -> String {
        let whole = Int(seconds)
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        if whole < 86400 { return "\(whole / 3600) h \(whole / 60 % 60) min" }
        return "\(whole / 86400) d \(whole / 3600 % 24) h"
    }

    /// With two places.
    static func hundredths(_ value: Double) -> String {
        let whole = Int((value * 100).rounded())
        return "\(whole / 100)." + (whole % 100 < 10 ? "0" : "") + "\(whole % 100)"
    }
}
