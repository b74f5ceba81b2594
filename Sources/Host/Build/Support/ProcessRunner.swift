// Runs another program to its end: the one place where the builder starts processes.

import Subprocess
import SystemPackage

/// What a program said and how it ended.
public struct ProcessOutcome: Sendable {
    /// The exit code; 128 and the signal's number if a signal ended it.
    public var exitCode: Int32
    public var output: String
    public var errorOutput: String

    public var succeeded: Bool { exitCode == 0 }
}

/// Starts programs and waits for them.
public enum ProcessRunner {
    /// The most output of one program that is kept, in octets.
    static let outputLimit = 64 << 20

    /// Runs `program`, a name to be found in PATH or a path, and collects what it prints.
    public static func collect(
        _ program: String, _ arguments: [String], in folder: FilePath? = nil,
        environment: [String: String] = [:], input: String = ""
    ) async throws(ToolError) -> ProcessOutcome {
        do {
            let result = try await Subprocess.run(
                executable(program), arguments: Arguments(arguments),
                environment: self.environment(environment), workingDirectory: folder,
                input: .string(input), output: .string(limit: outputLimit),
                error: .string(limit: outputLimit))
            return ProcessOutcome(
                exitCode: exitCode(result.terminationStatus), output: result.standardOutput,
                errorOutput: result.standardError)
        } catch {
            throw cannotRun(program, error)
        }
    }

    /// Runs `program` with its output and errors on our standard error.
    public static func passThrough(
        _ program: String, _ arguments: [String], in folder: FilePath? = nil,
        environment: [String: String] = [:]
    ) async throws(ToolError) -> Int32 {
        do {
            let result = try await Subprocess.run(
                executable(program), arguments: Arguments(arguments),
                environment: self.environment(environment), workingDirectory: folder,
                output: .currentStandardError, error: .currentStandardError)
            return exitCode(result.terminationStatus)
        } catch {
            throw cannotRun(program, error)
        }
    }

    /// Where `program` lies in PATH; nil if it is not installed.
    public static func find(_ program: String) async -> FilePath? {
        try? await executable(program).resolveExecutablePath(in: .inherit)
    }

    /// A program by name or by path.
    public static func executable(_ program: String) -> Executable {
        program.contains("/") ? .path(FilePath(program)) : .name(program)
    }

    /// The exit code as a shell counts it.
    public static func exitCode(_ status: TerminationStatus) -> Int32 {
        switch status {
        case .exited(let code): code
        case .signaled(let signal): ExitCode.signal + signal
        }
    }

    private static func environment(_ changes: [String: String]) -> Environment {
        var values: [Environment.Key: String?] = [:]
        for (name, value) in changes {
            if let key = Environment.Key(rawValue: name) { values[key] = value }
        }
        return .inherit.updating(values)
    }

    private static func cannotRun(_ program: String, _ error: any Error) -> ToolError {
        ToolError(
            "cannot run '\(program)': \(error)", hint: "Is it installed and in PATH?",
            exitCode: ExitCode.notFound)
    }
}
