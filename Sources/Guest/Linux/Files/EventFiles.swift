// eventfd(2) and timerfd_create(2): a counter, and a clock, as files.

import SwiftletMachine

#if hasFeature(Embedded)
    /// A counter that is read and added to.
    final class EventFile: OpenFile {
        private var count: UInt64
        private let isSemaphore: Bool

        init(count: UInt64, isSemaphore: Bool, flags: UInt32) {
            self.count = count
            self.isSemaphore = isSemaphore
            super.init(flags: flags)
        }

        override func read(to address: UInt64, _ size: Int) throws(Errno) -> Int {
            guard size >= 8 else { throw .invalid }
            guard count > 0 else { throw .again }
            let value = isSemaphore ? 1 : count
            try UserMemory.store(value, at: address)
            count -= value
            notify()
            return 8
        }

        override func write(from address: UInt64, _ size: Int) throws(Errno) -> Int {
            guard size >= 8 else { throw .invalid }
            let value: UInt64 = try UserMemory.load(address)
            guard value != .max else { throw .invalid }
            guard value <= UInt64.max - 1 - count else { throw .again }
            count += value
            notify()
            return 8
        }

        override func events(_ wanted: UInt32) -> UInt32 {
            (count > 0 ? PollEvents.input : 0)
                | (count < UInt64.max - 1 ? PollEvents.output : 0)
        }
    }

    /// A timer that is read: how often it has expired since.
    final class TimerFile: OpenFile {
        private final class Expiry: Alarm {
            unowned(unsafe) var file: TimerFile?

            override func fire(now: UInt64) { file?.expire(now: now) }
        }

        private let expiry = Expiry()
        private var expirations: UInt64 = 0
        private var interval: UInt64 = 0
        let usesWallTime: Bool
        override var asTimer: TimerFile? { self }

        init(usesWallTime: Bool, flags: UInt32) {
            self.usesWallTime = usesWallTime
            super.init(flags: flags)
            expiry.file = self
        }

        /// Nanoseconds until it expires, 0 if it is not set; and between two times.
        var setting: (remaining: UInt64, interval: UInt64) {
            guard expiry.deadline != .max else { return (0, interval) }
            let now = Clock.now
            return (expiry.deadline > now ? expiry.deadline - now : 1, interval)
        }

        /// Sets it to a time of the machine's clock; nil: never.
        func set(deadline: UInt64?, interval: UInt64) {
            expirations = 0
            self.interval = interval
            if let deadline {
                Scheduler.set(expiry, deadline: deadline)
            } else {
                Scheduler.cancel(expiry)
            }
        }

        private func expire(now: UInt64) {
            expirations += 1
            if interval > 0 {
                let missed = (now - expiry.deadline) / interval
                expirations += missed
                let (step, isFar) = (missed + 1).multipliedReportingOverflow(by: interval)
                let (next, isLate) = expiry.deadline.addingReportingOverflow(step)
                expiry.deadline = isFar || isLate ? .max : next
            } else {
                expiry.deadline = .max
            }
            notify()
        }

        override func read(to address: UInt64, _ size: Int) throws(Errno) -> Int {
            guard size >= 8 else { throw .invalid }
            guard expirations > 0 else { throw .again }
            try UserMemory.store(expirations, at: address)
            expirations = 0
            return 8
        }

        override func events(_ wanted: UInt32) -> UInt32 { expirations > 0 ? PollEvents.input : 0 }

        override func close() { Scheduler.cancel(expiry) }
    }
#endif
