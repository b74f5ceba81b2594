// `make bench`: measures Swiftlet images beside real peers in one run and prints the budgets.
// How each number is taken: Benchmarks/README.md.

import ArgumentParser
import Foundation

@main
struct SwiftletBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "SwiftletBench",
        abstract: "Measures Swiftlet images beside real peers, in one run.")

    @Flag(help: "Fewer and shorter runs.")
    var quick = false

    @Flag(help: "Only profile: where the instructions of a start and of a request go.")
    var profile = false

    /// What a run is made of.
    enum Part: String, CaseIterable, ExpressibleByArgument {
        case budgets, starts, native, transfers, connections, servers
    }

    @Option(
        help:
            "Only this part, and nothing is written: \(Part.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var only: Part?

    @Flag(help: "Measures nothing: draws docs/benchmarks.svg of the newest results.")
    var chart = false

    @Option(help: "A hello image to measure, instead of building Examples/Hello.")
    var hello: String?

    @Option(help: "An HTTP server image to measure, instead of building Examples/HelloHTTP.")
    var server: String?

    @Option(help: "The repository.")
    var root = "."

    @Option(help: "Where latest.json and latest.txt go; default: Benchmarks/results.")
    var output: String?

    func run() throws {
        let handlers = Cleanup.installSignalHandlers()
        let root = URL(filePath: root).standardizedFileURL
        if chart { return try Chart.write(root: root) }
        try Scratch.make()
        defer { withExtendedLifetime(handlers) { Cleanup.run() } }

        let started = ContinuousClock.now
        func progress(_ text: String) {
            let seconds = String(format: "%4.0f s", (ContinuousClock.now - started) / .seconds(1))
            FileHandle.standardError.write(Data("\(seconds)  \(text)\n".utf8))
        }
        let bench = Bench(
            root: root, quick: quick, hello: hello.map { URL(filePath: $0) },
            server: server.map { URL(filePath: $0) }, work: Scratch.folder,
            withLinux: only != .starts && only != .budgets,
            progress: progress)
        if profile {
            print(bench.profiles(progress: progress), terminator: "")
            return
        }
        var report = Report(
            date: Date.now.formatted(.iso8601), quick: quick, machine: Host.description(of: bench))
        report.measure(bench, only: only, progress: progress)
        print(report.text, terminator: "")
        if only != nil { return }
        let folder = output.map { URL(filePath: $0) } ?? root.appending(path: "Benchmarks/results")
        try report.write(to: folder)
        if output == nil { try Chart.write(root: root) }
        progress("written to \(folder.path)")
    }
}

extension Report {
    /// Takes every figure. The budgets are DESIGN's: the target, not a limit that a test asserts.
    mutating func measure(
        _ bench: Bench, only part: SwiftletBench.Part?, progress: (String) -> Void
    ) {
        func wants(_ other: SwiftletBench.Part) -> Bool { part == nil || part == other }
        if wants(.budgets) { measureBudgets(bench, progress: progress) }
        if wants(.starts) { measureStarts(bench, progress: progress) }
        if wants(.native) { native = bench.measureNative(progress: progress) }
        if wants(.transfers) { transfers = bench.measureTransfers(progress: progress) }
        if wants(.connections) { connections = bench.measureConnections(progress: progress) }
        if wants(.servers) { measureServers(bench, progress: progress) }
    }

    private mutating func measureServers(_ bench: Bench, progress: (String) -> Void) {
        servers = bench.measureServers(progress: progress)
        for (connections, budget) in [(1, 3_000.0), (64, 2_500.0)] {
            let result = servers.first {
                $0.server == Bench.swiftletName && $0.connections == connections
            }
            add(
                "HTTP request, keep-alive, \(connections) conn.", unit: "instructions",
                budget: budget
            ) { () throws(NotMeasured) in
                guard let value = result?.instructionsPerRequest else {
                    throw NotMeasured(result?.notMeasured ?? "no result")
                }
                return Bench.Figure(value: value, detail: "difference of two runs")
            }
        }
    }

    private mutating func measureBudgets(_ bench: Bench, progress: (String) -> Void) {
        add("image, hello", unit: "KB", budget: 48) { () throws(NotMeasured) in
            Bench.Figure(value: Double(try bench.hello.get().size) / 1000, detail: "")
        }
        add("image, HTTP server", unit: "KB", budget: 192) { () throws(NotMeasured) in
            Bench.Figure(value: Double(try bench.server.get().size) / 1000, detail: "")
        }
        progress("instructions from the start")
        add(
            "ELF entry → first octet of output, hello", unit: "instructions", budget: 20_000,
            bench.instructionsToFirstOutput)
        add(
            "ELF entry → listening HTTP server", unit: "instructions", budget: 100_000,
            bench.instructionsToListening)
        progress("least memory")
        add("memory to run hello", unit: "KiB", budget: 512, bench.leastMemoryOfHello)
        add("memory to run the HTTP server", unit: "KiB", budget: 2048, bench.leastMemoryOfServer)
        progress("time from QEMU's start")
        add(
            "QEMU start → first output, over its floor", unit: "ms", budget: 5,
            bench.startOverFloor)
    }

    /// The figures of the built-in monitor's starts, and of many instances.
    private mutating func measureStarts(_ bench: Bench, progress: (String) -> Void) {
        progress("time from the built-in monitor's start")
        add(
            "built-in monitor's start → first HTTP answer", unit: "ms", budget: 10,
            bench.startToFirstAnswer)
        add(
            "the same on a published port, without root", unit: "ms", budget: 10,
            bench.startToPublishedAnswer)
        startParts = bench.partsOfStart()
        progress("many instances")
        add(
            "memory of one of 200 servers, all processes", unit: "KiB", budget: 2048,
            bench.memoryOfInstance)
    }
}
