// The host asks the application to finish: `swiftlet stop`, or Ctrl-C.

import SwiftletRuntime

#if hasFeature(Embedded)
    extension Application {
        /// Suspends the task until the host asks the application to finish; returns at once if it
        /// has asked already. An `HTTPServer` stops by itself; everything else waits for this:
        ///
        ///     Task {
        ///         if await Application.stopRequested() { listener.close() }
        ///     }
        ///
        /// The machine ends when `main` returns. If it does not within the host's deadline, ten
        /// seconds unless another was given, it is stopped where it stands.
        ///
        /// - Returns: true if the host has asked, false if the task was cancelled before.
        @discardableResult
        nonisolated(nonsending) public static func stopRequested() async -> Bool {
            await StopRequests.wait()
        }
    }
#endif
