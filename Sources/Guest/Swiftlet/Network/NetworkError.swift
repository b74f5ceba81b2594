// Why a network operation failed, in one type for listeners, connections and datagrams.

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
