// Signals: what they do, who they are for, and which wait (signal(7), sigaction(2)).

import SwiftletMachine

#if hasFeature(Embedded)
    /// Numbers of signals.
    enum Signal {
        static let illegal: Int32 = 4
        static let trap: Int32 = 5
        static let abort: Int32 = 6
        static let bus: Int32 = 7
        static let arithmetic: Int32 = 8
        static let kill: Int32 = 9
        static let segmentation: Int32 = 11
        static let pipe: Int32 = 13
        static let alarm: Int32 = 14
        static let child: Int32 = 17
        static let stop: Int32 = 19
        static let urgent: Int32 = 23
        static let window: Int32 = 28
        static let continueProcess: Int32 = 18
        static let last: Int32 = 64

        static func bit(_ signal: Int32) -> UInt64 { 1 << UInt64(signal - 1) }

        /// Those that no mask holds back.
        static var unmaskable: UInt64 { bit(kill) | bit(stop) }

        /// Whether the default is to do nothing. There are no terminals and no other processes, so
        /// nothing stops or continues.
        static func isIgnoredByDefault(_ signal: Int32) -> Bool {
            switch signal {
            case child, urgent, window, continueProcess, stop, 20, 21, 22: true
            default: false
            }
        }
    }

    /// What a signal does, as the program has said (struct sigaction of the kernel's).
    struct SignalAction: BitwiseCopyable {
        var handler: UInt64 = 0
        var flags: UInt64 = 0
        var restorer: UInt64 = 0
        var mask: UInt64 = 0

        static let byDefault: UInt64 = 0
        static let ignored: UInt64 = 1
        static let onStack: UInt64 = 0x0800_0000
        static let restarts: UInt64 = 0x1000_0000
        static let noDefer: UInt64 = 0x4000_0000
        static let resets: UInt64 = 0x8000_0000
    }

    /// What a handler is told of a signal.
    struct SignalInformation: BitwiseCopyable {
        var signal: Int32
        var code: Int32 = 0
        /// The faulting address; else sender and value.
        var address: UInt64 = 0
    }

    /// A thread's mask, its pending signals, its stack for handlers.
    struct ThreadSignals {
        var mask: UInt64 = 0
        var pending: [SignalInformation] = []
        var pendingBits: UInt64 = 0
        var stackBase: UInt64 = 0
        var stackSize: UInt64 = 0
        var stackIsDisabled = true

        @inline(__always)
        var mayBeDelivered: Bool { (pendingBits | ProcessSignals.pendingBits) & ~mask != 0 }
    }

    /// What all threads share.
    enum ProcessSignals {
        nonisolated(unsafe) static var actions = [SignalAction](
            repeating: SignalAction(), count: Int(Signal.last) + 1)
        nonisolated(unsafe) static var pending: [SignalInformation] = []
        nonisolated(unsafe) static var pendingBits: UInt64 = 0

        private static func isIgnored(_ signal: Int32) -> Bool {
            let handler = actions[Int(signal)].handler
            return handler == SignalAction.ignored
                || handler == SignalAction.byDefault && Signal.isIgnoredByDefault(signal)
        }

        /// Sends a signal to one thread; standard ones do not queue.
        static func send(_ information: SignalInformation, to thread: LinuxThread) {
            let bit = Signal.bit(information.signal)
            if isIgnored(information.signal), thread.signals.mask & bit == 0 { return }
            guard thread.signals.pendingBits & bit == 0 else { return }
            thread.signals.pendingBits |= bit
            thread.signals.pending.append(information)
            SignalFile.note(bit)
            if (thread.signals.mask & ~thread.wait.awaitedSignals) & bit == 0 {
                Scheduler.wake(thread)
            }
        }

        /// Sends a signal to the process: whichever thread lets it through gets it.
        static func send(_ information: SignalInformation) {
            let bit = Signal.bit(information.signal)
            // What the first thread blocks is kept, ignored or not: somebody may read it.
            let isBlocked =
                !Scheduler.threads.isEmpty && Scheduler.threads[0].signals.mask & bit != 0
            guard isBlocked || !isIgnored(information.signal), pendingBits & bit == 0 else {
                return
            }
            pendingBits |= bit
            pending.append(information)
            SignalFile.note(bit)
            for index in Scheduler.threads.indices {
                let thread = Scheduler.threads[index]
                if (thread.signals.mask & ~thread.wait.awaitedSignals) & bit == 0 {
                    return Scheduler.wake(thread)
                }
            }
        }

        /// The next signal that `thread` may get, taken out.
        static func take(for thread: LinuxThread, from allowed: UInt64) -> SignalInformation? {
            for index in thread.signals.pending.indices {
                let bit = Signal.bit(thread.signals.pending[index].signal)
                guard allowed & bit != 0 else { continue }
                thread.signals.pendingBits &= ~bit
                return thread.signals.pending.remove(at: index)
            }
            for index in pending.indices {
                let bit = Signal.bit(pending[index].signal)
                guard allowed & bit != 0 else { continue }
                pendingBits &= ~bit
                return pending.remove(at: index)
            }
            return nil
        }
    }
#endif
