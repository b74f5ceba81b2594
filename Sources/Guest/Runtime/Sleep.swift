// Sleeping, and how long the machine has been up: what `Task.sleep` and `ContinuousClock` are
// elsewhere (Embedded Swift has neither).

import SwiftletMachine
import _Concurrency

#if hasFeature(Embedded)
    /// Time since the machine's clock was first read. Monotonic.
    public func uptime() -> Duration {
        .nanoseconds(Int64(Clock.now))
    }

    /// Suspends the task for at least `duration`. Ends at once if the task is cancelled.
    public func sleep(for duration: Duration) async {
        await sleep(until: Clock.deadline(after: duration))
    }

    /// Suspends the task until a time of the machine's clock, in nanoseconds. Ends at once if the
    /// task is cancelled.
    func sleep(until deadline: UInt64) async {
        _ = await Waits.cancellableWait(until: deadline) { _ in }
    }

    extension Clock {
        /// Now and `duration`, in nanoseconds of the clock; `.max` if that is beyond its range.
        public static func deadline(after duration: Duration) -> UInt64 {
            let (seconds, attoseconds) = duration.components
            guard seconds >= 0, attoseconds >= 0 else { return 0 }
            let whole = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
            let rest = UInt64(attoseconds) / 1_000_000_000
            let sum = whole.partialValue.addingReportingOverflow(rest)
            let deadline = sum.partialValue.addingReportingOverflow(now)
            return whole.overflow || sum.overflow || deadline.overflow
                ? .max : deadline.partialValue
        }
    }
#endif
