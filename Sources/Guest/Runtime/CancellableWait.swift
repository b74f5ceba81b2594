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

        /// Like `wait(at:)`, but ends with `.cancelled` when the task is cancelled, or was before.
        nonisolated(nonsending)
            public static func cancellableWait(
                at place: WaitPlace, until deadline: UInt64 = .max
            ) async -> WaitResult
        {
            await withTaskCancellationHandler {
                guard !Task.isCancelled else { return .cancelled }
                return await wait(at: place, until: deadline)
            } onCancel: {
                // Nobody else waits at the place, so this ends the task's own wait or nothing.
                wake(place, .cancelled)
            }
        }
    }

    private final class WaitReference: @unchecked Sendable {
        var id = WaitID.none
    }
#endif
