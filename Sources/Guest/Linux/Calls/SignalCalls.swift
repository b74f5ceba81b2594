// Signals: sigaction(2), sigprocmask(2), sigaltstack(2), kill(2), tgkill(2), sigsuspend(2),
// sigtimedwait(2), signalfd(2), pause(2), alarm(2), setitimer(2).

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    extension Calls {
        private final class ProcessAlarm: Alarm {
            var interval: UInt64 = 0

            override func fire(now: UInt64) {
                ProcessSignals.send(SignalInformation(signal: Signal.alarm, code: 128))
                deadline = interval > 0 ? now &+ interval : .max
            }
        }

        nonisolated(unsafe) private static var processAlarm: ProcessAlarm?

        private static func signal(_ value: UInt64) throws(Errno) -> Int32 {
            guard value >= 1, value <= UInt64(Signal.last) else { throw .invalid }
            return Int32(value)
        }

        static func signalAction(_ a: Arguments) throws(Errno) -> Int64 {
            let signal = try signal(a.a)
            guard a.d == 8 else { throw .invalid }
            let old = ProcessSignals.actions[Int(signal)]
            if a.b != 0 {
                guard signal != Signal.kill, signal != Signal.stop else { throw .invalid }
                let new: SignalAction = try UserMemory.load(a.b)
                ProcessSignals.actions[Int(signal)] = new
            }
            if a.c != 0 { try UserMemory.store(old, at: a.c) }
            return 0
        }

        static func signalMask(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            guard a.d == 8 else { throw .invalid }
            let old = thread.signals.mask
            if a.b != 0 {
                let set: UInt64 = try UserMemory.load(a.b)
                let new: UInt64 =
                    switch a.a {
                    case 0: old | set
                    case 1: old & ~set
                    case 2: set
                    default: throw .invalid
                    }
                thread.signals.mask = new & ~Signal.unmaskable
            }
            if a.c != 0 { try UserMemory.store(old, at: a.c) }
            return 0
        }

        static func signalStack(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let old = thread.signals
            let stack = thread.frame.registers.rsp
            let isOn =
                !old.stackIsDisabled && stack >= old.stackBase
                && stack - old.stackBase <= old.stackSize
            if a.a != 0 {
                guard !isOn else { throw .notPermitted }
                let flags: UInt32 = try UserMemory.load(a.a &+ 8)
                thread.signals.stackBase = try UserMemory.load(a.a)
                thread.signals.stackSize = try UserMemory.load(a.a &+ 16)
                thread.signals.stackIsDisabled = flags & 2 != 0
                if flags & 2 == 0, thread.signals.stackSize < 2048 {
                    thread.signals.stackIsDisabled = true
                    throw .noMemory
                }
            }
            if a.b != 0 {
                try UserMemory.store(old.stackBase, at: a.b)
                try UserMemory.store(
                    UInt64(isOn ? 1 : old.stackIsDisabled ? 2 : 0), at: a.b &+ 8)
                try UserMemory.store(old.stackSize, at: a.b &+ 16)
            }
            return 0
        }

        /// There is one process: its own number, or 0, or its group.
        static func kill(_ a: Arguments) throws(Errno) -> Int64 {
            let process = Int32(truncatingIfNeeded: a.a)
            guard Int64(process) == ownProcess || process == 0 || process == -1 else {
                throw .noProcess
            }
            guard a.b != 0 else { return 0 }
            ProcessSignals.send(SignalInformation(signal: try signal(a.b), address: 1))
            return 0
        }

        static func killThread(_ id: UInt64, _ number: UInt64) throws(Errno) -> Int64 {
            guard let thread = Scheduler.thread(Int32(truncatingIfNeeded: id)) else {
                throw .noProcess
            }
            guard number != 0 else { return 0 }
            // SI_TKILL; the sender is this process.
            ProcessSignals.send(
                SignalInformation(signal: try signal(number), code: -6, address: 1), to: thread)
            return 0
        }

        static func pendingSignals(_ address: UInt64, _ thread: LinuxThread) throws(Errno) -> Int64
        {
            try UserMemory.store(
                (thread.signals.pendingBits | ProcessSignals.pendingBits) & thread.signals.mask,
                at: address)
            return 0
        }

        static func makeSignalFile(_ a: Arguments, _ flags: UInt64) throws(Errno) -> Int64 {
            let known = UInt64(OpenFlags.nonBlocking | OpenFlags.closeOnExec)
            guard flags & ~known == 0, a.c == 8 else { throw .invalid }
            let mask: UInt64 = try UserMemory.load(a.b)
            guard UInt32(truncatingIfNeeded: a.a) == .max else {
                guard let file = try Descriptors.file(a.a).asSignal else { throw .invalid }
                file.set(mask: mask & ~Signal.unmaskable)
                return Int64(a.a)
            }
            return try Descriptors.add(
                SignalFile(
                    mask: mask & ~Signal.unmaskable,
                    flags: OpenFlags.readWrite | UInt32(flags) & OpenFlags.nonBlocking),
                closesOnExec: flags & UInt64(OpenFlags.closeOnExec) != 0)
        }

        static func pause(_ thread: LinuxThread) throws(Errno) -> Int64 { throw .suspended }

        static func suspendForSignal(
            _ a: Arguments, _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            if !thread.wait.hasStarted {
                let mask: UInt64 = try UserMemory.load(a.a)
                thread.wait.savedMask = thread.signals.mask
                thread.signals.mask = mask & ~Signal.unmaskable
            }
            throw .suspended
        }

        static func waitForSignal(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let wanted: UInt64 = try UserMemory.load(a.a)
            if let information = ProcessSignals.take(for: thread, from: wanted) {
                if a.b != 0 {
                    try UserMemory.clear(a.b, 128)
                    try UserMemory.store(information.signal, at: a.b)
                    try UserMemory.store(information.code, at: a.b &+ 8)
                    try UserMemory.store(information.address, at: a.b &+ 16)
                }
                return Int64(information.signal)
            }
            if thread.wait.hasTimedOut { throw .again }
            if a.c != 0 { thread.setDeadline(after: try loadTime(a.c)) }
            thread.wait.awaitedSignals = wanted
            throw .suspended
        }

        /// Seconds until SIGALRM.
        static func alarm(_ seconds: UInt64) -> Int64 {
            let left = setAlarm(after: (seconds & 0xFFFF_FFFF) &* 1_000_000_000, interval: 0)
            return Int64((left.remaining + 999_999_999) / 1_000_000_000)
        }

        static func setIntervalTimer(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.a == 0 else { throw .notImplemented }
            func time(_ offset: UInt64) throws(Errno) -> UInt64 {
                let seconds: UInt64 = try UserMemory.load(a.b &+ offset)
                let microseconds: UInt64 = try UserMemory.load(a.b &+ offset &+ 8)
                guard seconds < 1 << 32, microseconds < 1_000_000 else { throw .invalid }
                return seconds * 1_000_000_000 + microseconds * 1000
            }
            let old = setAlarm(after: try time(16), interval: try time(0))
            if a.c != 0 {
                for (index, value) in [old.interval, old.remaining].enumerated() {
                    let place = a.c &+ UInt64(index * 16)
                    try UserMemory.store(value / 1_000_000_000, at: place)
                    try UserMemory.store(value % 1_000_000_000 / 1000, at: place &+ 8)
                }
            }
            return 0
        }

        private static func setAlarm(
            after nanoseconds: UInt64, interval: UInt64
        ) -> (remaining: UInt64, interval: UInt64) {
            let alarm = processAlarm ?? ProcessAlarm()
            processAlarm = alarm
            let now = Clock.now
            let left = alarm.deadline == .max || alarm.deadline < now ? 0 : alarm.deadline - now
            let old = (left, alarm.interval)
            alarm.interval = interval
            if nanoseconds > 0 {
                Scheduler.set(alarm, deadline: now &+ nanoseconds)
            } else {
                Scheduler.cancel(alarm)
            }
            return old
        }
    }
#endif
