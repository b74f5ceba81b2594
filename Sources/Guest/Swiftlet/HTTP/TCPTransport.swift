// The guest's TCP connection as the HTTP server sees it.

import SwiftletHTTP
import SwiftletMachine
import SwiftletNetwork
import _Concurrency

#if hasFeature(Embedded)
    extension TCPConnection: HTTPTransport {
        @inline(__always)
        nonisolated(nonsending)
            public func waitUntilReadable(until deadline: UInt64) async throws(NetworkError) -> Bool
        {
            try await waitUntilReadable(deadline: Instant(nanoseconds: deadline))
        }

        @inline(__always)
        nonisolated(nonsending)
            public func waitUntilWritable(until deadline: UInt64) async throws(NetworkError)
        {
            try await waitUntilWritable(deadline: Instant(nanoseconds: deadline))
        }

        @inline(__always)
        public static func isTimeout(_ failure: NetworkError) -> Bool {
            if case .timedOut = failure { return true }
            return false
        }

        @inline(__always) public var now: UInt64 { Clock.now }

        public var unixSeconds: Int64? { Int64(Clock.wallTime / 1_000_000_000) }
    }
#endif
