// From the start: instructions to the first output and to listening, and QEMU's own time.

import Foundation

extension Bench {
    /// A figure with what the reader should know of it.
    struct Figure {
        let value: Double
        let detail: String
    }

    /// Instructions before the port output of the first octet on the console.
    func instructionsToFirstOutput() throws(NotMeasured) -> Figure {
        let image = try hello.get()
        return try median { () throws(NotMeasured) in
            let (counts, console) = try countedStart(image, image.configuration()) { _ in false }
            guard let start = counts.marks.first ?? nil else {
                throw NotMeasured("the image's entry was not reached")
            }
            guard let first = console.octets.first else {
                throw NotMeasured("no output on the console")
            }
            return Figure(
                value: Double(first.total - start),
                detail: "of these \(first.repeats) steps of `rep` instructions")
        }
    }

    /// Instructions before the console line that says that the server listens, or else before
    /// the first idle moment.
    func instructionsToListening() throws(NotMeasured) -> Figure {
        let image = try server.get()
        let network = try network.get()
        return try median { () throws(NotMeasured) in
            let (counts, console) = try countedStart(
                image, image.configuration(on: network)
            ) { String(decoding: $0, as: UTF8.self).lowercased().contains("listening") }
            guard let start = counts.marks.first ?? nil else {
                throw NotMeasured("the image's entry was not reached")
            }
            let idle = counts.firstHalt.map { "first idle at \($0 - start)" } ?? "never idle"
            if let line = console.line(containing: "listening") {
                return Figure(value: Double(line.total - start), detail: "at its line; \(idle)")
            }
            guard let halt = counts.firstHalt, halt > start else {
                throw NotMeasured("it neither said that it listens nor became idle")
            }
            return Figure(value: Double(halt - start), detail: "until the first `hlt`")
        }
    }

    /// Milliseconds from QEMU's start to the first octet, over those of the floor image; both in
    /// turn, medians.
    func startOverFloor() throws(NotMeasured) -> Figure {
        let images = [
            try hello.get().configuration(), MachineConfiguration(kernel: try floor.get()),
        ]
        var times: [[Double]] = [[], []]
        for _ in 0..<(quick ? 7 : 21) {
            for (index, image) in images.enumerated() {
                var configuration = image
                configuration.memory = images[0].memory
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

    /// One start under the plugin, until the machine ends, `until` holds or two seconds are over.
    private func countedStart(
        _ image: SwiftletImage, _ configuration: MachineConfiguration,
        until: ([UInt8]) -> Bool
    ) throws(NotMeasured) -> (InstructionCounts, CountedConsole) {
        var configuration = configuration
        let counting = MachineConfiguration.Counting(
            plugin: try plugin.get(), file: work.appending(path: "start.counts"),
            marks: [image.entry], logging: true)
        configuration.counting = counting
        let machine = try VirtualMachine(configuration)
        let ended = machine.readConsole(limit: .seconds(5), until: until)
        // What follows the line that was waited for, such as becoming idle.
        if !ended { _ = machine.readConsole(limit: .milliseconds(300)) }
        machine.stop()
        let counts = try InstructionCounts(readingFrom: counting.file)
        let log = (try? String(contentsOf: counting.log, encoding: .utf8)) ?? ""
        return (counts, CountedConsole(parsing: log, from: (counts.marks.first ?? nil) ?? 0))
    }

    private func median(_ run: () throws(NotMeasured) -> Figure) throws(NotMeasured) -> Figure {
        var figures: [Figure] = []
        for _ in 0..<(quick ? 1 : 3) { figures.append(try run()) }
        return figures.sorted { $0.value < $1.value }[figures.count / 2]
    }
}
