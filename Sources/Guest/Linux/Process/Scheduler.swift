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
        /// The thread whose turn it is. `turn` holds it, so that no call counts a reference.
        nonisolated(unsafe) static var current: Unmanaged<LinuxThread>?
        nonisolated(unsafe) private(set) static var threads = PlainList<LinuxThread>()
        nonisolated(unsafe) private static var ready = PlainList<LinuxThread>()
        /// Those whose turn this is.
        nonisolated(unsafe) private static var turn = PlainList<LinuxThread>()
        nonisolated(unsafe) private static var alarms = PlainList<Alarm>()
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
            for index in threads.indices where threads[index].id == id { return threads[index] }
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
            if let index = threads.firstIndex(of: thread) { threads.remove(at: index) }
        }

        // MARK: Time

        @inline(__always)
        static func note(deadline: UInt64) { earliest = min(earliest, deadline) }

        /// Sets when an alarm fires.
        static func set(_ alarm: Alarm, deadline: UInt64) {
            alarm.deadline = deadline
            note(deadline: deadline)
            if alarms.firstIndex(of: alarm) == nil { alarms.append(alarm) }
        }

        static func cancel(_ alarm: Alarm) {
            alarm.deadline = .max
            if let index = alarms.firstIndex(of: alarm) { alarms.remove(at: index) }
        }

        private static func fire(now: UInt64) {
            earliest = .max
            for index in threads.indices where threads[index].state == .waiting {
                let thread = threads[index]
                if thread.wait.deadline <= now {
                    thread.wait.hasTimedOut = true
                    wake(thread)
                } else {
                    note(deadline: thread.wait.deadline)
                }
            }
            for index in alarms.indices {
                let alarm = alarms[index]
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
                let thread = turn.unretained(index)
                current = thread
                thread.borrowed { $0.run() }
            }
            turn.removeAll()
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
