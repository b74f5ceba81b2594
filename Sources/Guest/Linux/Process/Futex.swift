// Futexes (futex(2)): threads that wait at a word of memory until another wakes them.

import SwiftletMachine

#if hasFeature(Embedded)
    /// Who waits where.
    enum Futex {
        private struct Waiter {
            var address: UInt64
            var bits: UInt32
            var thread: LinuxThread
        }

        nonisolated(unsafe) private static var waiters: [Waiter] = []

        /// Waits at `address` while it holds `expected`.
        static func wait(
            _ thread: LinuxThread, at address: UInt64, expected: UInt32, bits: UInt32
        ) throws(Errno) -> Int64 {
            guard bits != 0 else { throw .invalid }
            if thread.wait.hasStarted {
                if thread.wait.isWoken { return 0 }
                if thread.wait.hasTimedOut {
                    cancel(thread)
                    throw .timedOut
                }
                throw .suspended
            }
            guard try UserMemory.futexWord(address) == expected else { throw .again }
            thread.wait.futex = address
            waiters.append(Waiter(address: address, bits: bits, thread: thread))
            throw .suspended
        }

        /// Wakes at most `count` that wait at `address` with one of `bits`, the first to come first.
        static func wake(at address: UInt64, count: Int, bits: UInt32 = .max) -> Int {
            var woken = 0
            var index = 0
            while index < waiters.count, woken < count {
                guard waiters[index].address == address, waiters[index].bits & bits != 0 else {
                    index += 1
                    continue
                }
                let thread = waiters.remove(at: index).thread
                thread.wait.isWoken = true
                thread.wait.futex = 0
                Scheduler.wake(thread)
                woken += 1
            }
            return woken
        }

        /// Has at most `count` more wait at another address instead.
        static func requeue(from address: UInt64, to other: UInt64, count: Int) -> Int {
            var moved = 0
            var index = 0
            while index < waiters.count, moved < count {
                if waiters[index].address == address {
                    waiters[index].address = other
                    waiters[index].thread.wait.futex = other
                    moved += 1
                }
                index += 1
            }
            return moved
        }

        /// Takes a thread out whose wait has ended otherwise.
        static func cancel(_ thread: LinuxThread) {
            guard thread.wait.futex != 0 else { return }
            thread.wait.futex = 0
            waiters.removeAll { $0.thread === thread }
        }
    }
#endif
