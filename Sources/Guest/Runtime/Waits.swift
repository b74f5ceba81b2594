// Waiting tasks: each wait ends once, by an event, its deadline, or cancellation.

import SwiftletMachine
import _Concurrency

#if hasFeature(Embedded)
    /// How a wait ended.
    public enum WaitResult: UInt8, Sendable {
        case woken
        case timedOut
        case cancelled
    }

    /// Names one wait. One that has ended is recognised, and waking it does nothing.
    public struct WaitID: Equatable, Sendable {
        fileprivate var slot: Int32
        fileprivate var generation: UInt32

        /// No wait at all.
        public static var none: WaitID { WaitID(slot: -1, generation: 0) }

        @inline(__always) public var isNone: Bool { slot < 0 }
    }

    /// The table of waits. Its slots are reused, the latest first; their timers lie in `Timers`.
    public enum Waits {
        private struct Slot {
            var continuation: UnsafeContinuation<WaitResult, Never>?
            /// A job of the runtime's that waits for a time, instead of a continuation.
            var job: UnsafeMutableRawPointer?
            var generation: UInt32
            var nextFree: Int32
        }

        // A table of its own instead of an array: no reference to count, no copy to fear.
        nonisolated(unsafe) private static var slots: UnsafeMutablePointer<Slot>?
        nonisolated(unsafe) private static var slotCount: Int32 = 0
        nonisolated(unsafe) private static var firstFree: Int32 = -1

        /// Suspends the task until the wait is woken or `deadline` (nanoseconds of the machine's
        /// clock; `.max`: none) passes. `register` stores the wait's name where the waker finds it.
        @inline(__always)
        nonisolated(nonsending)
            public static func wait(
                until deadline: UInt64 = .max, _ register: (WaitID) -> Void
            ) async -> WaitResult
        {
            await withUnsafeContinuation { continuation in
                register(add(continuation, job: nil, deadline: deadline))
            }
        }

        /// Ends a wait. Does nothing if it has ended already.
        public static func wake(_ id: WaitID, _ result: WaitResult = .woken) {
            guard id.slot >= 0, slot(id.slot).pointee.generation == id.generation else { return }
            end(id.slot, result)
        }

        static func schedule(_ job: UnsafeMutableRawPointer, at deadline: UInt64) {
            _ = add(nil, job: job, deadline: deadline)
        }

        static func fireTimers(now: UInt64) {
            while let slot = Timers.nextDue(now: now) { end(slot, .timedOut) }
        }

        @inline(__always)
        private static func slot(_ index: Int32) -> UnsafeMutablePointer<Slot> {
            slots.unsafelyUnwrapped + Int(index)
        }

        private static func add(
            _ continuation: UnsafeContinuation<WaitResult, Never>?,
            job: UnsafeMutableRawPointer?, deadline: UInt64
        ) -> WaitID {
            if firstFree < 0 { grow() }
            let index = firstFree
            let slot = slot(index)
            firstFree = slot.pointee.nextFree
            slot.pointee.continuation = continuation
            slot.pointee.job = job
            if deadline != .max { Timers.start(index, deadline: deadline) }
            return WaitID(slot: index, generation: slot.pointee.generation)
        }

        private static func end(_ index: Int32, _ result: WaitResult) {
            Timers.stop(index)
            let slot = slot(index)
            let continuation = slot.pointee.continuation
            let job = slot.pointee.job
            slot.pointee.continuation = nil
            slot.pointee.generation &+= 1
            slot.pointee.nextFree = firstFree
            firstFree = index
            if let continuation {
                continuation.resume(returning: result)
            } else if let job {
                ReadyQueue.append(job)
            }
        }

        @inline(never)
        private static func grow() {
            let count = max(slotCount * 2, 16)
            let larger = UnsafeMutablePointer<Slot>.allocate(capacity: Int(count))
            if let slots {
                larger.moveInitialize(from: slots, count: Int(slotCount))
                slots.deallocate()
            }
            var index = count
            while index > slotCount {
                index -= 1
                (larger + Int(index)).initialize(
                    to: Slot(continuation: nil, job: nil, generation: 1, nextFree: firstFree))
                firstFree = index
            }
            slots = larger
            slotCount = count
            Timers.reserve(count)
        }
    }
#endif
