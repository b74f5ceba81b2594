// From the start: instructions to the first output and to listening, and QEMU's own time.

import Foundation

extension Bench {
    /// A figure with what the reader should know of it.
    struct Figure {
        let value: Double
        let detail: String
    }

    /// The counting plugin, after a look at whether it counts right: the floor image executes
    /// 3 instructions up to its output, 2 more, a `rep` of 1 000 repetitions (1 001 starts), and
    /// the last 2.
    func checkedPlugin() throws(NotMeasured) -> URL {
        let plugin = try plugin.get()
        let floor = try floor.get()
        let (start, end, console) = try countedStart(
            at: SwiftletImage.entry(of: floor), MachineConfiguration(kernel: floor), plugin: plugin
        )
        guard console.octets.map(\.value) == [46],
            console.octets[0].moment.total - start.total == 2,
            end.total - start.total == 1008, end.repeats - start.repeats == 1001
        else {
            throw NotMeasured("the plugin miscounts the floor image, \(end.total - start.total)")
        }
        return plugin
    }

    /// Instructions before the port output of the first octet on the console.
    func instructionsToFirstOutput() throws(NotMeasured) -> Figure {
        let image = try hello.get()
        let plugin = try checkedPlugin()
        return try median { () throws(NotMeasured) in
            let (start, _, console) = try countedStart(
                at: image.entry, image.configuration(), plugin: plugin
            )
            guard let first = console.octets.first?.moment else {
                throw NotMeasured("no output on the console")
            }
            return Self.figure(from: start, to: first)
        }
    }

    /// Instructions before the server first waits for a connection, its listener made; without
    /// symbols, before it first is idle.
    func instructionsToListening() throws(NotMeasured) -> Figure {
        let image = try server.get()
        let network = try network.get()
        let plugin = try checkedPlugin()
        // One compiled function for each stretch between suspensions; the first to run counts.
        let accepting = try image.addresses(ofSymbolsContaining: "11TCPListenerC6accept")
        return try median { () throws(NotMeasured) in
            let (start, end, _) = try countedStart(
                at: image.entry, image.configuration(on: network), plugin: plugin,
                marks: accepting, limit: .seconds(1)
            )
            let idle = end.firstHalt.flatMap { $0.total > start.total ? $0 : nil }
            let accept = end.marks.dropFirst().compactMap(\.self).min { $0.total < $1.total }
            if let accept {
                let then = idle.map { "first idle at \($0.total - start.total)" } ?? "never idle"
                return Self.figure(from: start, to: accept, "at its first accept, \(then)")
            }
            guard let idle else { throw NotMeasured("it neither accepted nor became idle") }
            return Self.figure(from: start, to: idle, "at the first `hlt`")
        }
    }

    private static func figure(
        from start: InstructionCounts.Moment, to end: InstructionCounts.Moment, _ when: String = ""
    ) -> Figure {
        let repeats = end.repeats - start.repeats
        let detail = when + (when.isEmpty ? "" : "; ") + "\(repeats) are steps of `rep`"
        return Figure(value: Double(end.total - start.total), detail: detail)
    }

    /// Milliseconds from QEMU's start to the first octet, over those of the floor image; both in
    /// turn, medians.
    func startOverFloor() throws(NotMeasured) -> Figure {
        let images = [
            try hello.get().configuration(), MachineConfiguration(kernel: try floor.get()),
        ]
        var times: [[Double]] = [[], []]
        for _ in 0..<(quick ? 15 : 31) {
            for (index, image) in images.enumerated() {
                var configuration = image
                configuration.memory = images[0].memory
                configuration.machineOptions = images[0].machineOptions
                let machine = try VirtualMachine(configuration)
                defer { machine.stop() }
                _ = machine.readConsole(limit: .seconds(5)) { !$0.isEmpty }
                guard let first = machine.firstOutput else {
                    throw NotMeasured("no output within 5 s")
                }
                times[index].append(first / .milliseconds(1))
            }
        }
        guard let own = times[0].median, let floor = times[1].median else {
            throw NotMeasured("no samples")
        }
        let text = String(format: "%.1f ms, floor %.1f ms, ", own, floor)
        return Figure(value: own - floor, detail: text + "medians of \(times[0].count)")
    }

    /// One start under the plugin, until the machine ends or `limit` is over.
    private func countedStart(
        at entry: UInt64, _ configuration: MachineConfiguration, plugin: URL,
        marks: [UInt64] = [], limit: Duration = .seconds(5)
    ) throws(NotMeasured) -> (InstructionCounts.Moment, InstructionCounts, CountedConsole) {
        var configuration = configuration
        let counting = MachineConfiguration.Counting(
            plugin: plugin, file: work.appending(path: "start.counts"), marks: [entry] + marks,
            logging: true)
        configuration.counting = counting
        let machine = try VirtualMachine(configuration)
        _ = machine.readConsole(limit: limit)
        machine.stop()
        let counts = try InstructionCounts(readingFrom: counting.file)
        guard let start = counts.marks.first ?? nil else {
            throw NotMeasured("the image's entry was not reached")
        }
        let log = (try? String(contentsOf: counting.log, encoding: .utf8)) ?? ""
        return (start, counts, CountedConsole(parsing: log, from: start.total))
    }

    private func median(_ run: () throws(NotMeasured) -> Figure) throws(NotMeasured) -> Figure {
        var figures: [Figure] = []
        for _ in 0..<(quick ? 1 : 3) { figures.append(try run()) }
        return figures.sorted { $0.value < $1.value }[figures.count / 2]
    }
}
