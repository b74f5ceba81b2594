// The built-in monitor, for a guest that finds itself in ring 3: what it asks of it.

import CSwiftletMachine
import SwiftletBootProtocol

#if hasFeature(Embedded)
    /// Calls of the built-in monitor. Each leaves the virtual machine once.
    public enum BuiltInMonitor {
        /// Whether it runs this machine: known at the first instruction, by the entry taken. Then
        /// there are no page tables, interrupts or control registers to look after.
        @inline(__always)
        public static var isPresent: Bool { swiftlet_monitor_frequency != 0 }

        /// A driver has something for its device, which looks at all queues at the next wait.
        nonisolated(unsafe) public static var hasNotification = false
        /// When the monitor had its last turn, in nanoseconds of the machine's clock.
        nonisolated(unsafe) private static var lastTurn: UInt64 = 0
        /// How long devices may be left alone while there is work, in nanoseconds.
        private static let longestNeglect: UInt64 = 100_000

        static func write(_ bytes: UnsafeRawBufferPointer) {
            var start = UInt64(UInt(bitPattern: bytes.baseAddress))
            var left = bytes.count
            while left > 0 {
                let count = min(left, MonitorCall.consoleLimit)
                swiftlet_monitor_show(MonitorCall.consolePort, start, UInt64(count))
                start += UInt64(count)
                left -= count
            }
        }

        /// Lets devices work; waits at most so many nanoseconds if they have nothing (`.max`:
        /// without end).
        @inline(never)
        public static func wait(_ nanoseconds: UInt64) {
            hasNotification = false
            // There is only one thing to be said; none is, before somebody listens.
            if swiftlet_monitor_call(MonitorCall.waitPort, nanoseconds) != 0 {
                ConsoleInput.deadline = 0
            }
        }

        /// Wants to hear of a request to stop, as `ConsoleInput`.
        static func listen() {
            _ = swiftlet_monitor_call(MonitorCall.listenPort, 0)
        }

        /// Shows the table of page frames, for the monitor to see which are free (`MonitorCall`).
        @inline(__always)
        public static func show(frames table: UnsafeRawPointer) {
            _ = swiftlet_monitor_call(MonitorCall.framesPort, UInt64(UInt(bitPattern: table)))
        }

        /// Called between turns of work: devices get theirs when a driver has asked for it, and now
        /// and then in any case, since nothing reaches the guest while it runs.
        @inline(never)
        public static func attend(now: UInt64) {
            guard hasNotification || now &- lastTurn > longestNeglect else { return }
            lastTurn = now
            wait(0)
        }

        /// When the turn ends that the monitor was told of last, in nanoseconds of the machine's clock.
        nonisolated(unsafe) private static var turnEnd: UInt64 = 0

        /// Has what runs interrupted (`ProgramMode`). A turn that ends sooner will do, as each call
        /// costs an exit: so there is one for each slice of time, however many threads share it.
        static func endTurn(after nanoseconds: UInt64, now: UInt64) {
            guard now >= turnEnd else { return }
            turnEnd = now &+ nanoseconds
            _ = swiftlet_monitor_call(MonitorCall.turnPort, nanoseconds)
        }

        /// Has exceptions lead to the library OS, on a stack that ends there.
        static func handleFaults(_ stack: UnsafeMutableRawPointer) {
            swiftlet_monitor_show(
                MonitorCall.faultsPort, UInt64(swiftlet_address_of_linux_fault()),
                UInt64(UInt(bitPattern: stack)))
        }

        static func exit(code: UInt8) -> Never {
            _ = swiftlet_monitor_call(MonitorCall.exitPort, UInt64(code))
            while true {}
        }

        /// Seconds since 1970-01-01 00:00 UTC.
        static func time() -> UInt64 { UInt64(swiftlet_in32(MonitorCall.timePort)) }
    }
#endif
