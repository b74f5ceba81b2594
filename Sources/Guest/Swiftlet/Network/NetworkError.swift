// Why a network operation failed, in one type for listeners, connections and datagrams.

import SwiftletNetwork
import SwiftletRuntime

/// Why a network operation failed.
public enum NetworkError: Error, Equatable, Sendable {
    /// The machine has no network card, or one that cannot be driven.
    case noNetwork
    /// The deadline passed.
    case timedOut
    /// The task was cancelled.
    case cancelled
    /// The peer reset the connection, or this side aborted it.
    case reset
    /// Nobody listens there.
    case refused
    /// No way leads there, or this machine has no address yet.
    case unreachable
    /// This socket was closed.
    case closed
    /// Somebody else has the address and port.
    case addressInUse
    /// A bound on connections, sockets or memory is reached.
    case tooMany
    /// The datagram is longer than a packet carries.
    case tooLong
}

extension NetworkError: CustomStringConvertible {
    /// Type and case, since Embedded Swift cannot tell them by itself.
    public var description: String { "NetworkError." + name.description }

    var name: StaticString {
        switch self {
        case .noNetwork: "noNetwork"
        case .timedOut: "timedOut"
        case .cancelled: "cancelled"
        case .reset: "reset"
        case .refused: "refused"
        case .unreachable: "unreachable"
        case .closed: "closed"
        case .addressInUse: "addressInUse"
        case .tooMany: "tooMany"
        case .tooLong: "tooLong"
        }
    }
}

#if hasFeature(Embedded)
    extension NetworkError {
        /// This error, kept for the report of an error that `main` does not catch.
        @inline(never) func noted() -> NetworkError {
            Exit.lastNetworkError = name
            return self
        }

        init(_ error: TCPError) {
            switch error {
            case .addressInUse: self = .addressInUse
            case .tooManyConnections: self = .tooMany
            case .invalidAddress: self = .unreachable
            }
        }
    }
#endif
