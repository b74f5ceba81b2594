// The bounds and times of one TCP. Every table and buffer has its bound here.

/// Bounds and times of a `TCP`. Times are nanoseconds, sizes octets.
public struct TCPConfiguration: Sendable {
    /// Connections, of both directions and not yet released, at most.
    public var maximumConnections = 16_384
    /// Half-open incoming connections; beyond, SYN cookies answer (RFC 4987 §3.6).
    public var maximumHalfOpen = 256
    /// Connections in TIME-WAIT; beyond, the oldest is forgotten.
    public var maximumTimeWait = 4_096
    /// Listeners at most.
    public var maximumListeners = 256

    /// Octets in all send and receive rings together.
    public var memoryLimit = 16 << 20
    /// Octets of freed ring storage kept for the next use.
    public var memoryCache = 256 << 10
    /// While all rings together hold less, an empty ring keeps its storage if that is the smallest
    /// there is: connections that carry small messages then take none from the pool and give none
    /// back. With more it is given back, so that idle connections are small.
    public var memoryForIdle = 1 << 20
    /// Receive window of a new connection; it grows while the application keeps up.
    public var initialReceiveBuffer = 65_535
    /// Receive window at most; its size decides the window scale (RFC 7323 §2).
    public var maximumReceiveBuffer = 1 << 20
    /// Octets that `send` holds for a connection at first; later for two congestion windows, so
    /// that one is there to send while the other is acknowledged.
    public var initialSendBuffer = 64 << 10
    /// Octets that `send` holds at most for one connection.
    public var maximumSendBuffer = 1 << 20

    /// RTO before the first measurement (RFC 6298 §2.1).
    public var initialRetransmissionNanoseconds: UInt64 = 1_000_000_000
    /// RTO at least. RFC 6298 §2.4 says one second; systems in use say 200 ms.
    public var minimumRetransmissionNanoseconds: UInt64 = 200_000_000
    /// RTO at most (RFC 6298 §2.5: at least 60 s).
    public var maximumRetransmissionNanoseconds: UInt64 = 60_000_000_000
    /// Retransmissions of one segment before the connection is given up (RFC 9293 §3.8.3, R2).
    public var maximumRetransmissions = 12
    /// Retransmissions of a SYN or SYN-ACK before the attempt is given up.
    public var maximumSynRetransmissions = 5
    /// Delay of an acknowledgement at most (RFC 9293 §3.8.6.3: below 500 ms).
    public var delayedAckNanoseconds: UInt64 = 40_000_000
    /// How long TIME-WAIT lasts (RFC 9293: 2 MSL).
    public var timeWaitNanoseconds: UInt64 = 60_000_000_000
    /// How long FIN-WAIT-2 lasts once the application has let go of the connection.
    public var finWait2Nanoseconds: UInt64 = 60_000_000_000
    /// How long the peer may keep its window closed, or take nothing, once the application has let
    /// go of the connection: who never opens it must not hold the memory of what is queued.
    public var orphanNanoseconds: UInt64 = 120_000_000_000
    /// Time between two keepalive probes without answer.
    public var keepaliveIntervalNanoseconds: UInt64 = 75_000_000_000
    /// Keepalive probes without answer before the connection is given up.
    public var keepaliveProbes = 9
    /// Time between two challenge ACKs of one connection, at least (RFC 5961 §7). The limit is
    /// each connection's own: a shared one tells strangers about it (CVE-2016-5696).
    public var challengeIntervalNanoseconds: UInt64 = 100_000_000
    /// Time until a segment is tried again that the output had no room for.
    public var retryNanoseconds: UInt64 = 500_000

    /// Timestamps are offered, and used with peers that offer them (RFC 7323).
    public var timestamps = true
    /// Routers may mark packets instead of dropping them, with peers that heed it (RFC 3168).
    public var congestionNotification = true
    /// Options of connections that nobody has set any for.
    public var options = TCPOptions()

    public init() {}

    /// The receive window that a SYN or its answer tells.
    var firstWindow: Int { min(initialReceiveBuffer, maximumReceiveBuffer) }
}
