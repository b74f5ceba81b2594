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
        public static let none = WaitID(slot: -1, generation: 0)

        public var isNone: Bool { slot < 0 }
    }

    /// The table of waits, and a binary heap of those that have a deadline.
    public enum Waits {
        private struct Slot {
            var continuation: UnsafeContinuation<WaitResult, Never>?
            /// A job of the runtime's that waits for a time, instead of a continuation.
            var job: UnsafeMutableRawPointer?
            var deadline: UInt64
            var generation: UInt32
            /// Place in the heap; -1 without a deadline.
            var heapIndex: Int32
            var nextFree: Int32
        }

        nonisolated(unsafe) private static var slots: [Slot] = []
        nonisolated(unsafe) private static var firstFree: Int32 = -1
        nonisolated(unsafe) private static var heap: [Int32] = []

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
            guard id.slot >= 0, slots[Int(id.slot)].generation == id.generation else { return }
            end(id.slot, result)
        }

        static func schedule(_ job: UnsafeMutableRawPointer, at deadline: UInt64) {
            _ = add(nil, job: job, deadline: deadline)
        }

        static var hasTimers: Bool { !heap.isEmpty }

        static var nextDeadline: UInt64 {
            heap.isEmpty ? .max : slots[Int(heap[0])].deadline
        }

        static func fireTimers(now: UInt64) {
            while !heap.isEmpty, slots[Int(heap[0])].deadline <= now { end(heap[0], .timedOut) }
        }

        private static func add(
            _ continuation: UnsafeContinuation<WaitResult, Never>?,
            job: UnsafeMutableRawPointer?, deadline: UInt64
        ) -> WaitID {
            let slot: Int32
            if firstFree >= 0 {
                slot = firstFree
                firstFree = slots[Int(slot)].nextFree
            } else {
                slot = Int32(slots.count)
                slots.append(
                    Slot(
                        continuation: nil, job: nil, deadline: .max, generation: 1, heapIndex: -1,
                        nextFree: -1))
            }
            slots[Int(slot)].continuation = continuation
            slots[Int(slot)].job = job
            slots[Int(slot)].deadline = deadline
            if deadline != .max {
                heap.append(slot)
                slots[Int(slot)].heapIndex = Int32(heap.count - 1)
                siftUp(heap.count - 1)
            }
            return WaitID(slot: slot, generation: slots[Int(slot)].generation)
        }

        private static func end(_ slot: Int32, _ result: WaitResult) {
            let index = Int(slot)
            if slots[index].heapIndex >= 0 { removeFromHeap(Int(slots[index].heapIndex)) }
            let continuation = slots[index].continuation
            let job = slots[index].job
            slots[index].continuation = nil
            slots[index].job = nil
            slots[index].generation &+= 1
            slots[index].nextFree = firstFree
            firstFree = slot
            if let continuation { continuation.resume(returning: result) }
            if let job { ReadyQueue.append(job) }
        }

        // MARK: Heap

        private static func deadline(_ index: Int) -> UInt64 { slots[Int(heap[index])].deadline }

        private static func place(_ slot: Int32, at index: Int) {
            heap[index] = slot
            slots[Int(slot)].heapIndex = Int32(index)
        }

        private static func siftUp(_ start: Int) {
            var index = start
            let slot = heap[index]
            let key = slots[Int(slot)].deadline
            while index > 0 {
                let parent = (index - 1) / 2
                guard deadline(parent) > key else { break }
                place(heap[parent], at: index)
                index = parent
            }
            place(slot, at: index)
        }

        private static func siftDown(_ start: Int) {
            var index = start
            let slot = heap[index]
            let key = slots[Int(slot)].deadline
            while true {
                var child = index * 2 + 1
                guard child < heap.count else { break }
                if child + 1 < heap.count, deadline(child + 1) < deadline(child) { child += 1 }
                guard deadline(child) < key else { break }
                place(heap[child], at: index)
                index = child
            }
            place(slot, at: index)
        }

        private static func removeFromHeap(_ index: Int) {
            slots[Int(heap[index])].heapIndex = -1
            let last = heap.removeLast()
            guard index < heap.count else { return }
            place(last, at: index)
            siftDown(index)
            siftUp(Int(slots[Int(last)].heapIndex))
        }
    }
#endif
