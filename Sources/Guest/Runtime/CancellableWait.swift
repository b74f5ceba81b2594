// Waits that the task's cancellation ends too.

import _Concurrency

#if hasFeature(Embedded)
    extension Waits {
        /// Like `wait`, but ends with `.cancelled` when the task is cancelled, or was before. It
        /// costs a little more, so what serves requests by the hundred thousand uses `wait`.
        nonisolated(nonsending)
            public static func cancellableWait(
                until deadline: UInt64 = .max, _ register: (WaitID) -> Void
            ) async -> WaitResult
        {
            // The name of the wait, for the handler; on one CPU nothing runs between.
            let reference = WaitReference()
            return await withTaskCancellationHandler {
                guard !Task.isCancelled else { return .cancelled }
                return await wait(until: deadline) { id in
                    reference.id = id
                    register(id)
                }
            } onCancel: {
                wake(reference.id, .cancelled)
            }
        }
    }

    private final class WaitReference: @unchecked Sendable {
        var id = WaitID.none
    }
#endif
