// The hooks by which Swift's concurrency runtime hands us its jobs
// (contract: <toolchain>/usr/include/swift/ExecutorImpl.h).

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    /// Jobs that can run now, first in, first out, chained through their own scheduler word.
    enum ReadyQueue {
        nonisolated(unsafe) private static var head: UnsafeMutableRawPointer?
        nonisolated(unsafe) private static var tail: UnsafeMutableRawPointer?
        // Job::SchedulerPrivate (swift/ABI/Task.h), free for the executor's use.
        /// The next job in the queue.
        private static let linkOffset = 16
        /// The context of a task that `suspendTask` suspended; nil for a job that the runtime runs.
        private static let contextOffset = 24
        /// The kind of a job, the low octet of its flags; 0 is a task.
        private static let kindOffset = 32
        /// JobKind::NullaryContinuation: any kind but a task's does.
        private static let otherKind: UInt8 = 195

        static var isEmpty: Bool { head == nil }

        /// Appends a job that the runtime handed over.
        static func append(new job: UnsafeMutableRawPointer) {
            markNew(job)
            append(job)
        }

        /// Says that the runtime runs this job.
        @inline(__always)
        static func markNew(_ job: UnsafeMutableRawPointer) {
            job.storeBytes(
                of: nil, toByteOffset: contextOffset, as: UnsafeMutableRawPointer?.self)
        }

        /// Appends such a job, or a task that `suspendTask` suspended.
        @inline(__always)
        static func append(_ job: UnsafeMutableRawPointer) {
            job.storeBytes(of: nil, toByteOffset: linkOffset, as: UnsafeMutableRawPointer?.self)
            if let tail {
                tail.storeBytes(
                    of: job, toByteOffset: linkOffset, as: UnsafeMutableRawPointer?.self)
            } else {
                head = job
            }
            tail = job
        }

        /// Runs the jobs that are ready now; those that they make ready wait for the next turn, so
        /// that devices and timers get theirs.
        @_optimize(speed)
        static func runTurn() {
            guard let last = tail else { return }
            while let job = head {
                head = job.load(fromByteOffset: linkOffset, as: UnsafeMutableRawPointer?.self)
                if head == nil { tail = nil }
                let isLast = job == last
                run(job)
                if isLast { return }
            }
        }

        @inline(__always)
        private static func run(_ job: UnsafeMutableRawPointer) {
            let context = job.load(
                fromByteOffset: contextOffset, as: UnsafeMutableRawPointer?.self)
            if context != nil {
                swiftlet_set_executor(UInt8(EXECUTOR_RESUMED))
                swiftlet_task_resume(job)
            } else {
                let isTask = job.load(fromByteOffset: kindOffset, as: UInt8.self) == 0
                swiftlet_set_executor(UInt8(isTask ? EXECUTOR_JOB : EXECUTOR_ACTOR))
                _swift_job_run_c(job, 0, 0)
            }
        }

        /// Calls `function` as a job of the runtime's, which then knows that an executor is there:
        /// for what resumes tasks by itself.
        static func asJob(_ function: @convention(c) (UnsafeMutableRawPointer) -> Void) {
            // struct Job (swift/ABI/Task.h): eight words, the last the function to call.
            withUnsafeTemporaryAllocation(byteCount: 64, alignment: 16) { job in
                let base = job.baseAddress.unsafelyUnwrapped
                base.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
                base.storeBytes(of: otherKind, toByteOffset: kindOffset, as: UInt8.self)
                base.storeBytes(
                    of: unsafeBitCast(function, to: UInt.self), toByteOffset: 56, as: UInt.self)
                _swift_job_run_c(base, 0, 0)
            }
        }
    }

    @used
    @_silgen_name("swift_task_enqueueGlobalImpl")
    func enqueueGlobal(_ job: UnsafeMutableRawPointer) {
        ReadyQueue.append(new: job)
    }

    @used
    @_silgen_name("swift_task_enqueueMainExecutorImpl")
    func enqueueMainExecutor(_ job: UnsafeMutableRawPointer) {
        ReadyQueue.append(new: job)
    }

    @used
    @_silgen_name("swift_task_enqueueGlobalWithDelayImpl")
    func enqueueGlobalWithDelay(_ nanoseconds: UInt64, _ job: UnsafeMutableRawPointer) {
        let (deadline, overflow) = Clock.now.addingReportingOverflow(nanoseconds)
        Waits.schedule(job, at: overflow ? .max : deadline)
    }

    @used
    @_silgen_name("swift_task_enqueueGlobalWithDeadlineImpl")
    func enqueueGlobalWithDeadline(
        _ seconds: Int64, _ nanoseconds: Int64, _ toleranceSeconds: Int64,
        _ toleranceNanoseconds: Int64, _ clock: Int32, _ job: UnsafeMutableRawPointer
    ) {
        let whole = UInt64(max(seconds, 0)).multipliedReportingOverflow(by: 1_000_000_000)
        let sum = whole.partialValue.addingReportingOverflow(UInt64(max(nanoseconds, 0)))
        Waits.schedule(job, at: whole.overflow || sum.overflow ? .max : sum.partialValue)
    }

    // One CPU and one executor: everything is isolated from everything else by taking turns.
    @used
    @_silgen_name("swift_task_checkIsolatedImpl")
    func checkIsolated(_ identity: UInt, _ implementation: UInt) {}

    @used
    @_silgen_name("swift_task_isIsolatingCurrentContextImpl")
    func isIsolatingCurrentContext(_ identity: UInt, _ implementation: UInt) -> Int8 { 1 }

    @used
    @_silgen_name("swift_task_getMainExecutorImpl")
    func getMainExecutor() -> (UInt, UInt) { (0, 0) }

    @used
    @_silgen_name("swift_task_isMainExecutorImpl")
    func isMainExecutor(_ identity: UInt, _ implementation: UInt) -> Bool { identity == 0 }

    @used
    @_silgen_name("swift_task_donateThreadToGlobalExecutorUntilImpl")
    func donateThread(
        _ condition: @convention(c) (UnsafeMutableRawPointer?) -> Bool,
        _ context: UnsafeMutableRawPointer?
    ) {
        while !condition(context) { ReadyQueue.asJob { _ in EventLoop.turn() } }
    }

    @used
    @_silgen_name("swift_task_asyncMainDrainQueueImpl")
    func asyncMainDrainQueue() -> Never {
        ReadyQueue.asJob { _ in while true { EventLoop.turn() } }
        fatalError("the event loop ended")
    }
#endif
