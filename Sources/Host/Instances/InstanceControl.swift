// Commands to a supervisor, and waiting for its end.

import Glibc
import SwiftletBuild
import SystemPackage

/// What a supervisor is told through its FIFO: one line each.
public enum InstanceCommand: Equatable, Sendable {
    /// Ask the application to finish, and kill the machine if it has not within so many seconds.
    case stop(seconds: Double)
    case kill
    /// As `stop`, and then start again.
    case restart(seconds: Double)
    case pause
    case resume

    var line: String {
        switch self {
        case .stop(let seconds): "stop \(seconds)"
        case .kill: "kill"
        case .restart(let seconds): "restart \(seconds)"
        case .pause: "pause"
        case .resume: "resume"
        }
    }

    /// Within bounds; nil if it is no number.
    private static func patience(_ seconds: Double) -> Double? {
        seconds.isNaN ? nil : min(max(seconds, 0), 1e6)
    }

    /// Nil if the line is none of ours.
    init?(line: some StringProtocol) {
        let words = line.split(separator: " ")
        let seconds = words.count == 2 ? Double(words[1]).flatMap(Self.patience) : nil
        switch (words.first ?? "", words.count, seconds) {
        case ("stop", 2, let seconds?): self = .stop(seconds: seconds)
        case ("restart", 2, let seconds?): self = .restart(seconds: seconds)
        case ("kill", 1, _): self = .kill
        case ("pause", 1, _): self = .pause
        case ("resume", 1, _): self = .resume
        default: return nil
        }
    }
}

extension Instance {
    /// Tells the supervisor. False if there is none any more.
    @discardableResult
    public func tell(_ command: InstanceCommand) -> Bool {
        // Without a reader the open fails; a line is shorter than PIPE_BUF, so it stays whole.
        guard
            let control = try? FileDescriptor.open(
                folder.control, .writeOnly, options: [.nonBlocking, .closeOnExec])
        else { return false }
        defer { try? control.close() }
        return Self.write(command, to: control)
    }

    /// False if the reader has gone since `control` was opened, which must not end this process, too
    /// (SIGPIPE, pipe(7)).
    private static func write(_ command: InstanceCommand, to control: FileDescriptor) -> Bool {
        var brokenPipe = sigset_t()
        var before = sigset_t()
        sigemptyset(&brokenPipe)
        sigaddset(&brokenPipe, SIGPIPE)
        // Of this thread alone; one that has come is taken before it could be delivered.
        pthread_sigmask(SIG_BLOCK, &brokenPipe, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        if (try? control.writeAll(Array((command.line + "\n").utf8))) != nil { return true }
        var atOnce = timespec()
        sigtimedwait(&brokenPipe, nil, &atOnce)
        return false
    }

    /// What ends when the instance does. To be opened before the instance is told to stop, as one
    /// that removes itself leaves nothing to be opened.
    public func end() -> InstanceEnd? {
        guard let file = try? FileDescriptor.open(folder.lock, .readOnly, options: .closeOnExec)
        else { return nil }
        return InstanceEnd(file)
    }
}

/// The end of an instance, to be waited for.
public final class InstanceEnd: Sendable {
    private let file: FileDescriptor

    init(_ file: FileDescriptor) {
        self.file = file
    }

    deinit { try? file.close() }

    /// Waits until no supervisor lives.
    ///
    /// - Returns: the instance's exit code; nil if its supervisor died without a word.
    public func wait() -> Int32? {
        while flock(file.rawValue, LOCK_SH) != 0, errno == EINTR {}
        flock(file.rawValue, LOCK_UN)
        var octets = [UInt8](repeating: 0, count: 16)
        let count =
            (try? octets.withUnsafeMutableBytes {
                try file.read(fromAbsoluteOffset: 0, into: $0)
            }) ?? 0
        return Int32(String(decoding: octets[..<count].prefix { $0 != 0x0A }, as: UTF8.self))
    }

    /// Whether it has come.
    public var hasCome: Bool {
        guard flock(file.rawValue, LOCK_SH | LOCK_NB) == 0 else { return false }
        flock(file.rawValue, LOCK_UN)
        return true
    }
}
