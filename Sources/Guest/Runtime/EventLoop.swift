// The event loop: run what is ready, poll devices, fire timers, sleep when there is nothing to do.

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    /// Something that makes tasks ready when polled: a network interface, a disk.
    public protocol EventSource: AnyObject {
        /// Handles what has arrived and what is due. True if there was anything.
        func poll(now: UInt64) -> Bool
        /// When it must be polled at the latest, in nanoseconds of the machine's clock; `.max`: not.
        var nextDeadline: UInt64 { get }
        /// Asks for an interrupt on the next event. True if one has already happened.
        func armInterrupt() -> Bool
        /// The machine is awake again: no interrupts needed.
        func disarmInterrupt()
    }

    /// The one loop that everything runs in.
    public enum EventLoop {
        nonisolated(unsafe) private static var sources: [any EventSource] = []

        /// Adds a source for the rest of the machine's life.
        public static func add(_ source: any EventSource) {
            sources.append(source)
        }

        /// One turn: ready jobs, then the sources; sleeps if neither had work.
        static func turn() {
            ReadyQueue.runTurn()
            if sources.isEmpty, Timers.isEmpty {
                if ReadyQueue.isEmpty { idleForever() }
                return
            }
            let now = Clock.now
            var worked = false
            for source in sources where source.poll(now: now) { worked = true }
            Waits.fireTimers(now: now)
            if !worked, ReadyQueue.isEmpty { sleep() }
        }

        private static func sleep() {
            StandardOutput.flush()
            var hasWork = false
            var deadline = Timers.nextDeadline
            for source in sources {
                hasWork = source.armInterrupt() || hasWork
                deadline = min(deadline, source.nextDeadline)
            }
            if !hasWork { Clock.wait(until: deadline) }
            for source in sources { source.disarmInterrupt() }
        }

        /// Every task waits, and nothing can wake one.
        private static func idleForever() -> Never {
            StandardOutput.flush()
            Faults.fail("deadlock: every task waits, and no device or timer can wake one")
        }
    }
#endif
