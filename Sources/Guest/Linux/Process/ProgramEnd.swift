// The end of the program, which is the end of the machine.

import SwiftletMachine
import SwiftletRuntime

#if hasFeature(Embedded)
    /// How the machine ends with the program.
    enum ProgramEnd {
        nonisolated(unsafe) private static var code: Int32?
        nonisolated(unsafe) private static var latest = UInt64.max
        /// How long peers are waited for that have not yet acknowledged what they were sent: Linux
        /// would go on sending after a program's end, a machine that is off does not.
        private static let patience: UInt64 = 1_000_000_000
        /// Told by the network, where there is one.
        nonisolated(unsafe) static var hasUndelivered: () -> Bool = { false }

        /// All threads end; the host gets this exit code.
        static func exit(code: Int32) {
            for index in Scheduler.threads.indices { Scheduler.threads[index].state = .ended }
            guard hasUndelivered() else { Exit.exit(code: code) }
            self.code = code
            latest = Clock.now &+ patience
        }

        /// A signal ends it: what a shell shows of such a program.
        static func exit(signal: Int32) { exit(code: 128 + signal) }

        static func poll(now: UInt64) {
            guard let code else { return }
            if now >= latest || !hasUndelivered() { Exit.exit(code: code) }
        }

        static var deadline: UInt64 { code == nil ? .max : Clock.now &+ 1_000_000 }
    }
#endif
