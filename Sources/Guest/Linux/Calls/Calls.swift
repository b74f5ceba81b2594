// The table of system calls (syscalls(2), numbers of x86-64): one line each, in families.

import CSwiftletMachine
import SwiftletMachine
import SwiftletRuntime

#if hasFeature(Embedded)
    /// The six arguments of a call, as they stand in the caller's registers.
    struct Arguments {
        private let frame: ThreadFrame

        @inline(__always)
        init(_ frame: ThreadFrame) { self.frame = frame }

        @inline(__always) var a: UInt64 { frame.registers.rdi }
        @inline(__always) var b: UInt64 { frame.registers.rsi }
        @inline(__always) var c: UInt64 { frame.registers.rdx }
        @inline(__always) var d: UInt64 { frame.registers.r10 }
        @inline(__always) var e: UInt64 { frame.registers.r8 }
        @inline(__always) var f: UInt64 { frame.registers.r9 }
    }

    /// The system calls.
    enum Calls {
        /// Makes the call of this number.
        @inline(never) @_optimize(speed)
        static func perform(
            _ number: UInt64, _ a: Arguments, _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            switch number {
            case 0: try read(a, thread)
            case 1: try write(a, thread)
            case 2: try open(a.a, UInt32(truncatingIfNeeded: a.b), a.c)
            case 3: try close(a)
            case 4: try status(path: a.a, into: a.b, follows: true)
            case 5: try statusOfDescriptor(a.a, a.b)
            case 6: try status(path: a.a, into: a.b, follows: false)
            case 7: try poll(a, thread)
            case 8: try Descriptors.file(a.a).seek(signed(a.b), Int32(truncatingIfNeeded: a.c))
            case 9: try map(a)
            case 10: try protect(a)
            case 11: try unmap(a)
            case 12: moveBreak(a)
            case 13: try signalAction(a)
            case 14: try signalMask(a, thread)
            case 15: try thread.returnFromSignal()
            case 16: try control(a)
            case 17: try readAt(a)
            case 18: try writeAt(a)
            case 19: try readVector(a, thread)
            case 20: try writeVector(a, thread)
            case 21: try access(a.a)
            case 22: try pipe(a.a, 0)
            case 23: try select(a, thread)
            case 24: yield(thread)
            case 25: try remap(a)
            case 26: try synchroniseMapping(a)
            case 28: try advise(a)
            case 32: try duplicate(a.a, from: 0, closesOnExec: false)
            case 33: try duplicate(a.a, to: a.b, 0, allowsSame: true)
            case 34: try pause(thread)
            case 35: try sleep(a.a, a.b, thread)
            case 38: try setIntervalTimer(a)
            case 37: alarm(a.a)
            case 40: try sendFile(a, thread)
            case 41: try socket(a)
            case 42: try connect(a, thread)
            case 43: try accept(a.a, a.b, a.c, 0, thread)
            case 44: try send(a, thread)
            case 45: try receive(a, thread)
            case 46: try sendMessage(a, thread)
            case 47: try receiveMessage(a, thread)
            case 48: try shutDown(a)
            case 49: try bind(a)
            case 50: try listen(a)
            case 51: try socketName(a)
            case 52: try peerName(a)
            case 53: try socketPair(a)
            case 54: try setOption(a)
            case 55: try getOption(a)
            case 56: try clone(a, thread)
            case 60: try exitThread(a.a, thread)
            case 62: try kill(a)
            case 63: try systemName(a)
            case 72: try fileControl(a)
            case 73, 74, 75: try synchronise(a)
            case 76: try truncate(path: a.a, a.b)
            case 77: try truncate(descriptor: a.a, a.b)
            case 79: try workingFolder(a)
            case 80: try changeFolder(a.a)
            case 81: try changeFolder(descriptor: a.a)
            case 82: try rename(current, a.a, current, a.b, 0)
            case 83: try makeFolder(current, a.a, a.b)
            case 84: try remove(current, a.a, 0x200)
            case 86: try link(current, a.a, current, a.b)
            case 87: try remove(current, a.a, 0)
            case 88: try makeLink(a.a, current, a.b)
            case 89: try readLink(current, a.a, a.b, a.c)
            case 90: try changeMode(current, a.a, a.b)
            case 91: try changeMode(descriptor: a.a, a.b)
            case 92, 93, 94: 0  // chown, fchown, lchown: everything belongs to one user
            case 95: setCreationMask(a.a)
            case 96: try timeOfDay(a)
            case 97: try getLimit(a.a, a.b)
            case 98: try usage(a)
            case 99: try systemInformation(a.a)
            case 100: try times(a)
            // Some of these numbers CMachine/x86-64/linux.S has told already.
            case 39: ownProcess
            case 102, 104, 107, 108, 110: 0  // root, as in a container, without a parent
            // setuid, setgid, setpgid, setsid, and others that set and get numbers of users and groups.
            case 105, 106, 109, 112...117, 119: 0
            case 118, 120: try realNumbers(a)
            case 111, 121, 124: ownProcess  // getpgrp, getpgid, getsid
            case 186: Int64(thread.id)
            case 127: try pendingSignals(a.a, thread)
            case 128: try waitForSignal(a, thread)
            case 130: try suspendForSignal(a, thread)
            case 131: try signalStack(a, thread)
            case 137, 138: try fileSystem(a)
            case 140: usualPriority  // getpriority: as much less as it is nicer
            case 143: try schedulingParameters(a)
            // setpriority, sched_setparam, sched_setscheduler, sched_getscheduler: all are equal.
            case 141, 142, 144, 145: 0
            case 157: try processControl(a, thread)
            case 158: try archControl(a, thread)
            case 160: 0  // setrlimit
            // Extended attributes: as of a file system without.
            case 188...199: throw .notSupported
            case 200: try killThread(a.a, a.b)
            case 201: try time(a)
            case 202: try futex(a, thread)
            case 203: 0  // sched_setaffinity: there is one processor
            case 204: try affinity(a)
            case 213: try makeEpoll(0)
            case 217: try folderEntries(a)
            case 218: setThreadAddress(a.a, thread)
            case 221: 0  // fadvise64
            case 228: try clockTime(a.a, a.b)
            case 229: try clockResolution(a)
            case 230: try sleepUntil(a, thread)
            case 231: try exitProcess(a.a)
            case 232: try waitForEvents(a, thread, milliseconds: Int32(truncatingIfNeeded: a.d))
            case 233: try controlEpoll(a)
            case 234: try killThread(a.b, a.c)
            case 257: try open(at: a.a, a.b, UInt32(truncatingIfNeeded: a.c), a.d)
            case 258: try makeFolder(a.a, a.b, a.c)
            case 260: 0  // fchownat
            case 262: try status(at: a)
            case 263: try remove(a.a, a.b, a.c)
            case 264: try rename(a.a, a.b, a.c, a.d, 0)
            case 265: try link(a.a, a.b, a.c, a.d)
            case 266: try makeLink(a.a, a.b, a.c)
            case 267: try readLink(a.a, a.b, a.c, a.d)
            case 268: try changeMode(a.a, a.b, a.c)
            case 269, 439: try access(at: a.a, a.b)
            case 270: try select(a, thread)
            case 271: try pollWithMask(a, thread)
            case 273: setRobustList(a, thread)
            case 280: 0  // utimensat
            case 281: try waitForEvents(a, thread, milliseconds: Int32(truncatingIfNeeded: a.d))
            case 282: try makeSignalFile(a, 0)
            case 283: try makeTimer(a)
            case 285: try allocate(a)
            case 286: try setTimer(a)
            case 287: try getTimer(a)
            case 284: try makeEvent(a.a, 0)
            case 288: try accept(a.a, a.b, a.c, a.d, thread)
            case 289: try makeSignalFile(a, a.d)
            case 290: try makeEvent(a.a, a.b)
            case 291: try makeEpoll(a.a)
            case 292: try duplicate(a.a, to: a.b, a.c, allowsSame: false)
            case 293: try pipe(a.a, a.b)
            case 295: try readVectorAt(a)
            case 296: try writeVectorAt(a)
            case 302: try limits(a)
            case 316: try rename(a.a, a.b, a.c, a.d, a.e)
            case 318: try random(a)
            case 319: try makeMemoryFile(a.a, a.b)
            case 332: throw .notImplemented  // statx: C libraries fall back to fstatat
            case 334: throw .notImplemented  // rseq: nothing is gained by it on one processor
            case 435: try cloneByStructure(a, thread)
            case 436: try closeRange(a)
            default: try unknown(number, thread)
            }
        }

        @inline(__always)
        static func signed(_ value: UInt64) -> Int64 { Int64(bitPattern: value) }

        /// AT_FDCWD.
        static var current: UInt64 { UInt64(bitPattern: -100) }
        /// What getpriority(2) answers for a thread that is not nice.
        private static var usualPriority: Int64 { 20 }
        /// The one process.
        static var ownProcess: Int64 { 1 }

        /// Whether a call is made again after a handler with SA_RESTART: those that wait without a
        /// deadline of their own (signal(7)).
        static func isRestarted(_ number: UInt64, _ wait: WaitState) -> Bool {
            switch number {
            case 0, 1, 19, 20, 40, 42, 43, 44, 45, 46, 47, 288: true
            // Made again, it would wait for all of its time again.
            case 202: wait.deadline == .max
            default: false
            }
        }

        nonisolated(unsafe) private static var reported = PlainList<UInt64>()

        /// A call that is not there, said once (ENOSYS).
        @inline(never)
        private static func unknown(_ number: UInt64, _ thread: LinuxThread) throws(Errno) -> Int64
        {
            if reported.firstIndex(where: { $0 == number }) == nil {
                reported.append(number)
                StandardOutput.flush()
                Console.write("swiftlet: system call ")
                let name = CallNames.name(number)
                if name.utf8CodeUnitCount > 0 {
                    Console.write(name)
                } else {
                    Console.write(decimal: number)
                }
                Console.write(" is not there; it was made here:\n")
                Faults.writeFrame(thread.frame.registers.rip)
            }
            throw .notImplemented
        }
    }
#endif
