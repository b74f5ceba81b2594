// TCP, the whole of RFC 9293 as pure protocol: segments and a time in, segments and a deadline out.

/// The Transmission Control Protocol (RFC 9293). It does no I/O and has no clock.
public struct TCP: ~Copyable {
    /// Totals since this TCP was made.
    public private(set) var statistics = TCPStatistics()

    /// - Parameter secret: keys initial sequence numbers (RFC 6528), SYN cookies (RFC 4987),
    ///   ephemeral ports (RFC 6056) and the connection table. Random, and never shown to anyone.
    public init(configuration: TCPConfiguration, secret: (UInt64, UInt64)) {
    }

    /// Starts to accept connections to `port`, of one local address or (nil) of all.
    /// At most `backlog` connections wait for `accept`.
    public mutating func listen(
        address: IPAddress?, port: UInt16, backlog: Int
    ) throws(TCPError) -> TCPListenerID {
        throw .tooManyConnections
    }

    /// The next connection that waits at the listener; nil: none does, or there is no such listener.
    public mutating func accept(_ listener: TCPListenerID) -> TCPConnectionID? {
        nil
    }

    /// Stops listening. Connections that nobody accepted are reset at the next `poll`.
    public mutating func closeListener(_ listener: TCPListenerID) {
    }

    /// Starts to open a connection; `.connected` or `.closed` follows.
    public mutating func connect(
        from: IPAddress, to: SocketAddress, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) throws(TCPError) -> TCPConnectionID {
        throw .tooManyConnections
    }

    /// Takes one received segment whose IP header and TCP checksum have been verified.
    /// Anything may be in it; what is wrong is dropped or answered by the rules.
    public mutating func receive(
        _ segment: RawSpan, from: IPAddress, to: IPAddress, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
    }

    /// Octets received in order and not consumed yet.
    public func receivedCount(_ id: TCPConnectionID) -> Int {
        0
    }

    /// Shows the longest contiguous run of received octets (it may be shorter than
    /// `receivedCount`, where the ring wraps).
    public mutating func withReceived<R>(_ id: TCPConnectionID, _ body: (RawSpan) -> R) -> R {
        body(RawSpan())
    }

    /// Drops `count` octets from the front of what was received, and opens the window by the rules
    /// of RFC 9293 §3.8.6.2.2.
    public mutating func consume(
        _ id: TCPConnectionID, _ count: Int, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
    }

    /// Copies what fits into the send ring; `flush` makes segments of it.
    ///
    /// - Returns: octets taken. If fewer than all, `.writable` comes when there is room again.
    public mutating func send(_ id: TCPConnectionID, _ bytes: RawSpan) -> Int {
        0
    }

    /// Sends what the peer's window, the congestion window and Nagle's algorithm allow; an
    /// acknowledgement that was due goes along.
    public mutating func flush(
        _ id: TCPConnectionID, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
    }

    /// Octets that `send` would take now.
    public func sendRoom(_ id: TCPConnectionID) -> Int {
        0
    }

    /// Ends this side's stream: a FIN follows what was sent. Receiving goes on.
    public mutating func finish(
        _ id: TCPConnectionID, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
    }

    /// Ends the connection at once, with a RST to the peer.
    public mutating func abort(
        _ id: TCPConnectionID, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
    }

    /// Lets go of the connection: the id is dead from here on. What remains to be done (sending
    /// what is queued, the FIN, TIME-WAIT) runs on by itself. A connection that was not
    /// finished is finished; one with unread octets is reset at the next `poll` (RFC 2525 §2.17).
    public mutating func release(_ id: TCPConnectionID) {
    }

    /// The connection as it stands. Of an id that was released: state `.closed`.
    public func status(_ id: TCPConnectionID) -> TCPStatus {
        .unknown
    }

    /// Sets what can be set for one connection.
    public mutating func setOptions(_ id: TCPConnectionID, _ options: TCPOptions, now: Instant) {
    }

    /// When `poll` has to be called at the latest. It may be earlier than anything is due.
    public var nextDeadline: Instant {
        .never
    }

    /// Runs the timers that are due, and retries what the output had no room for.
    public mutating func poll(now: Instant, output: inout some SegmentOutput & ~Copyable) {
    }

    /// The next thing that the event loop should tell its sleepers; nil: nothing more.
    public mutating func nextEvent() -> TCPEvent? {
        nil
    }
}
