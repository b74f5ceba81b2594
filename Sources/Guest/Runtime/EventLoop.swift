// The event loop: poll devices, fire timers, run what is ready, sleep when there is nothing to do.

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    /// Something that makes tasks ready when polled: a network interface, a disk.
    ///
    /// A class to inherit from rather than a protocol: calls on it count no references.
    open class EventSource {
        fileprivate var next: Unmanaged<EventSource>?

        public init() {}

        /// Handles what has arrived and what is due. True if there may be more at once.
        open func poll(now: UInt64) -> Bool { false }
        /// Hands on what the tasks that ran since `poll` have left to be sent.
        open func flush() {}
        /// When it must be polled at the latest, in nanoseconds of the machine's clock; `.max`: not.
        open var nextDeadline: UInt64 { .max }
        /// Asks for an interrupt on the next event. True if one has already happened.
        open func armInterrupt() -> Bool { false }
        /// The machine is awake again: no interrupts needed.
        open func disarmInterrupt() {}
    }

    /// The one loop that everything runs in.
    public enum EventLoop {
        nonisolated(unsafe) private static var first: Unmanaged<EventSource>?
        /// Looks at the console's input when that is due; there where anybody listens. Not a source:
        /// those cost every turn.
        nonisolated(unsafe) static var lookAtConsole: (@convention(c) (_ now: UInt64) -> Void)?

        /// Adds a source for the rest of the machine's life.
        public static func add(_ source: EventSource) {
            source.next = first
            first = Unmanaged.passRetained(source)
        }

        @inline(__always)
        private static func forEachSource(_ body: (EventSource) -> Void) {
            var next = first
            while let source = next {
                source._withUnsafeGuaranteedRef { body($0) }
                next = source._withUnsafeGuaranteedRef { $0.next }
            }
        }

        /// One turn: the sources, the timers, then the jobs that are ready; sleeps if none is left.
        ///
        /// Between work and sleep nothing is polled again: arming the interrupts looks once more.
        @_optimize(speed)
        static func turn() {
            if first == nil, Timers.isEmpty {
                if ReadyQueue.isEmpty { idleForever() }
                return ReadyQueue.runTurn()
            }
            let now = Clock.now
            if now >= ConsoleInput.deadline { lookAtConsole.unsafelyUnwrapped(now) }
            var hasMore = false
            forEachSource { if $0.poll(now: now) { hasMore = true } }
            Waits.fireTimers(now: now)
            ReadyQueue.runTurn()
            forEachSource { $0.flush() }
            if !hasMore, ReadyQueue.isEmpty {
                sleep()
            } else if BuiltInMonitor.isPresent {
                BuiltInMonitor.attend(now: now)
            }
        }

        @inline(__always)
        private static func sleep() {
            StandardOutput.flush()
            var hasWork = false
            var deadline = Timers.nextDeadline
            forEachSource { source in
                if source.armInterrupt() { hasWork = true }
                deadline = min(deadline, source.nextDeadline)
            }
            if !hasWork { Clock.wait(until: deadline) }
            forEachSource { $0.disarmInterrupt() }
        }

        /// Every task waits, and nothing can wake one.
        private static func idleForever() -> Never {
            StandardOutput.flush()
            Faults.fail("deadlock: every task waits, and no device or timer can wake one")
        }
    }
#endif
