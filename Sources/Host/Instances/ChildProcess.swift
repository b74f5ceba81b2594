// Processes that instances consist of, started and watched by descriptors.

import CSwiftletProcess
import Glibc
import SwiftletBuild
import SystemPackage

/// A process that was started here.
struct ChildProcess {
    var identifier: Int32
    /// Readable once the process has ended.
    var ended: FileDescriptor

    struct Options: OptionSet {
        var rawValue: UInt32
        static let ownSession = Options(rawValue: SWIFTLET_SPAWN_SESSION.rawValue)
        static let ownGroup = Options(rawValue: SWIFTLET_SPAWN_GROUP.rawValue)
        static let diesWithParent = Options(rawValue: SWIFTLET_SPAWN_DIES_WITH_PARENT.rawValue)
    }

    /// Starts `program`. Its descriptors are `descriptors` from 0 on, nil meaning /dev/null, and
    /// none besides.
    static func start(
        _ program: String, _ arguments: [String], descriptors: [FileDescriptor?],
        options: Options, installation: String? = nil
    ) throws(ToolError) -> ChildProcess {
        guard let path = FileSystem.findProgram(program)?.string else {
            throw ToolError(
                "'\(program)' is not installed", hint: installation, exitCode: ExitCode.notFound)
        }
        var vector = ([program] + arguments).map { strdup($0) }
        defer { for word in vector { free(word) } }
        vector.append(nil)
        let numbers = descriptors.map { $0?.rawValue ?? -1 }
        let result = swiftlet_spawn(
            path, vector, numbers, Int32(numbers.count), Int32(options.rawValue))
        guard result.error == 0 else {
            throw ToolError(
                "cannot run '\(program)': \(Errno(rawValue: result.error).description)",
                exitCode: ExitCode.cannotRun)
        }
        return ChildProcess(
            identifier: result.pid, ended: FileDescriptor(rawValue: result.descriptor))
    }

    /// Collects the process, which must have ended.
    func collect() -> End {
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        try? ended.close()
        // Layout of a wait status: the signal in seven bits, the code above (wait(2)).
        let signal = status & 0x7F
        return signal == 0 ? .exited(status >> 8 & 0xFF) : .signalled(signal)
    }

    enum End: Equatable {
        case exited(Int32)
        case signalled(Int32)
    }

    func send(_ signal: Int32) { kill(identifier, signal) }
}

/// The two ends of a pipe.
struct Pipe {
    var reading: FileDescriptor
    var writing: FileDescriptor

    init() throws(ToolError) {
        do {
            let ends = try FileDescriptor.pipe()
            (reading, writing) = (ends.readEnd, ends.writeEnd)
        } catch {
            throw ToolError("cannot make a pipe: \(error)")
        }
        for end in [reading, writing] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
    }
}

extension FileDescriptor {
    /// Reads and writes return at once from now on.
    func makeNonblocking() {
        _ = fcntl(rawValue, F_SETFL, fcntl(rawValue, F_GETFL) | O_NONBLOCK)
    }
}
