// `swiftlet stats`: what instances use, now and again.

import ArgumentParser
import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SwiftletInstances

struct StatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Shows processor time, memory, exits and packets of instances, live.")

    @Argument(help: "Names of instances; all that run without.", completion: .instances)
    var names: [String] = []

    @Flag(help: "Show it once.")
    var noStream = false

    @Flag(help: "Print a line of JSON each time instead of a table.")
    var json = false

    /// What one instance used between two looks.
    struct Row: Encodable {
        var name: String
        /// Of one processor, in per cent.
        var processor: Double
        /// Seconds of processor time since the machine's start.
        var processorTime: Double
        /// As `InstanceRow`.
        var memoryUsed: Int
        var memory: InstanceMemory?
        /// Octets that the guest has.
        var memoryGiven: Int
        /// Since the machine's start; nil where the monitor does not count.
        var counters: MachineCounters?
        /// Exits of the virtual machine in a second, between two looks.
        var exitRate: Double?
    }

    func run() async throws {
        let store = try InstanceStore.standard()
        for name in names { _ = try store.find(name) }
        var before = try looks(store)
        var began = ContinuousClock.now
        repeat {
            try await Task.sleep(for: .milliseconds(noStream ? 500 : 1000))
            let now = try looks(store)
            let elapsed = began.duration(to: .now)
            began = .now
            show(rows(now, since: before, elapsed: elapsed))
            before = now
            if !names.isEmpty, now.isEmpty { return }
        } while !noStream
    }

    private typealias Look = (
        instance: Instance, usage: ProcessUsage, counters: MachineCounters?
    )

    private func looks(_ store: InstanceStore) throws(ToolError) -> [Look] {
        try store.list().filter { names.isEmpty || names.contains($0.name) }
            .compactMap { instance in
                instance.machineProcess.map { (instance, $0, MachineCounters(instance)) }
            }
    }

    private func rows(_ now: [Look], since before: [Look], elapsed: Duration) -> [Row] {
        let seconds =
            Double(elapsed.components.seconds)
            + Double(elapsed.components.attoseconds) / 1e18
        return now.map { look in
            // A machine that was started meanwhile begins at nothing.
            let earlier = before.first {
                $0.instance.name == look.instance.name && $0.usage.start == look.usage.start
            }
            let used = look.usage.processorTime - (earlier?.usage.processorTime ?? 0)
            let exits = look.counters.map {
                Double($0.exits - min($0.exits, earlier?.counters?.exits ?? 0))
                    / max(seconds, 0.001)
            }
            let memory = InstanceMemory(look.instance)
            return Row(
                name: look.instance.name, processor: used / max(seconds, 0.001) * 100,
                processorTime: look.usage.processorTime,
                memoryUsed: memory?.total ?? look.usage.memory, memory: memory,
                memoryGiven: look.instance.configuration.memory, counters: look.counters,
                exitRate: exits)
        }
    }

    private func show(_ rows: [Row]) {
        if json { return Terminal.result(JSONText.of(rows)) }
        // On a terminal each table takes the place of the one before.
        if !noStream, isatty(1) == 1 { Terminal.write(Array("\u{1B}[H\u{1B}[J".utf8)[...]) }
        Terminal.result(
            Table.text(
                ["NAME", "CPU", "CPU TIME", "MEMORY", "EXITS/S", "RECEIVED", "SENT"],
                rows.map { row in
                    [
                        row.name, "\(Age.hundredths(row.processor)) %",
                        "\(Age.hundredths(row.processorTime)) s",
                        "\(Size.text(row.memoryUsed)) / \(MemorySize.text(row.memoryGiven))",
                        row.exitRate.map { "\(Int($0.rounded()))" } ?? "-",
                    ] + traffic(row.counters)
                }))
    }

    /// Octets, and frames behind them.
    private func traffic(_ counters: MachineCounters?) -> [String] {
        guard let counters else { return ["-", "-"] }
        return [
            "\(Size.text(Int(clamping: counters.receivedOctets))) (\(counters.receivedFrames))",
            "\(Size.text(Int(clamping: counters.sentOctets))) (\(counters.sentFrames))",
        ]
    }
}
