// The host's wish that the application finish, as an event.

import SwiftletBootProtocol
import SwiftletMachine

#if hasFeature(Embedded)
    /// Listens for the host's request to stop. Linked only where somebody wants to know.
    ///
    /// An idle machine is woken by the console's interrupt. One that never idles takes no
    /// interrupts, so it looks now and then: a turn pays a comparison, a request nothing.
    public enum StopRequests {
        /// Who is told: plain functions, so that neither is linked because of the other.
        nonisolated(unsafe) static var tellWaiters: (@convention(c) () -> Void)?
        nonisolated(unsafe) public static var tellServers: (@convention(c) () -> Void)?
        /// Whether the host has asked.
        nonisolated(unsafe) public private(set) static var isRequested = false

        /// Between two looks of a machine that never idles, in nanoseconds.
        private static let interval: UInt64 = 100_000_000

        /// Listens from now on. What came before, while the machine started, is not lost. Its name
        /// tells the image writer that the image listens.
        @inline(never) @_silgen_name("swiftlet_listen_for_stop")
        public static func listen() {
            guard EventLoop.lookAtConsole == nil else { return }
            ConsoleInput.enable()
            EventLoop.lookAtConsole = { StopRequests.look($0) }
        }

        @inline(__always)
        private static func look(_ now: UInt64) {
            ConsoleInput.deadline = now &+ interval
            guard ConsoleInput.takes(ConsoleControl.stop) else { return }
            isRequested = true
            tellWaiters?()
            tellServers?()
        }
    }
#endif
