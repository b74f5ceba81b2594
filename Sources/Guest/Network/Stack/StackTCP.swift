// TCP as the stack offers it: `TCP`'s own operations, with the interface for output.

extension NetworkStack where Device: ~Copyable {
    /// Starts to accept connections to `port`, of one local address, all of its version if it is a
    /// wildcard, or (nil) all there are.
    public mutating func listen(
        address: IPAddress? = nil, port: UInt16, backlog: Int
    ) throws(TCPError) -> TCPListenerID {
        try tcp.listen(address: address, port: port, backlog: backlog)
    }

    /// The next connection that waits at the listener.
    public mutating func accept(_ listener: TCPListenerID) -> TCPConnectionID? {
        tcp.accept(listener)
    }

    /// Stops listening.
    public mutating func closeListener(_ listener: TCPListenerID) {
        tcp.closeListener(listener)
    }

    /// Starts to open a connection from this interface's address. Without an address or a route
    /// the error is `invalidAddress`.
    public mutating func connect(
        to remote: SocketAddress, now: Instant
    ) throws(TCPError) -> TCPConnectionID {
        interface.now = now
        guard let source = interface.sourceAddress(for: remote.address),
            interface.hasRoute(to: remote.address)
        else { throw .invalidAddress }
        return try tcp.connect(from: source, to: remote, now: now, output: &interface)
    }

    /// True for an address that this machine has: its interface's, or a loopback one.
    public func isLocal(_ address: IPAddress) -> Bool {
        interface.sourceAddress(for: address) == address
    }

    /// Direct access to a connection, until it is released.
    public func handle(_ id: TCPConnectionID) -> TCPConnectionHandle? { tcp.handle(id) }

    /// Octets received in order and not consumed yet.
    @inline(__always)
    public func receivedCount(_ connection: TCPConnectionHandle) -> Int {
        tcp.receivedCount(connection)
    }

    /// What a reader of the connection finds.
    @inline(__always)
    public func readiness(_ connection: TCPConnectionHandle) -> TCPReadiness {
        tcp.readiness(connection)
    }

    /// Shows the longest contiguous run of received octets.
    @inline(__always)
    public mutating func withReceived<R: ~Copyable>(
        _ connection: TCPConnectionHandle, _ body: (RawSpan) -> R
    )
        -> R
    {
        tcp.withReceived(connection, body)
    }

    /// Drops `count` octets from the front of what was received, and opens the window.
    @inline(__always)
    public mutating func consume(_ connection: TCPConnectionHandle, _ count: Int, now: Instant) {
        interface.now = now
        tcp.consume(connection, count, now: now, output: &interface)
    }

    /// Copies what fits into the send ring; `flush` sends it. Returns the octets taken.
    @inline(__always)
    public mutating func send(_ connection: TCPConnectionHandle, _ bytes: RawSpan) -> Int {
        tcp.send(connection, bytes)
    }

    /// Sends what the windows allow.
    @inline(__always)
    public mutating func flush(_ id: TCPConnectionID, now: Instant) {
        interface.now = now
        tcp.flush(id, now: now, output: &interface)
    }

    /// Octets that `send` would take now.
    public mutating func sendRoom(_ id: TCPConnectionID) -> Int {
        tcp.sendRoom(id)
    }

    /// Ends this side's stream with a FIN after what was sent.
    public mutating func finish(_ id: TCPConnectionID, now: Instant) {
        interface.now = now
        tcp.finish(id, now: now, output: &interface)
    }

    /// Ends the connection at once with a RST.
    public mutating func abort(_ id: TCPConnectionID, now: Instant) {
        interface.now = now
        tcp.abort(id, now: now, output: &interface)
    }

    /// Lets go of a connection; what remains to be done runs on by itself.
    public mutating func release(_ id: TCPConnectionID) {
        tcp.release(id)
    }

    /// The connection as it stands.
    public func status(_ id: TCPConnectionID) -> TCPStatus {
        tcp.status(id)
    }

    /// A connection's figures.
    public func connectionStatistics(_ id: TCPConnectionID) -> TCPConnectionStatistics {
        tcp.connectionStatistics(id)
    }

    /// Sets one connection's options.
    public mutating func setOptions(
        _ id: TCPConnectionID, _ options: TCPOptions, now: Instant
    ) {
        tcp.setOptions(id, options, now: now)
    }

    /// True if a peer has not acknowledged all that it was sent.
    public var hasUndelivered: Bool { tcp.hasUndelivered }
}
