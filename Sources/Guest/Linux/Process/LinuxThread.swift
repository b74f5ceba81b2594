// A thread of the program: registers, what it waits for, and how its system calls are made.
//
// A call that has to wait keeps no stack. The thread is put into the queues of what it waits for,
// and when it is woken the call is made again from its beginning; what must outlast the wait (a
// deadline, octets that are already written) stands in `WaitState`.

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    /// What a system call that waits has to remember.
    struct WaitState {
        /// It has been made before, and waited.
        var hasStarted = false
        /// When it ends in any case, in nanoseconds of the machine's clock.
        var deadline = UInt64.max
        var hasTimedOut = false
        /// A futex's waker has taken the thread out of the queue.
        var isWoken = false
        /// The address of the futex that it waits at, 0 if none.
        var futex: UInt64 = 0
        /// Octets that were transferred before the wait.
        var progress = 0
        /// Signals that it waits for, blocked or not (sigtimedwait).
        var awaitedSignals: UInt64 = 0
        /// Mask of signals to restore at the call's end (sigsuspend, ppoll).
        var savedMask: UInt64?
    }

    /// A call that waits, or is to be made again, when a handler comes in between (signal(7)).
    struct InterruptedCall {
        enum Restart {
            case never
            /// After a handler with SA_RESTART.
            case ifWanted
            case always
        }

        /// Where it is not made again, for rax.
        var result: UInt64
        var restart: Restart
    }

    final class LinuxThread {
        enum State { case runnable, waiting, ended }

        let id: Int32
        let frame: ThreadFrame
        var fsBase: UInt64 = 0
        var gsBase: UInt64 = 0
        var state = State.runnable
        /// The call in the registers waits, or is to be made again.
        var isInCall = false
        var wait = WaitState()
        /// The call has given the processor away, or changed all registers.
        var leaves = false
        /// Back from a handler: the call in the registers is to be made again.
        var isRestarted = false
        var clearChildID: UInt64 = 0
        var robustList: UInt64 = 0
        var signals = ThreadSignals()
        var name: [UInt8] = []

        init(id: Int32) {
            self.id = id
            frame = ThreadFrame()
            frame.registers.thread_id = UInt64(id)
        }

        deinit { frame.free() }

        /// Makes the call that stands in the registers.
        ///
        /// - Returns: true if the thread can go straight on.
        @_optimize(speed)
        func systemCall() -> Bool {
            // A call that failed after it had set its deadline leaves that behind, too.
            if wait.hasStarted || wait.deadline != .max { wait = WaitState() }
            return attempt()
        }

        /// In ring 3 `syscall` is an illegal instruction: a site that could not be rewritten. Leaves
        /// the registers as the instruction would.
        ///
        /// - Returns: false if another one is illegal there.
        @inline(never)
        func stepOverSystemCall() -> Bool {
            let instruction = try? UserMemory.load(frame.registers.rip, as: UInt16.self)
            guard instruction == 0x050F else { return false }
            frame.registers.rip &+= 2
            frame.registers.rcx = frame.registers.rip
            frame.registers.r11 = frame.registers.rflags
            return true
        }

        /// Makes the call, again if it has waited.
        func attempt() -> Bool {
            do throws(Errno) {
                frame.registers.rax = UInt64(bitPattern: try perform())
            } catch {
                if error == .suspended { return suspend() }
                frame.registers.rax = UInt64(bitPattern: -Int64(error.code))
            }
            isInCall = false
            if wait.savedMask != nil || signals.mayBeDelivered { return endWithSignals() }
            if leaves {
                leaves = false
                isInCall = isRestarted
                isRestarted = false
                Scheduler.makeReady(self)
                return false
            }
            return true
        }

        /// The call has to wait, unless a signal ends it.
        @inline(never)
        private func suspend() -> Bool {
            guard state != .ended else { return false }
            wait.hasStarted = true
            if signals.mayBeDelivered {
                isInCall = false
                deliverSignals(during: interruptedCall)
                if state != .ended { Scheduler.makeReady(self) }
                return false
            }
            isInCall = true
            state = .waiting
            Scheduler.note(deadline: wait.deadline)
            return false
        }

        /// The call in the registers, which waits, as a signal finds it.
        private var interruptedCall: InterruptedCall {
            // What was transferred is the result: made again, the call would transfer it again.
            if wait.progress > 0 {
                return InterruptedCall(result: UInt64(wait.progress), restart: .never)
            }
            return InterruptedCall(
                result: UInt64(bitPattern: -Int64(Errno.interrupted.code)),
                restart: Calls.isRestarted(frame.registers.rax, wait) ? .ifWanted : .never)
        }

        @inline(never)
        private func endWithSignals() -> Bool {
            // Back from one handler the call was to be made again; that still holds after the next.
            let call = isRestarted ? InterruptedCall(result: 0, restart: .always) : nil
            (leaves, isRestarted) = (false, false)
            deliverSignals(during: call)
            if state != .ended { Scheduler.makeReady(self) }
            return false
        }

        @inline(__always)
        private func perform() throws(Errno) -> Int64 {
            try Calls.perform(frame.registers.rax, Arguments(frame), self)
        }

        // MARK: Waiting

        /// Sets the deadline of a call once: a call that is made again keeps its own.
        func setDeadline(after nanoseconds: UInt64?) {
            guard !wait.hasStarted, let nanoseconds else { return }
            let (sum, overflow) = Clock.now.addingReportingOverflow(nanoseconds)
            wait.deadline = overflow ? .max : sum
        }

        /// The thread's time: registers as they are, until it leaves.
        func run() {
            state = .runnable
            if isInCall, !attempt() { return }
            if signals.mayBeDelivered {
                deliverSignals(during: nil)
                if state == .ended { return }
            }
            ProgramMode.setBases(fs: fsBase, gs: gsBase)
            if frame.resume() == .timer { Scheduler.makeReady(self) }
        }
    }

    /// Threads that wait for the same thing.
    struct WaitQueue: ~Copyable {
        private var threads = PlainList<LinuxThread>()

        /// Remembers that this thread waits here. It may wait elsewhere, too.
        mutating func add(_ thread: LinuxThread) {
            if threads.firstIndex(of: thread) == nil { threads.append(thread) }
        }

        /// Has all of them look again. Waking only makes them ready, so nobody comes back meanwhile.
        @inline(__always)
        mutating func wakeAll() {
            guard !threads.isEmpty else { return }
            for index in threads.indices {
                threads.unretained(index).borrowed { Scheduler.wake($0) }
            }
            threads.removeAll()
        }

        mutating func free() { threads.free() }
    }
#endif
