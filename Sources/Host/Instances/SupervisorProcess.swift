// The supervisor as a process of its own: how `run -d` starts it, and what it does when started.

import CSwiftletProcess
import Glibc
import SwiftletBuild
import SystemPackage

/// The process that an instance in the background consists of, besides its machine.
public enum SupervisorProcess {
    /// The hidden verb of the command line that becomes a supervisor.
    public static let verb = "__supervise"
    /// Descriptors that it inherits.
    private static let lock = FileDescriptor(rawValue: 3)
    private static let word = FileDescriptor(rawValue: 4)
    private static let success = "started\n"

    /// Starts the supervisor of `claim`, and returns once its machine runs.
    ///
    /// - Parameter machine: what the first start starts, if it is known already.
    public static func start(
        _ claim: ClaimedInstance, _ machine: Supervisor.Machine? = nil
    ) throws(ToolError) {
        let word = try Pipe()
        defer { try? word.reading.close() }
        do throws(ToolError) {
            if isAlone {
                try fork(claim, machine, word)
            } else {
                // This very program, even if another lies at its path by now.
                _ = try ChildProcess.start(
                    "/proc/self/exe", [verb, claim.folder.path.string],
                    descriptors: [nil, nil, nil, claim.lock.descriptor, word.writing],
                    options: .ownSession)
            }
            try? word.writing.close()
        } catch {
            try? word.writing.close()
            throw error
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while let count = try? buffer.withUnsafeMutableBytes({ try word.reading.read(into: $0) }),
            count > 0
        {
            answer += buffer[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard text != success else { return }
        let lines = text.split(separator: "\n", maxSplits: 2, omittingEmptySubsequences: false)
        guard lines.count == 3, let code = Int32(lines[0]) else {
            throw ToolError(
                "the supervisor of '\(claim.configuration.name)' died", exitCode: ExitCode.monitor)
        }
        throw ToolError(
            String(lines[1]), hint: lines[2].isEmpty ? nil : String(lines[2]), exitCode: code)
    }

    /// Whether this process has one thread, and so may fork without exec.
    private static var isAlone: Bool {
        (try? FileSystem.names(in: "/proc/self/task"))?.count == 1
    }

    /// The supervisor as a copy of this process: to become the program anew takes longer than all
    /// else that is done here.
    private static func fork(
        _ claim: ClaimedInstance, _ machine: Supervisor.Machine?, _ word: Pipe
    ) throws(ToolError) {
        let kept = [claim.lock.descriptor.rawValue, word.writing.rawValue].sorted()
        let process = swiftlet_fork_session(kept, Int32(kept.count))
        guard process >= 0 else {
            throw ToolError(
                "cannot start a supervisor: \(Errno(rawValue: errno).description)",
                exitCode: ExitCode.cannotRun)
        }
        guard process == 0 else { return }
        chdir("/")
        var first = machine
        let code = supervise(claim, word.writing) { (claim) throws(ToolError) in
            if let machine = first {
                first = nil
                return machine
            }
            return try Supervisor.machine(claim)
        }
        _exit(code)
    }

    /// What the hidden verb does; `folder` is the instance's.
    public static func main(folder: FilePath) -> Int32 {
        chdir("/")
        for descriptor in [lock, word] where fcntl(descriptor.rawValue, F_GETFD) < 0 {
            // Somebody typed the verb.
            return ExitCode.usage
        }
        _ = fcntl(word.rawValue, F_SETFD, FD_CLOEXEC)
        let claim: ClaimedInstance
        do throws(ToolError) {
            claim = try ClaimedInstance(folder: folder, lock: FileLock(inherited: lock))
        } catch {
            answer(word, error)
            return error.exitCode
        }
        return supervise(claim, word) { (claim) throws(ToolError) in
            try Supervisor.machine(claim)
        }
    }

    private static func supervise(
        _ claim: ClaimedInstance, _ word: FileDescriptor,
        _ prepare: @escaping (ClaimedInstance) throws(ToolError) -> Supervisor.Machine
    ) -> Int32 {
        do throws(ToolError) {
            return try Supervisor(claim, prepare: prepare).run { answer(word, success) }.code
        } catch {
            answer(word, error)
            return error.exitCode
        }
    }

    private static func answer(_ word: FileDescriptor, _ error: ToolError) {
        answer(word, "\(error.exitCode)\n\(error.message)\n\(error.hint ?? "")")
    }

    private static func answer(_ word: FileDescriptor, _ text: String) {
        _ = try? word.writeAll(Array(text.utf8))
        try? word.close()
    }
}
