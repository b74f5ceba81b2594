// SIGINT, SIGTERM and SIGHUP as octets in a pipe, for the supervisor's poll(2).

import Glibc
import Synchronization
import SystemPackage

/// The signals that ask for an end. One supervisor at a time uses them.
enum SupervisorSignals {
    private static let reading = Atomic<Int32>(-1)
    private static let writing = Atomic<Int32>(-1)
    private static let numbers = [SIGINT, SIGTERM, SIGHUP]

    /// Readable when a signal has come; -1 where none are caught.
    static var descriptor: Int32 { reading.load(ordering: .relaxed) }

    static func install() {
        signal(SIGPIPE, SIG_IGN)
        guard descriptor < 0, let pipe = try? Pipe() else { return }
        pipe.reading.makeNonblocking()
        pipe.writing.makeNonblocking()
        reading.store(pipe.reading.rawValue, ordering: .relaxed)
        writing.store(pipe.writing.rawValue, ordering: .relaxed)
        for number in numbers {
            // A handler may only use what is async-signal-safe: write(2) is.
            signal(number) { number in
                let saved = errno
                var octet = UInt8(truncatingIfNeeded: number)
                write(SupervisorSignals.writing.load(ordering: .relaxed), &octet, 1)
                errno = saved
            }
        }
    }

    static func remove() {
        for number in numbers { signal(number, SIG_DFL) }
    }

    /// The signals that have come.
    static func take() -> [Int32] {
        var octets = [UInt8](repeating: 0, count: 16)
        let count = read(descriptor, &octets, octets.count)
        return count > 0 ? octets[..<count].map { Int32($0) } : []
    }
}
