// The guest's TCP connection as the HTTP server sees it.

import SwiftletHTTP
import SwiftletMachine
import SwiftletNetwork
import _Concurrency

#if hasFeature(Embedded)
    extension TCPConnection: HTTPTransport {
        @inline(__always)
        public static func isTimeout(_ failure: NetworkError) -> Bool {
            if case .timedOut = failure { return true }
            return false
        }

        /// The time of this turn of the event loop.
        @inline(__always) public var now: UInt64 { network.now.nanoseconds }

        public var unixSeconds: Int64? { Int64(Clock.wallTime / 1_000_000_000) }
    }
#endif
