// Standard input for applications: what the user of `swiftlet run -i` types or pipes.

import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// Octets from whoever runs the machine. Without `swiftlet run -i` it is at its end from the
    /// beginning.
    ///
    /// What is not read stays with the host, which waits: nothing is lost, and nothing piles up. One
    /// task reads at a time.
    public enum StandardInput {
        nonisolated(unsafe) private static var place = WaitPlace.none
        nonisolated(unsafe) private static var hasReader = false

        /// Appends what has come to `octets`, after waiting for it if nothing has.
        ///
        /// - Parameter maximum: so many octets at most, and at least one.
        /// - Returns: false at the end of the input; `octets` is as it was then.
        /// - Throws: `.busy`, `.cancelled`, `.broken`.
        nonisolated(nonsending)
            public static func read(
                into octets: inout [UInt8], upTo maximum: Int = 65536
            ) async throws(StandardInputError) -> Bool
        {
            while true {
                if let isRead = try take(&octets, maximum) { return isRead }
                try await wait()
            }
        }

        /// Reads what has come, after waiting for it if nothing has.
        ///
        /// - Parameter maximum: so many octets at most, and at least one.
        /// - Returns: nil at the end of the input.
        /// - Throws: `.busy`, `.cancelled`, `.broken`.
        nonisolated(nonsending)
            public static func read(
                upTo maximum: Int = 65536
            ) async throws(StandardInputError) -> [UInt8]?
        {
            var octets: [UInt8] = []
            return try await read(into: &octets, upTo: maximum) ? octets : nil
        }

        /// True if octets were appended, false at the end, nil if nothing has come.
        @inline(never)
        private static func take(
            _ octets: inout [UInt8], _ maximum: Int
        ) throws(StandardInputError) -> Bool? {
            if hasReader { throw .busy }
            guard let queue = InputQueue.shared() else { return false }
            if queue.read(into: &octets, atMost: max(maximum, 1)) > 0 { return true }
            if queue.isBroken { throw .broken }
            return queue.hasEnded ? false : nil
        }

        nonisolated(nonsending)
            private static func wait() async throws(StandardInputError)
        {
            let place = begin()
            let result = await Waits.cancellableWait(at: place)
            hasReader = false
            if result == .cancelled { throw .cancelled }
        }

        @inline(never)
        private static func begin() -> WaitPlace {
            if place.isNone {
                place = Waits.makePlace()
                InputQueue.tell = { Waits.wake(StandardInput.place) }
            }
            hasReader = true
            return place
        }
    }
#endif
