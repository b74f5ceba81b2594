// Ctrl-C and kill: passed on to the machine that runs, once politely, then for good.

import Glibc
import Synchronization

/// Hands the tool's own signals to the monitor's process.
public enum MachineSignals {
    /// The monitor's process; 0 while none runs.
    private static let process = Atomic<Int32>(0)
    /// The first signal that came.
    private static let received = Atomic<Int32>(0)

    /// From now on SIGINT, SIGTERM and SIGHUP stop the machine instead of this process.
    public static func install() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            // A signal handler may only use what is async-signal-safe: kill(2), _exit(2), atomics.
            signal(number) { number in
                let first = MachineSignals.received.exchange(number, ordering: .relaxed) == 0
                let process = MachineSignals.process.load(ordering: .relaxed)
                if process > 0 {
                    kill(process, first ? SIGTERM : SIGKILL)
                } else {
                    _exit(128 + number)
                }
            }
        }
    }

    /// The signal that stopped the machine; nil if none came.
    static var stoppedBy: Int32? {
        let number = received.load(ordering: .relaxed)
        return number == 0 ? nil : number
    }

    /// Signals go to `identifier` from now on; 0 for none.
    static func watch(_ identifier: Int32) {
        process.store(identifier, ordering: .relaxed)
    }
}
