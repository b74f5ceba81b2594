// Threads: clone(2), exit(2), exit_group(2), futex(2), set_tid_address(2), sched_yield(2),
// arch_prctl(2), prctl(2), sched_setaffinity(2).

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    extension Calls {
        private enum Clone {
            static let memory: UInt64 = 0x100
            static let files: UInt64 = 0x400
            static let handlers: UInt64 = 0x800
            static let thread: UInt64 = 0x10000
            static let setsTLS: UInt64 = 0x80000
            static let setsParentID: UInt64 = 0x10_0000
            static let clearsChildID: UInt64 = 0x20_0000
            static let setsChildID: UInt64 = 0x100_0000
            /// What a thread of the same process has.
            static let required = memory | files | handlers | thread
        }

        /// Another thread; another process there is not (ENOSYS).
        static func clone(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            try makeThread(
                flags: a.a, stack: a.b, parentID: a.c, childID: a.d, tls: a.e, thread)
        }

        /// clone3(2): the same, by a structure of eight words and more.
        static func cloneByStructure(
            _ a: Arguments, _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            guard a.b >= 64 else { throw .invalid }
            func word(_ index: UInt64) throws(Errno) -> UInt64 {
                try UserMemory.load(a.a &+ index * 8)
            }
            let stack = try word(5)
            return try makeThread(
                flags: try word(0), stack: stack == 0 ? 0 : stack &+ (try word(6)),
                parentID: try word(3), childID: try word(2), tls: try word(7), thread)
        }

        private static func makeThread(
            flags: UInt64, stack: UInt64, parentID: UInt64, childID: UInt64, tls: UInt64,
            _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            guard flags & Clone.required == Clone.required else { throw .notImplemented }
            guard flags & Clone.setsTLS == 0 || tls < AddressSpace.programEnd else {
                throw .notPermitted
            }
            // A thread's registers and wait cost a kilobyte: memory is the bound, this the limit.
            guard Scheduler.threads.count < 4096 else { throw .again }
            let new = Scheduler.makeThread()
            new.frame.copy(thread.frame)
            new.frame.registers.thread_id = UInt64(new.id)
            new.frame.registers.rax = 0
            // As the instruction would leave it: the caller's child may rely on neither.
            new.frame.registers.rcx = new.frame.registers.rip
            if stack != 0 { new.frame.registers.rsp = stack }
            new.fsBase = flags & Clone.setsTLS != 0 ? tls : thread.fsBase
            new.gsBase = thread.gsBase
            new.signals.mask = thread.signals.mask
            let id = Int64(new.id)
            do throws(Errno) {
                if flags & Clone.setsParentID != 0 {
                    try UserMemory.store(new.id, at: parentID)
                }
                if flags & Clone.setsChildID != 0 { try UserMemory.store(new.id, at: childID) }
            } catch {
                Scheduler.remove(new)
                throw error
            }
            if flags & Clone.clearsChildID != 0 { new.clearChildID = childID }
            Scheduler.makeReady(new)
            return id
        }

        static func exitThread(_ code: UInt64, _ thread: LinuxThread) throws(Errno) -> Int64 {
            if Scheduler.threads.count == 1 { return try exitProcess(code) }
            releaseRobustList(thread)
            if thread.clearChildID != 0 {
                try? UserMemory.store(UInt32(0), at: thread.clearChildID)
                _ = Futex.wake(at: thread.clearChildID, count: 1)
            }
            Scheduler.remove(thread)
            throw .suspended
        }

        static func exitProcess(_ code: UInt64) throws(Errno) -> Int64 {
            ProgramEnd.exit(code: Int32(truncatingIfNeeded: code & 0xFF))
            throw .suspended
        }

        /// Marks the locks that an ending thread holds, and wakes who waits for them
        /// (get_robust_list(2); Linux: Documentation/locking/robust-futexes.rst).
        private static func releaseRobustList(_ thread: LinuxThread) {
            guard thread.robustList != 0 else { return }
            do throws(Errno) {
                let offset: UInt64 = try UserMemory.load(thread.robustList &+ 8)
                var entry: UInt64 = try UserMemory.load(thread.robustList)
                var count = 0
                while entry != thread.robustList, count < 2048 {
                    let word = entry &+ offset
                    let value = try UserMemory.futexWord(word)
                    if value & 0x3FFF_FFFF == UInt32(thread.id) {
                        try UserMemory.store(value & 0x8000_0000 | 0x4000_0000, at: word)
                        _ = Futex.wake(at: word, count: 1)
                    }
                    entry = try UserMemory.load(entry)
                    count += 1
                }
            } catch {
                // A list that cannot be read holds nothing.
            }
        }

        static func futex(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let usesWallTime = a.b & 0x100 != 0
            let expected = UInt32(truncatingIfNeeded: a.c)
            switch a.b & 0x7F {
            case 0, 9:
                if a.d != 0, !thread.wait.hasStarted {
                    let time = try loadTime(a.d)
                    if a.b & 0x7F == 0 {
                        thread.setDeadline(after: time)
                    } else {
                        // Absolute, of one of the two clocks.
                        thread.wait.deadline =
                            usesWallTime ? monotonic(wallTime: time) : time
                    }
                }
                return try Futex.wait(
                    thread, at: a.a, expected: expected,
                    bits: a.b & 0x7F == 9 ? UInt32(truncatingIfNeeded: a.f) : .max)
            case 1, 10:
                guard a.a % 4 == 0 else { throw .invalid }
                return Int64(
                    Futex.wake(
                        at: a.a, count: Int(Int32(truncatingIfNeeded: a.c)),
                        bits: a.b & 0x7F == 10 ? UInt32(truncatingIfNeeded: a.f) : .max))
            case 3, 4:
                if a.b & 0x7F == 4,
                    try UserMemory.futexWord(a.a) != UInt32(truncatingIfNeeded: a.f)
                {
                    throw .again
                }
                let woken = Futex.wake(at: a.a, count: Int(Int32(truncatingIfNeeded: a.c)))
                let moved = Futex.requeue(
                    from: a.a, to: a.e, count: Int(Int32(truncatingIfNeeded: a.d)))
                return Int64(woken + moved)
            case 5: return try wakeByOperation(a)
            default: throw .notImplemented
            }
        }

        /// FUTEX_WAKE_OP: changes a second word, wakes at the first, and perhaps at the second.
        private static func wakeByOperation(_ a: Arguments) throws(Errno) -> Int64 {
            let code = UInt32(truncatingIfNeeded: a.f)
            var operand = Int32(bitPattern: code << 8) >> 20
            let comparand = Int32(bitPattern: code << 20) >> 20
            if code >> 31 != 0 { operand = 1 << (operand & 31) }
            let old = Int32(bitPattern: try UserMemory.futexWord(a.e))
            let new: Int32 =
                switch code >> 28 & 7 {
                case 0: operand
                case 1: old &+ operand
                case 2: old | operand
                case 3: old & ~operand
                case 4: old ^ operand
                default: throw .notImplemented
                }
            try UserMemory.store(new, at: a.e)
            var woken = Futex.wake(at: a.a, count: Int(Int32(truncatingIfNeeded: a.c)))
            let isMet =
                switch code >> 24 & 15 {
                case 0: old == comparand
                case 1: old != comparand
                case 2: old < comparand
                case 3: old <= comparand
                case 4: old > comparand
                case 5: old >= comparand
                default: throw .notImplemented
                }
            if isMet {
                woken += Futex.wake(at: a.e, count: Int(Int32(truncatingIfNeeded: a.d)))
            }
            return Int64(woken)
        }

        static func setThreadAddress(_ address: UInt64, _ thread: LinuxThread) -> Int64 {
            thread.clearChildID = address
            return Int64(thread.id)
        }

        static func setRobustList(_ a: Arguments, _ thread: LinuxThread) -> Int64 {
            thread.robustList = a.a
            return 0
        }

        static func yield(_ thread: LinuxThread) -> Int64 {
            thread.leaves = true
            return 0
        }

        static func archControl(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let isUsable = a.b < AddressSpace.programEnd
            switch a.a {
            case 0x1001, 0x1002:
                guard isUsable else { throw .notPermitted }
                if a.a == 0x1002 { thread.fsBase = a.b } else { thread.gsBase = a.b }
                ProgramMode.setBases(fs: thread.fsBase, gs: thread.gsBase)
            case 0x1003: try UserMemory.store(thread.fsBase, at: a.b)
            case 0x1004: try UserMemory.store(thread.gsBase, at: a.b)
            default: throw .invalid
            }
            return 0
        }

        static func processControl(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            switch a.a {
            case 15:
                thread.name = try UserMemory.array(a.b, 16)
                return 0
            case 16:
                var name = thread.name
                while name.count < 16 { name.append(0) }
                name[15] = 0
                try UserMemory.copy(name, to: a.b)
                return 0
            case 1, 4, 38: return 0  // end with the parent, dumpable, no new privileges
            case 3: return 1
            case 39: return 1
            default: throw .invalid
            }
        }

        /// sched_getparam(2): of the usual policy, which has no priorities.
        static func schedulingParameters(_ a: Arguments) throws(Errno) -> Int64 {
            try UserMemory.store(Int32(0), at: a.b)
            return 0
        }

        static func affinity(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.b >= 8 else { throw .invalid }
            try UserMemory.store(UInt64(1), at: a.c)
            return 8
        }
    }
#endif
