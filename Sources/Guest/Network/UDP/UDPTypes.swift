// The words that UDP and its users share: socket ids, errors, events, bounds.

/// Names one UDP socket. It stays valid until `close`; afterwards every call with it is a no-op.
public struct UDPSocketID: Hashable, Sendable {
    let index: UInt32
    let generation: UInt32

    /// A small number that no other socket has at the same time: for tables of one's own.
    public var slot: Int { Int(index) }
}

/// Why a UDP operation failed.
public enum UDPError: Error, Equatable, Sendable {
    /// Another socket has the address and port, or no ephemeral port is free.
    case addressInUse
    /// The bound on sockets is reached.
    case tooManySockets
    /// No route leads there, or there is no address to send from yet.
    case unreachable
    /// Longer than one packet on this link carries.
    case tooLong
    /// No room in the device now: try again after the next poll.
    case busy
    /// The socket was closed.
    case closed
}

/// What the owner's event loop tells its sleepers; a hint to look again.
public enum UDPEvent: Equatable, Sendable {
    /// A datagram, or an error report, waits.
    case readable(UDPSocketID)
}

/// Bounds of all UDP sockets.
public struct UDPConfiguration: Sendable {
    /// Sockets at most.
    public var maximumSockets = 256
    /// Octets of payload that wait in one socket at most.
    public var queueOctets = 64 << 10
    /// Datagrams that wait in one socket at most.
    public var queueDatagrams = 256

    public init() {}
}

/// Where a datagram came from and which of our addresses it was sent to.
public struct UDPEndpoints: Equatable, Sendable {
    public var remote: SocketAddress
    public var local: IPAddress
}
