// The end of a machine that has just answered: what was sent must have arrived first.

import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    extension Network {
        /// Waits until the peers have acknowledged all that was sent, or `nanoseconds` have passed:
        /// a machine that has ended sends nothing again.
        @inline(never)
        nonisolated(nonsending) func waitUntilDelivered(within nanoseconds: UInt64) async {
            let end = now.nanoseconds &+ nanoseconds
            let place = Waits.makePlace()
            while stack.hasUndelivered, now.nanoseconds < end {
                // Acknowledgements make no events of their own.
                _ = await Waits.wait(at: place, until: min(now.nanoseconds &+ 5_000_000, end))
            }
        }
    }
#endif
