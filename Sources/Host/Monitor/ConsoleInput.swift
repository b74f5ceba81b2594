// What the host says to the guest: octets with a meaning on this process's standard input.

import CSwiftletKVM
import Glibc
import SwiftletBootProtocol

/// The console's input, which a guest hears of when it waits for its devices.
struct ConsoleInput {
    /// Between two looks while the guest does not wait, in nanoseconds.
    private static let interval: UInt64 = 50_000_000

    /// Whether the guest wants to hear; until then nothing is read, and nothing is lost.
    var isWanted = false
    /// False after its end, or an error.
    private var isOpen = true
    private var lastLook: UInt64 = 0

    /// To be polled; -1 if there is nothing to come.
    var file: Int32 { isWanted && isOpen ? STDIN_FILENO : -1 }

    /// For a guest that never waits: looks now and then.
    ///
    /// - Returns: whether the application is asked to finish.
    mutating func look() -> Bool {
        guard file >= 0 else { return false }
        let now = swiftlet_coarse_time()
        guard now &- lastLook >= Self.interval else { return false }
        lastLook = now
        var polled = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
        return swiftlet_poll(&polled, 1, 0) > 0 && take()
    }

    /// Reads what is there; blocks if nothing is.
    ///
    /// - Returns: whether the application is asked to finish.
    mutating func take() -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { octets in
            let count = read(STDIN_FILENO, octets.baseAddress, octets.count)
            guard count > 0 else {
                if count == 0 || errno != EINTR && errno != EAGAIN { isOpen = false }
                return false
            }
            return octets[..<count].contains(ConsoleControl.stop)
        }
    }
}
