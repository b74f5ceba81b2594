// Tasks that wait for the host's request to stop.

#if hasFeature(Embedded)
    extension StopRequests {
        nonisolated(unsafe) private static var waiters: [WaitID] = []

        /// Suspends the task until the host has asked; returns at once if it has, or if the task is
        /// cancelled.
        ///
        /// - Returns: false if the task was cancelled before the host asked.
        nonisolated(nonsending) public static func wait() async -> Bool {
            listen()
            keepLoopWaiting()
            tellWaiters = {
                let all = StopRequests.waiters
                StopRequests.waiters = []
                for waiter in all { Waits.wake(waiter) }
            }
            while !isRequested {
                var id = WaitID.none
                let result = await Waits.cancellableWait {
                    id = $0
                    waiters.append($0)
                }
                if result == .cancelled {
                    waiters.removeAll { $0 == id }
                    return isRequested
                }
            }
            return true
        }

        /// A source that never has anything: without any, a loop without timers reports a deadlock.
        private static func keepLoopWaiting() {
            guard tellWaiters == nil else { return }
            EventLoop.add(EventSource())
        }
    }
#endif
