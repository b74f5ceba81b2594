// `swiftlet logs`: what an instance has printed.

import ArgumentParser
import FoundationEssentials
import Glibc
import SwiftletBuild
import SwiftletInstances
import SystemPackage

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Shows the console of an instance.")

    @Argument(help: "The instance's name.", completion: .instances)
    var name: String

    @Flag(name: .shortAndLong, help: "Go on until the instance ends.")
    var follow = false

    @Option(
        help: ArgumentHelp(
            "Only lines since then: a time like 2026-01-31T12:00:00Z, or how long ago (10m).",
            valueName: "time"))
    var since: String?

    @Flag(name: .shortAndLong, help: "Show the time of each line.")
    var timestamps = false

    func run() async throws {
        let since = try start()
        let instance = try InstanceStore.standard().find(name)
        let end = instance.end()
        let image = instance.folder.image(of: instance.configuration)
        let debug = FilePath(image.string + ".debug")
        let filter = ConsoleFilter(symboliser: Symboliser(debug: debug))
        var reader = ConsoleLogReader(
            instance.folder.log, since: since, showsTimes: timestamps)
        while true {
            // In this order: what was written before the end is read after it is known.
            let isOver = !follow || end?.hasCome ?? true
            while let octets = reader.next() { Terminal.write(await filter.pass(octets[...])) }
            if isOver { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        Terminal.write(await filter.finish())
    }

    private func start() throws(ToolError) -> Double {
        guard let since else { return 0 }
        if let ago = Deadline.seconds(since) { return Date().timeIntervalSince1970 - ago }
        if let date = try? Date(since, strategy: .iso8601) { return date.timeIntervalSince1970 }
        throw ToolError(
            "--since \(since): that is no time",
            hint: "Write for example --since 10m or --since 2026-01-31T12:00:00Z.",
            exitCode: SwiftletBuild.ExitCode.usage)
    }
}
