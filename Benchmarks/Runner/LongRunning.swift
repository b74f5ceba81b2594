// A program that runs beside the measurement, started without Foundation: that takes a process whose
// descriptors are all closed, as a confined monitor's are, for one that has ended, and waits for it.

import Foundation

/// One such program; its output goes nowhere.
struct LongRunning {
    let identifier: pid_t

    /// - Parameter arguments: the program, looked up as a shell would, and its arguments.
    init(_ arguments: [String]) throws(NotMeasured) {
        let program = try Command.path(of: arguments[0]).path
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for file in 0...2 as ClosedRange<Int32> {
            posix_spawn_file_actions_addopen(&actions, file, "/dev/null", O_RDWR, 0)
        }
        var words = arguments.map { strdup($0) }
        defer { for word in words { free(word) } }
        words.append(nil)
        var identifier: pid_t = 0
        let error = posix_spawn(&identifier, program, &actions, nil, words, environ)
        guard error == 0 else {
            throw NotMeasured("\(arguments[0]): \(String(cString: strerror(error)))")
        }
        self.identifier = identifier
    }

    /// Whether it has not ended. To be asked before `stop` only.
    var isRunning: Bool {
        var information = siginfo_t()
        let options = WEXITED | WNOHANG | WNOWAIT
        return waitid(P_PID, id_t(identifier), &information, options) == 0
            && information.si_signo == 0
    }

    func stop() {
        kill(identifier, SIGKILL)
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
    }
}
