// The program's threads, in turns, as a source of the event loop: in each turn of the loop every
// thread that can run gets a slice of time, and devices get theirs in between.

import SwiftletMachine
import SwiftletRuntime

#if hasFeature(Embedded)
    /// Something that happens at a time.
    class Alarm {
        /// In nanoseconds of the machine's clock; `.max`: never.
        var deadline = UInt64.max

        func fire(now: UInt64) {}
    }

    /// Who runs next.
    enum Scheduler {
        /// The thread whose turn it is. `threads` or `ready` holds it, so that no call counts a
        /// reference.
        nonisolated(unsafe) unowned(unsafe) static var current: LinuxThread?
        nonisolated(unsafe) private(set) static var threads: [LinuxThread] = []
        nonisolated(unsafe) private static var ready: [LinuxThread] = []
        /// Those whose turn this is. Both keep their storage.
        nonisolated(unsafe) private static var turn: [LinuxThread] = []
        nonisolated(unsafe) private static var alarms: [Alarm] = []
        /// No deadline is earlier.
        nonisolated(unsafe) private static var earliest = UInt64.max
        nonisolated(unsafe) private static var lastID: Int32 = 0
        /// How long a thread runs at most before others do, in nanoseconds.
        private static let slice: UInt64 = 5_000_000

        static func makeThread() -> LinuxThread {
            lastID += 1
            let thread = LinuxThread(id: lastID)
            threads.append(thread)
            return thread
        }

        static func thread(_ id: Int32) -> LinuxThread? {
            for thread in threads where thread.id == id { return thread }
            return nil
        }

        /// Appends a thread to those that can run.
        static func makeReady(_ thread: LinuxThread) {
            thread.state = .runnable
            ready.append(thread)
        }

        /// Ends a thread's wait, if it waits.
        static func wake(_ thread: LinuxThread) {
            if thread.state == .waiting { makeReady(thread) }
        }

        static func remove(_ thread: LinuxThread) {
            thread.state = .ended
            threads.removeAll { $0 === thread }
        }

        // MARK: Time

        @inline(__always)
        static func note(deadline: UInt64) { earliest = min(earliest, deadline) }

        /// Sets when an alarm fires.
        static func set(_ alarm: Alarm, deadline: UInt64) {
            alarm.deadline = deadline
            note(deadline: deadline)
            for other in alarms where other === alarm { return }
            alarms.append(alarm)
        }

        static func cancel(_ alarm: Alarm) {
            alarm.deadline = .max
            alarms.removeAll { $0 === alarm }
        }

        private static func fire(now: UInt64) {
            earliest = .max
            for thread in threads where thread.state == .waiting {
                if thread.wait.deadline <= now {
                    thread.wait.hasTimedOut = true
                    wake(thread)
                } else {
                    note(deadline: thread.wait.deadline)
                }
            }
            for alarm in alarms {
                if alarm.deadline <= now { alarm.fire(now: now) }
                note(deadline: alarm.deadline)
            }
        }

        // MARK: The event loop's side

        static var hasReady: Bool { !ready.isEmpty }
        static var nextDeadline: UInt64 { earliest }

        /// Gives each thread that can run its turn.
        static func runTurn(now: UInt64) {
            if now >= earliest { fire(now: now) }
            guard !ready.isEmpty else { return }
            swap(&ready, &turn)
            for index in turn.indices where turn[index].state == .runnable {
                ProgramMode.endTurn(after: slice)
                current = turn[index]
                turn[index].run()
            }
            turn.removeAll(keepingCapacity: true)
        }
    }

    /// The program, for the event loop.
    final class ProgramSource: EventSource {
        override func poll(now: UInt64) -> Bool {
            ProgramEnd.poll(now: now)
            Scheduler.runTurn(now: now)
            return Scheduler.hasReady
        }

        override var nextDeadline: UInt64 {
            min(Scheduler.nextDeadline, ProgramEnd.deadline)
        }

        override func armInterrupt() -> Bool { Scheduler.hasReady }
    }
#endif
