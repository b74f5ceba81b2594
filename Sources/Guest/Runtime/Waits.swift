// Waiting tasks: each wait ends once, by an event, its deadline, or cancellation.

import CSwiftletMachine
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
    public struct WaitID: Equatable, Sendable, BitwiseCopyable {
        fileprivate var place: Int32
        fileprivate var generation: UInt32

        /// No wait at all.
        public static var none: WaitID { WaitID(place: -1, generation: 0) }

        @inline(__always) public var isNone: Bool { place < 0 }
    }

    /// A place to wait at, one task at a time, as often as wanted: for what is waited for again and
    /// again, like the next request of a connection. It lives as long as the machine.
    public struct WaitPlace: Equatable, Sendable, BitwiseCopyable {
        fileprivate var index: Int32

        public static var none: WaitPlace { WaitPlace(index: -1) }

        @inline(__always) public var isNone: Bool { index < 0 }
    }

    /// Suspends the task (tasks.S). Whoever gives the job that it leaves in `place` to `ReadyQueue`
    /// resumes it. Not for a task on an actor: that one has to be resumed by way of its actor.
    @_silgen_name("swiftlet_task_suspend")
    nonisolated(nonsending)
        func suspendTask(_ place: UnsafeMutablePointer<UnsafeMutableRawPointer?>) async

    /// The table of places. Those of single waits are used again, the latest first; their timers lie
    /// in `Timers`.
    public enum Waits {
        private struct Place {
            /// What `ReadyQueue` gets at the end: the task that waits, or a job of the runtime's.
            var job: UnsafeMutableRawPointer?
            /// A task that waits on an actor, instead.
            var continuation: UnsafeContinuation<Void, Never>?
            var generation: UInt32
            var nextFree: Int32
            var result: WaitResult
            /// A job of the runtime's: nobody is there to give the place back.
            var isForJob: Bool
        }

        // A table of its own instead of an array: no reference to count, no copy to fear.
        nonisolated(unsafe) private static var places: UnsafeMutablePointer<Place>?
        nonisolated(unsafe) private static var placeCount: Int32 = 0
        nonisolated(unsafe) private static var firstFree: Int32 = -1

        /// Suspends the task until the wait is woken or `deadline` (nanoseconds of the machine's
        /// clock; `.max`: none) passes. `register` stores the wait's name where the waker finds it;
        /// the wait cannot be woken before it returns.
        @inline(__always)
        nonisolated(nonsending)
            public static func wait(
                until deadline: UInt64 = .max, _ register: (WaitID) -> Void
            ) async -> WaitResult
        {
            let index = take()
            if deadline != .max { Timers.start(index, deadline: deadline) }
            register(WaitID(place: index, generation: place(index).pointee.generation))
            await suspend(at: index)
            let result = place(index).pointee.result
            giveBack(index)
            return result
        }

        /// Ends a wait. Does nothing if it has ended already.
        public static func wake(_ id: WaitID, _ result: WaitResult = .woken) {
            guard id.place >= 0, place(id.place).pointee.generation == id.generation else { return }
            end(id.place, result)
        }

        /// A new place, for good.
        public static func makePlace() -> WaitPlace { WaitPlace(index: take()) }

        /// Suspends the task until the place is woken or `deadline` passes.
        @inline(never)
        nonisolated(nonsending)
            public static func wait(
                at place: WaitPlace, until deadline: UInt64 = .max
            ) async -> WaitResult
        {
            await suspend(at: place, until: deadline)
            return Waits.place(place.index).pointee.result
        }

        /// As `wait`, without the result: for the few places where a call more counts.
        @inline(__always)
        nonisolated(nonsending)
            public static func suspend(at place: WaitPlace, until deadline: UInt64) async
        {
            if let job = begin(at: place.index, until: deadline) {
                await suspendTask(job)
            } else {
                await suspendOnActor(at: place.index)
            }
        }

        /// Starts the timer of a place that is used again and again.
        ///
        /// - Returns: where `suspendTask` leaves the task; nil if it runs on an actor.
        @inline(never) @_optimize(speed)
        private static func begin(
            at index: Int32, until deadline: UInt64
        ) -> UnsafeMutablePointer<UnsafeMutableRawPointer?>? {
            if deadline != .max {
                Timers.start(index, deadline: deadline)
            } else {
                Timers.stop(index)
            }
            return jobPlace(index)
        }

        @inline(__always)
        private static func jobPlace(
            _ index: Int32
        ) -> UnsafeMutablePointer<UnsafeMutableRawPointer?>? {
            guard swiftlet_get_executor() != UInt8(EXECUTOR_ACTOR) else { return nil }
            // The first property of a place.
            return UnsafeMutableRawPointer(place(index)).assumingMemoryBound(
                to: UnsafeMutableRawPointer?.self)
        }

        /// Ends the wait at a place, if a task waits there. Its timer may run on.
        @inline(__always) @_optimize(speed)
        public static func wake(_ place: WaitPlace, _ result: WaitResult = .woken) {
            if !place.isNone { end(place.index, result) }
        }

        /// Ends the wait at a place before its event, as a cancelled task's. Rare, so it is small.
        public static func interrupt(_ place: WaitPlace) {
            guard !place.isNone else { return }
            let generation = self.place(place.index).pointee.generation
            wake(WaitID(place: place.index, generation: generation), .cancelled)
        }

        static func schedule(_ job: UnsafeMutableRawPointer, at deadline: UInt64) {
            let index = take()
            ReadyQueue.markNew(job)
            place(index).pointee.job = job
            place(index).pointee.isForJob = true
            Timers.start(index, deadline: deadline)
        }

        @inline(__always)
        static func fireTimers(now: UInt64) {
            while let index = Timers.nextDue(now: now) { end(index, .timedOut) }
        }

        @inline(__always)
        private static func place(_ index: Int32) -> UnsafeMutablePointer<Place> {
            places.unsafelyUnwrapped + Int(index)
        }

        nonisolated(nonsending) private static func suspend(at index: Int32) async {
            if let job = jobPlace(index) {
                await suspendTask(job)
            } else {
                await suspendOnActor(at: index)
            }
        }

        @inline(never)
        nonisolated(nonsending) private static func suspendOnActor(at index: Int32) async {
            await withUnsafeContinuation { place(index).pointee.continuation = $0 }
        }

        @_optimize(speed)
        private static func end(_ index: Int32, _ result: WaitResult) {
            let place = place(index)
            if let job = place.pointee.job {
                place.pointee.job = nil
                place.pointee.result = result
                ReadyQueue.append(job)
                if place.pointee.isForJob { giveBack(index) }
            } else if let continuation = place.pointee.continuation {
                place.pointee.continuation = nil
                place.pointee.result = result
                continuation.resume()
            }
        }

        private static func take() -> Int32 {
            if firstFree < 0 { grow() }
            let index = firstFree
            firstFree = place(index).pointee.nextFree
            return index
        }

        private static func giveBack(_ index: Int32) {
            Timers.stop(index)
            let place = place(index)
            place.pointee.isForJob = false
            place.pointee.generation &+= 1
            place.pointee.nextFree = firstFree
            firstFree = index
        }

        @inline(never)
        private static func grow() {
            let count = max(placeCount * 2, 16)
            let larger = UnsafeMutablePointer<Place>.allocate(capacity: Int(count))
            if let places {
                UnsafeMutableRawPointer(larger).copyMemory(
                    from: places, byteCount: Int(placeCount) * MemoryLayout<Place>.stride)
                places.deallocate()
            }
            var index = count
            while index > placeCount {
                index -= 1
                (larger + Int(index)).initialize(
                    to: Place(
                        job: nil, continuation: nil, generation: 1, nextFree: firstFree,
                        result: .woken, isForJob: false))
                firstFree = index
            }
            places = larger
            placeCount = count
            Timers.reserve(count)
        }
    }
#endif
