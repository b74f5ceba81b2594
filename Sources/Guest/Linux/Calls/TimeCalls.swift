// Time: clock_gettime(2), gettimeofday(2), nanosleep(2), clock_nanosleep(2), timerfd_create(2).

import SwiftletMachine

#if hasFeature(Embedded)
    extension Calls {
        static let second: UInt64 = 1_000_000_000

        /// A struct timespec, in nanoseconds.
        static func loadTime(_ address: UInt64) throws(Errno) -> UInt64 {
            let seconds: Int64 = try UserMemory.load(address)
            let nanoseconds: Int64 = try UserMemory.load(address &+ 8)
            guard seconds >= 0, nanoseconds >= 0, nanoseconds < 1_000_000_000 else {
                throw .invalid
            }
            let whole = UInt64(seconds).multipliedReportingOverflow(by: second)
            let sum = whole.partialValue.addingReportingOverflow(UInt64(nanoseconds))
            return whole.overflow || sum.overflow ? .max : sum.partialValue
        }

        static func storeTime(_ time: UInt64, at address: UInt64) throws(Errno) {
            try UserMemory.store(time / second, at: address)
            try UserMemory.store(time % second, at: address &+ 8)
        }

        /// The machine's clock at a time of the wall clock.
        static func monotonic(wallTime: UInt64) -> UInt64 {
            let offset = Clock.wallTime &- Clock.now
            return wallTime > offset ? wallTime - offset : 0
        }

        /// The time of a clock; nil if it is not there. Processor time is the time that the machine
        /// has been up: there is no other process.
        private static func now(_ clock: UInt64) -> UInt64? {
            switch clock {
            case 0, 5, 11: wallTime()
            case 1, 2, 3, 4, 6, 7: Clock.now
            default: nil
            }
        }

        /// Nanoseconds since 1970. The program reads them itself the next time.
        private static func wallTime() -> UInt64 {
            let time = Clock.wallTime
            ProgramClock.publish(wallOffset: Clock.wallOffset)
            return time
        }

        static func clockTime(_ clock: UInt64, _ address: UInt64) throws(Errno) -> Int64 {
            guard let time = now(clock) else { throw .invalid }
            try storeTime(time, at: address)
            return 0
        }

        static func clockResolution(_ a: Arguments) throws(Errno) -> Int64 {
            guard now(a.a) != nil else { throw .invalid }
            if a.b != 0 { try storeTime(1, at: a.b) }
            return 0
        }

        static func timeOfDay(_ a: Arguments) throws(Errno) -> Int64 {
            let time = wallTime()
            if a.a != 0 {
                try UserMemory.store(time / second, at: a.a)
                try UserMemory.store(time % second / 1000, at: a.a &+ 8)
            }
            if a.b != 0 { try UserMemory.store(UInt64(0), at: a.b) }
            return 0
        }

        static func time(_ a: Arguments) throws(Errno) -> Int64 {
            let time = wallTime() / second
            if a.a != 0 { try UserMemory.store(time, at: a.a) }
            return Int64(time)
        }

        static func times(_ a: Arguments) throws(Errno) -> Int64 {
            let ticks = Clock.now / 10_000_000
            if a.a != 0 {
                try UserMemory.clear(a.a, 32)
                try UserMemory.store(ticks, at: a.a)
            }
            return Int64(ticks)
        }

        static func usage(_ a: Arguments) throws(Errno) -> Int64 {
            try UserMemory.clear(a.b, 144)
            try UserMemory.store(Clock.now / second, at: a.b)
            try UserMemory.store(Clock.now % second / 1000, at: a.b &+ 8)
            try UserMemory.store(UInt64(AddressSpace.residentPages) * 4, at: a.b &+ 32)
            return 0
        }

        static func sleep(
            _ time: UInt64, _ rest: UInt64, _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            try sleep(thread, until: nil, for: try loadTime(time), rest: rest)
        }

        static func sleepUntil(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            guard now(a.a) != nil else { throw .invalid }
            let time = try loadTime(a.c)
            let isAbsolute = a.b & 1 != 0
            guard isAbsolute else {
                return try sleep(thread, until: nil, for: time, rest: a.d)
            }
            let isWallTime = a.a == 0 || a.a == 11
            return try sleep(
                thread, until: isWallTime ? monotonic(wallTime: time) : time, for: 0, rest: 0)
        }

        private static func sleep(
            _ thread: LinuxThread, until deadline: UInt64?, for nanoseconds: UInt64, rest: UInt64
        ) throws(Errno) -> Int64 {
            if thread.wait.hasTimedOut { return 0 }
            if let deadline {
                guard deadline > Clock.now else { return 0 }
                thread.wait.deadline = deadline
            } else {
                thread.setDeadline(after: nanoseconds)
                // A handler that ends the sleep finds here what was left of it.
                if rest != 0, thread.wait.hasStarted {
                    let now = Clock.now
                    try storeTime(
                        thread.wait.deadline > now ? thread.wait.deadline - now : 0, at: rest)
                }
            }
            throw .suspended
        }

        // MARK: Timers as files

        static func makeTimer(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.a <= 1 || a.a == 7 || a.a == 8 || a.a == 9,
                a.b & ~UInt64(OpenFlags.nonBlocking | OpenFlags.closeOnExec) == 0
            else { throw .invalid }
            let flags = UInt32(a.b)
            return try Descriptors.add(
                TimerFile(
                    usesWallTime: a.a == 0 || a.a == 8,
                    flags: OpenFlags.readWrite | flags & OpenFlags.nonBlocking),
                closesOnExec: flags & OpenFlags.closeOnExec != 0)
        }

        private static func timer(_ descriptor: UInt64) throws(Errno) -> TimerFile {
            guard let timer = try Descriptors.file(descriptor).asTimer else { throw .invalid }
            return timer
        }

        static func setTimer(_ a: Arguments) throws(Errno) -> Int64 {
            let timer = try timer(a.a)
            let interval = try loadTime(a.c)
            let value = try loadTime(a.c &+ 16)
            let old = timer.setting
            if a.d != 0 {
                try storeTime(old.interval, at: a.d)
                try storeTime(old.remaining, at: a.d &+ 16)
            }
            guard value > 0 else {
                timer.set(deadline: nil, interval: 0)
                return 0
            }
            let isAbsolute = a.b & 1 != 0
            let deadline =
                isAbsolute
                ? (timer.usesWallTime ? monotonic(wallTime: value) : value)
                : Clock.now &+ min(value, .max - Clock.now)
            timer.set(deadline: deadline, interval: interval)
            return 0
        }

        static func getTimer(_ a: Arguments) throws(Errno) -> Int64 {
            let setting = try timer(a.a).setting
            try storeTime(setting.interval, at: a.b)
            try storeTime(setting.remaining, at: a.b &+ 16)
            return 0
        }
    }
#endif
