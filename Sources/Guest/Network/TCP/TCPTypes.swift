// The words that TCP and its users share: identifiers, states, errors, events, options, status.

/// Names one connection. It stays valid until `release`; afterwards every call with it is a no-op,
/// even when the place in the table has been used again.
public struct TCPConnectionID: Hashable, Sendable, BitwiseCopyable {
    @usableFromInline let index: UInt32
    @usableFromInline let generation: UInt32

    init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }

    /// A small number that no other connection has at the same time: for tables of one's own.
    public var slot: Int { Int(index) }
}

/// A connection for its owner, without a look at the table.
///
/// Soundness: whoever holds it has not called `release`, before which no control block goes away.
public struct TCPConnectionHandle: @unchecked Sendable {
    public let id: TCPConnectionID
    let block: SlabReference<TCPControlBlock>
}

/// Names one listener. It stays valid until `closeListener`.
public struct TCPListenerID: Hashable, Sendable {
    @usableFromInline let index: UInt32
    @usableFromInline let generation: UInt32

    init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }

    /// A small number that no other listener has at the same time: for tables of one's own.
    public var slot: Int { Int(index) }
}

/// The states of RFC 9293 §3.3.2.
public enum TCPState: UInt8, Sendable {
    case closed, listen, synSent, synReceived, established
    case finWait1, finWait2, closeWait, closing, lastAck, timeWait
}

/// Why a listener or an outgoing connection could not be made.
public enum TCPError: Error, Equatable, Sendable {
    /// Another listener or connection has the address and port.
    case addressInUse
    /// The bound on connections, listeners or memory is reached, or no ephemeral port is free.
    case tooManyConnections
    /// The address or port cannot be connected to: zero, broadcast or multicast.
    case invalidAddress
}

/// Why a connection ended before its time.
public enum TCPFailure: UInt8, Sendable {
    /// The peer reset an established connection.
    case reset
    /// The peer refused a connection attempt.
    case refused
    /// Retransmissions, keepalive probes or the user timeout ran out (RFC 9293 §3.8.3).
    case timedOut
    /// The same, and the network had reported that the peer cannot be reached (RFC 1122 §4.2.3.9).
    case unreachable
    /// This side aborted.
    case aborted
}

/// What the owner's event loop tells its sleepers. Events are level-like hints: each says "look
/// again", several of one kind come as one, and one may come without a change.
public enum TCPEvent: Equatable, Sendable {
    /// `accept` has a connection.
    case acceptable(TCPListenerID)
    /// An outgoing connection is established.
    case connected(TCPConnectionID)
    /// Octets, or the peer's end of stream, can be read.
    case readable(TCPConnectionID)
    /// `send` has room again, after it did not take all.
    case writable(TCPConnectionID)
    /// The connection is over: orderly, or with the failure that `status` tells.
    case closed(TCPConnectionID)
}

/// What can be set for each connection.
public struct TCPOptions: Equatable, Sendable {
    /// True: small segments go out at once. False: Nagle's algorithm (RFC 9293 §3.7.4).
    public var noDelay: Bool
    /// Idle time before the first keepalive probe; 0: no keepalive (RFC 9293 §3.8.4).
    public var keepaliveNanoseconds: UInt64
    /// How long sent data may stay unacknowledged; 0: by the number of retransmissions alone
    /// (RFC 9293 §3.8.3, RFC 5482).
    public var userTimeoutNanoseconds: UInt64

    public init(
        noDelay: Bool = true, keepaliveNanoseconds: UInt64 = 0, userTimeoutNanoseconds: UInt64 = 0
    ) {
        self.noDelay = noDelay
        self.keepaliveNanoseconds = keepaliveNanoseconds
        self.userTimeoutNanoseconds = userTimeoutNanoseconds
    }
}

/// A connection as its owner sees it.
public struct TCPStatus: Equatable, Sendable {
    public var state: TCPState
    /// True once the peer's FIN has arrived: after what is buffered, no more octets come.
    public var peerFinished: Bool
    /// True once this side called `finish`.
    public var finished: Bool
    /// Why the connection ended, if it did so early.
    public var failure: TCPFailure?
    public var local: SocketAddress
    public var remote: SocketAddress
    /// Octets sent and not acknowledged, or waiting to be sent.
    public var unacknowledged: Int
    /// Congestion window, in octets (RFC 5681).
    public var congestionWindow: Int
    /// The peer's window, in octets.
    public var peerWindow: Int
    /// Maximum payload of a segment towards the peer, in octets.
    public var maximumSegmentSize: Int
    /// Smoothed round-trip time in nanoseconds; 0: not measured yet (RFC 6298).
    public var roundTripNanoseconds: UInt64
    /// Segments sent again since the connection began.
    public var retransmissions: UInt32

    /// What is told of an id that names no connection.
    static var unknown: TCPStatus {
        let nowhere = SocketAddress(IPAddress(high: 0, low: 0), port: 0)
        return TCPStatus(
            state: .closed, peerFinished: true, finished: true, failure: nil, local: nowhere,
            remote: nowhere, unacknowledged: 0, congestionWindow: 0, peerWindow: 0,
            maximumSegmentSize: 0, roundTripNanoseconds: 0, retransmissions: 0)
    }
}

/// What a reader of a connection finds.
public enum TCPReadiness: Equatable, Sendable {
    /// Octets can be read.
    case octets
    /// None yet.
    case nothing
    /// The peer has finished, or the connection is over: none will come.
    case ended
    /// The connection ended early.
    case failed(TCPFailure)
}

/// Totals of one TCP since it was made.
public struct TCPStatistics: Equatable, Sendable {
    public var segmentsReceived: UInt64 = 0
    public var segmentsSent: UInt64 = 0
    public var segmentsRetransmitted: UInt64 = 0
    public var malformed: UInt64 = 0
    public var resetsSent: UInt64 = 0
    public var challengesSent: UInt64 = 0
    public var cookiesSent: UInt64 = 0
    public var cookiesAccepted: UInt64 = 0
    public var connectionsAccepted: UInt64 = 0
    public var connectionsOpened: UInt64 = 0
    public var refusedForBounds: UInt64 = 0

    public init() {}
}
