// The monitor's process under its supervisor: pipes, the console, the way it ended.

import Glibc
import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage

/// A machine that runs.
final class SupervisedMachine {
    let process: ChildProcess
    let began = ContinuousClock.now
    /// The signal to the supervisor that wanted it stopped.
    var stoppedBy: Int32?

    private let machine: Supervisor.Machine
    /// Takes the host's word (`ConsoleControl`).
    private let word: FileDescriptor
    /// Takes pieces of the guest's standard input; nil if it has none.
    let input: FileDescriptor?
    private let console: FileDescriptor
    private let complaints: FileDescriptor
    private var consoleIsOpen = true
    private var complaintsAreOpen = true
    /// The newest octets of what the monitor complained of.
    private var complaint: [UInt8] = []
    private var killedBecause: String?

    private static let longestComplaint = 4096
    /// Octets taken at once, so that commands get their turn with a guest that floods.
    private static let burst = 256 << 10

    init(_ machine: Supervisor.Machine) throws(ToolError) {
        self.machine = machine
        // Whatever fails, nothing stays open: it is tried again, and again.
        var ours: [FileDescriptor] = []
        var theirs: [FileDescriptor] = []
        defer { for end in theirs { try? end.close() } }
        do throws(ToolError) {
            let word = try Pipe()
            ours.append(word.writing)
            theirs.append(word.reading)
            for _ in 0..<2 {
                let said = try Pipe()
                ours.append(said.reading)
                theirs.append(said.writing)
            }
            if machine.command.hasInput {
                let input = try InputSocket()
                ours.append(input.ours)
                theirs.append(input.theirs)
            }
            process = try ChildProcess.start(
                machine.command.program, machine.command.arguments, descriptors: theirs,
                options: [.ownGroup, .diesWithParent],
                installation: machine.command.installation)
        } catch {
            for end in ours { try? end.close() }
            throw error
        }
        (word, console, complaints) = (ours[0], ours[1], ours[2])
        input = ours.count > 3 ? ours[3] : nil
        for end in ours { end.makeNonblocking() }
    }

    // MARK: What it says

    func polled(hasRoom: Bool) -> [pollfd] {
        var polled = [pollfd(fd: process.ended.rawValue, events: Int16(POLLIN), revents: 0)]
        if consoleIsOpen, hasRoom {
            polled.append(pollfd(fd: console.rawValue, events: Int16(POLLIN), revents: 0))
        }
        if complaintsAreOpen {
            polled.append(pollfd(fd: complaints.rawValue, events: Int16(POLLIN), revents: 0))
        }
        return polled
    }

    var hasEnded: Bool {
        var ended = pollfd(fd: process.ended.rawValue, events: Int16(POLLIN), revents: 0)
        return poll(&ended, 1, 0) > 0
    }

    func readConsole(_ body: (ArraySlice<UInt8>) -> Void) {
        consoleIsOpen = Self.read(console, consoleIsOpen, limit: Self.burst, body)
    }

    func readComplaints() {
        complaintsAreOpen = Self.read(complaints, complaintsAreOpen, limit: Self.burst) {
            complaint = Array((complaint + $0).suffix(Self.longestComplaint))
        }
    }

    /// What is left in the pipes after the end. Bounded: somebody else may hold the other ends.
    func drain(_ body: (ArraySlice<UInt8>) -> Void) {
        readConsole(body)
        readComplaints()
    }

    /// False once the other end is closed.
    private static func read(
        _ file: FileDescriptor, _ isOpen: Bool, limit: Int, _ body: (ArraySlice<UInt8>) -> Void
    ) -> Bool {
        guard isOpen else { return false }
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        var total = 0
        while total < limit {
            do {
                let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
                if count == 0 { return false }
                body(buffer[..<count])
                total += count
            } catch {
                return true
            }
        }
        return true
    }

    // MARK: How it ends

    /// Asks the guest to finish; a guest that does not listen is stopped at once.
    func ask() {
        if machine.listensForStop {
            _ = try? word.writeAll([ConsoleControl.stop])
        } else {
            process.send(SIGTERM)
            killedBecause = "stopped; its image does not listen to requests to stop"
        }
    }

    func kill(because reason: String) {
        killedBecause = reason
        process.send(SIGKILL)
    }

    /// What the monitor complained of, but that it was stopped: somebody asked for that.
    var complaintLines: [String] {
        String(decoding: complaint, as: UTF8.self).split(separator: "\n").map(String.init)
            .filter { !$0.contains(": terminating on signal ") }
    }

    /// The exit code, and in words what there is to say. The process must have ended.
    func end() -> (code: Int32, reason: String?) {
        let end = process.collect()
        for file in [word, console, complaints] { try? file.close() }
        try? input?.close()
        if let file = machine.command.exitFile {
            if let code = (try? FileSystem.read(file))?.last { return (Int32(code), nil) }
        } else if case .exited(let code) = end, killedBecause == nil {
            // What the monitor itself has to say of its end, if that was not the guest's.
            return (code, code == ExitCode.monitor ? complaintLines.last : nil)
        }
        let name = FilePath(machine.command.program).lastComponent?.string ?? "the monitor"
        if let killedBecause {
            let signal = stoppedBy ?? (killedBecause.hasPrefix("killed") ? SIGKILL : SIGTERM)
            return (ExitCode.signal + signal, killedBecause)
        }
        switch end {
        case .signalled(let signal):
            return (ExitCode.signal + signal, "\(name) was killed by signal \(signal)")
        case .exited(0):
            return (ExitCode.died, "the machine ended without an exit code")
        case .exited(let code):
            let words =
                String(decoding: complaint, as: UTF8.self)
                .split(separator: "\n").last.map { ": \($0)" } ?? ""
            return (ExitCode.monitor, "\(name) ended with \(code)\(words)")
        }
    }
}
