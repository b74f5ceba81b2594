// The guest's console is this process's standard output.

import Glibc

/// Writes whole runs of octets; a slow reader slows the guest, and nothing piles up here.
enum Console {
    static func write(_ octets: UnsafeRawBufferPointer, to file: Int32 = STDOUT_FILENO) {
        var done = 0
        while done < octets.count {
            let count = Glibc.write(
                file, octets.baseAddress! + done, octets.count - done)
            if count > 0 {
                done += count
            } else if errno == EAGAIN {
                var wanted = pollfd(fd: file, events: Int16(POLLOUT), revents: 0)
                poll(&wanted, 1, -1)
            } else if errno != EINTR {
                return
            }
        }
    }

    static func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// A line on standard error: what the monitor itself has to say.
    static func complain(_ text: String) {
        var line = "swiftlet-monitor: \(text)\n"
        line.withUTF8 { _ = Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
