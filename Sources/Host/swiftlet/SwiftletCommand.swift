// The command line: `swiftlet VERB`, one file a verb.

import ArgumentParser
import Glibc
import SwiftletBuild
import SwiftletInstances
import SystemPackage

@main
struct SwiftletCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swiftlet",
        abstract: "Turns one Swift application into one bootable image, and runs it.",
        version: "swiftlet \(version)",
        subcommands: [
            NewCommand.self, BuildCommand.self, RunCommand.self, InspectCommand.self,
            ProcessesCommand.self, LogsCommand.self, StatsCommand.self, StopCommand.self,
            KillCommand.self, RestartCommand.self, PauseCommand.self, ResumeCommand.self,
            WaitCommand.self, RemoveCommand.self, CompletionsCommand.self,
        ])

    /// Of this release (CHANGELOG.md).
    static let version = "0.1.0"

    /// The verb with its options. `run` is to be quick; whatever is wrong with a line is told by the
    /// argument parser.
    private static func parse() throws -> any ParsableCommand {
        let words = CommandLine.arguments.dropFirst()
        if words.first == RunCommand.configuration.commandName,
            let run = RunCommand(plainWords: Array(words.dropFirst()))
        {
            return run
        }
        return try parseAsRoot()
    }

    /// Runs the verb that was asked for; the one place where errors are printed.
    static func main() async {
        // Not worth an argument parser's time, and not for people.
        let words = CommandLine.arguments
        if words.count == 3, words[1] == SupervisorProcess.verb {
            Glibc.exit(SupervisorProcess.main(folder: FilePath(words[2])))
        }
        do {
            var command = try parse()
            if let run = command as? RunCommand, run.detach, case .file(let contents) = run.given()
            {
                try run.runImmediately(contents)
            } else if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as ToolError {
            Terminal.note(error.description)
            Glibc.exit(error.exitCode)
        } catch {
            exit(withError: error)
        }
    }
}
