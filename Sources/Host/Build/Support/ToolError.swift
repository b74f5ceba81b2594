// The one kind of error that reaches the user: what is wrong, and the next step.

/// An error of the tool, in words for the user.
public struct ToolError: Error, Equatable, CustomStringConvertible {
    /// What went wrong, naming the file or flag, without a full stop.
    public var message: String
    /// What to do about it; nil where the message says it all.
    public var hint: String?
    /// The process's exit code.
    public var exitCode: Int32

    public init(_ message: String, hint: String? = nil, exitCode: Int32 = ExitCode.failure) {
        self.message = message
        self.hint = hint
        self.exitCode = exitCode
    }

    public var description: String {
        "error: \(message)" + (hint.map { "\n  \($0)" } ?? "")
    }
}

/// The tool's own exit codes; a guest that ran returns its own.
public enum ExitCode {
    /// A package does not build, a file is no image.
    public static let failure: Int32 = 1
    /// The command line is wrong (EX_USAGE of sysexits.h).
    public static let usage: Int32 = 64
    /// The machine could not be started, as with docker.
    public static let monitor: Int32 = 125
    /// The monitor's program cannot be run.
    public static let cannotRun: Int32 = 126
    /// The monitor's program is not installed.
    public static let notFound: Int32 = 127
    /// Added to a signal's number when it stopped the machine.
    public static let signal: Int32 = 128
}
