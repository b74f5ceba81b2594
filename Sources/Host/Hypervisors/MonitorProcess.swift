// A monitor's process: started, its console passed on, stopped when the machine is to stop.

import Subprocess
import SwiftletBuild
import SystemPackage

/// Runs the program that runs a machine.
enum MonitorProcess {
    /// Runs `command`, a program and its arguments, to its end. `console` gets its standard output as
    /// it comes. Cancelling the task stops it.
    ///
    /// - Returns: how it ended, and what it wrote to standard error.
    static func run(
        _ command: [String],
        console: @escaping @Sendable (ArraySlice<UInt8>) async -> Void
    ) async throws(ToolError) -> (status: TerminationStatus, errors: String) {
        var options = PlatformOptions()
        // A process group of its own: Ctrl-C reaches the tool, and the tool stops the monitor.
        options.processGroupID = 0
        options.teardownSequence = [
            .send(signal: .terminate, allowedDurationToNextStep: .seconds(2))
        ]
        do {
            let result = try await Subprocess.run(
                ProcessRunner.executable(command[0]),
                arguments: Arguments(Array(command.dropFirst())), platformOptions: options,
                input: .none, output: .sequence,
                error: .string(limit: 1 << 20)
            ) { execution in
                for try await buffer in execution.standardOutput {
                    await console(buffer.withUnsafeBytes { Array($0) }[...])
                }
            }
            return (result.terminationStatus, result.standardError)
        } catch {
            if Task.isCancelled { return (.signaled(15), "") }
            throw ToolError(
                "cannot run '\(command[0])': \(error)", exitCode: ExitCode.cannotRun)
        }
    }

    /// Passes on to the user those lines of standard error that `isWanted` takes.
    static func show(_ errors: String, where isWanted: (Substring) -> Bool) {
        for line in errors.split(separator: "\n") where isWanted(line) {
            _ = try? FileDescriptor.standardError.writeAll(Array((line + "\n").utf8))
        }
    }
}
