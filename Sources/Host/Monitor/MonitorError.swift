// Why a machine cannot be started or run on, and what each kind of end is as an exit code.

import Glibc

/// An error, said in a line on standard error.
struct MonitorError: Error, Equatable {
    var message: String

    init(_ message: String) {
        self.message = message
    }

    /// Of a system call that has just failed.
    static func system(_ what: String) -> MonitorError {
        MonitorError("\(what): \(String(cString: strerror(errno)))")
    }
}

/// Exit codes of this program that are not the guest's.
enum MonitorExitCode {
    /// The command line is wrong (sysexits.h: EX_USAGE).
    static let usage: Int32 = 64
    /// The machine could not be started, or KVM gave up on it.
    static let failed: Int32 = 125
}

/// What shells expect of a program ended by SIGSEGV (128 + 11), SIGILL, SIGFPE, SIGABRT.
enum FaultExitCode {
    static let segmentationFault: UInt8 = 139
    static let illegalInstruction: UInt8 = 132
    static let arithmetic: UInt8 = 136
    static let abort: UInt8 = 134
}
