// The hooks by which Swift's concurrency runtime hands us its jobs
// (contract: <toolchain>/usr/include/swift/ExecutorImpl.h).

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    /// Jobs that can run now, first in, first out, chained through their own scheduler word.
    enum ReadyQueue {
        nonisolated(unsafe) private static var head: UnsafeMutableRawPointer?
        nonisolated(unsafe) private static var tail: UnsafeMutableRawPointer?
        /// SwiftJob.schedulerPrivate[0], free for the executor's use.
        private static let linkOffset = 16

        static var isEmpty: Bool { head == nil }

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
        static func runTurn() {
            guard let last = tail else { return }
            while let job = head {
                head = job.load(fromByteOffset: linkOffset, as: UnsafeMutableRawPointer?.self)
                if head == nil { tail = nil }
                let isLast = job == last
                _swift_job_run_c(job, 0, 0)
                if isLast { return }
            }
        }
    }

    @used
    @_silgen_name("swift_task_enqueueGlobalImpl")
    func enqueueGlobal(_ job: UnsafeMutableRawPointer) {
        ReadyQueue.append(job)
    }

    @used
    @_silgen_name("swift_task_enqueueMainExecutorImpl")
    func enqueueMainExecutor(_ job: UnsafeMutableRawPointer) {
        ReadyQueue.append(job)
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
        while !condition(context) { EventLoop.turn() }
    }

    @used
    @_silgen_name("swift_task_asyncMainDrainQueueImpl")
    func asyncMainDrainQueue() -> Never {
        while true { EventLoop.turn() }
    }
#endif
