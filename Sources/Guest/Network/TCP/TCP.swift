// TCP, the whole of RFC 9293 as pure protocol: segments and a time in, segments and a deadline out.
//
// This file is the interface and who owns what. A segment's way: TCPHeader → TCPTable → the
// control block's TCPReceive → TCPAcknowledge/TCPRecovery/TCPRack → TCPSend. Beside RFC 9293:
// RFC 6298 (retransmission), 9438, 9406, 5681, 6928 (congestion), 8985, 6675, 2018, 6582, 3042
// (loss), 3522, 4015 (needless retransmissions), 7323 (window scale, timestamps), 5961 (blind
// attacks), 6528, 6056, 4987 (numbers, ports, floods), 1337, 6191 (TIME-WAIT), 3168 (ECN).
// Not here: fast open.

/// The Transmission Control Protocol (RFC 9293). It does no I/O and has no clock.
public struct TCP: ~Copyable {
    let configuration: TCPConfiguration
    let secret: (UInt64, UInt64)
    var context: TCPContext
    var connections = Slab<TCPControlBlock>()
    var compact = TCPCompactEntries()
    var table = TCPTable()
    var listeners = Slab<TCPListener>()
    var cookies: TCPCookies
    private var portCounter: UInt64 = 0
    private let inPlace = InPlace()

    /// - Parameter secret: keys initial sequence numbers (RFC 6528), SYN cookies (RFC 4987),
    ///   ephemeral ports (RFC 6056) and the connection table. Random, and never shown to anyone.
    public init(configuration: TCPConfiguration, secret: (UInt64, UInt64)) {
        self.configuration = configuration
        self.secret = secret
        context = TCPContext(configuration: configuration)
        cookies = TCPCookies(key: secret)
    }

    /// Totals since this TCP was made.
    public var statistics: TCPStatistics { context.statistics }

    /// Octets of ring storage in use, and connections and entries that exist: for tests, and to
    /// see that memory returns to where it was.
    public var memoryInUse: Int { context.pool.used }
    public var connectionCount: Int { connections.count }
    public var halfOpenCount: Int { compact.halfOpenCount }
    public var timeWaitCount: Int { compact.timeWaitCount }

    // MARK: Segments and time

    /// Takes one received segment whose IP header and TCP checksum have been verified.
    /// Anything may be in it; what is wrong is dropped or answered by the rules. `isMarked`: its
    /// packet met congestion (CE of RFC 3168 §5).
    @_optimize(speed)
    public mutating func receive(
        _ segment: RawSpan, from: IPAddress, to: IPAddress, isMarked: Bool = false, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        context.latest = now
        context.statistics.segmentsReceived &+= 1
        guard segment.byteCount >= TCPHeader.minimumLength else {
            context.statistics.malformed &+= 1
            return
        }
        let tuple = TCPTuple(
            local: to, remote: from, localPort: segment.number16(at: 2),
            remotePort: segment.number16(at: 0))
        let hash = tuple.hash(key: secret)
        let found = find(tuple, hash)
        context.isMarked = isMarked
        if !isMarked, case .connection(let index) = found,
            connections[index].receivePredicted(segment, &context, now: now, output: &output)
        {
            return
        }
        receiveSlowly(segment, tuple, hash, found, now: now, output: &output)
    }

    @inline(never)
    private mutating func receiveSlowly(
        _ segment: RawSpan, _ tuple: TCPTuple, _ hash: UInt32, _ found: TCPTableValue?,
        now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard let header = TCPHeader(segment) else {
            context.statistics.malformed &+= 1
            return
        }
        switch found {
        case .connection(let index):
            if connections[index].state == .synSent {
                connections[index].receiveInSynSent(
                    segment, header, &context, now: now, output: &output)
            } else {
                connections[index].receiveGeneral(
                    segment, header, &context, now: now, output: &output)
            }
            settle(index, now: now)
        case .compact(let index):
            if compact[index].isTimeWait {
                receiveInTimeWait(segment, header, index, now: now, output: &output)
            } else {
                receiveHalfOpen(segment, header, index, now: now, output: &output)
            }
        case nil:
            receiveUnknown(segment, header, tuple, hash, now: now, output: &output)
        }
    }

    /// When `poll` has to be called at the latest. It may be earlier than anything is due.
    @inline(__always)
    public var nextDeadline: Instant {
        Instant(nanoseconds: min(context.timers.earliest, compact.earliest))
    }

    /// Runs the timers that are due, and retries what the output had no room for.
    public mutating func poll(now: Instant, output: inout some SegmentOutput & ~Copyable) {
        context.latest = now
        while let index = context.timers.due(now.nanoseconds) {
            guard connections.contains(index) else {
                context.timers.set(index, .max)
                continue
            }
            connections[index].timeout(&context, now: now, output: &output)
            settle(index, now: now)
        }
        pollCompact(now: now, output: &output)
    }

    /// Whether there may be an event: the cheap half of the question.
    @inline(__always) var hasEvents: Bool { context.events.count > 0 }

    /// The next thing that the event loop should tell its sleepers; nil: nothing more.
    @_optimize(speed)
    public mutating func nextEvent() -> TCPEvent? {
        while let entry = context.events.first {
            let index = Int(entry.index)
            if entry.isListener {
                context.events.removeFirst()
                guard listeners.contains(index, generation: entry.generation) else { continue }
                listeners[index].isTold = false
                return .acceptable(listeners[index].id)
            }
            guard connections.contains(index, generation: entry.generation),
                connections[checked: index].events.rawValue != 0
            else {
                context.events.removeFirst()
                continue
            }
            let all = connections[checked: index].events.rawValue
            let one = all & (0 &- all)
            connections[checked: index].events.rawValue = all ^ one
            if all == one { context.events.removeFirst() }
            let id = connections[checked: index].id
            switch TCPEventFlags(rawValue: one) {
            case .connected: return .connected(id)
            case .readable: return .readable(id)
            case .writable: return .writable(id)
            default: return .closed(id)
            }
        }
        return nil
    }

    // MARK: Listening

    /// Starts to accept connections to `port`, of one local address, all of its version if it is a
    /// wildcard, or (nil) all there are.
    /// At most `backlog` connections wait for `accept`.
    public mutating func listen(
        address: IPAddress?, port: UInt16, backlog: Int
    ) throws(TCPError) -> TCPListenerID {
        guard port != 0 else { throw .invalidAddress }
        for index in 0..<listeners.endIndex where listeners.contains(index) {
            guard listeners[index].port == port else { continue }
            guard let address, let other = listeners[index].address, !other.covers(address),
                !address.covers(other)
            else { throw .addressInUse }
        }
        guard listeners.count < configuration.maximumListeners else { throw .tooManyConnections }
        let index = listeners.insert { index, generation in
            TCPListener(
                id: TCPListenerID(index: index, generation: generation), address: address,
                port: port, backlog: backlog)
        }
        return listeners[index].id
    }

    /// The next connection that waits at the listener; nil: none does, or there is no such listener.
    public mutating func accept(_ listener: TCPListenerID) -> TCPConnectionID? {
        let index = Int(listener.index)
        guard listeners.contains(index, generation: listener.generation) else { return nil }
        return listeners[index].removeFirst()
    }

    /// Stops listening. Connections that nobody accepted are reset at the next `poll`.
    public mutating func closeListener(_ listener: TCPListenerID) {
        let index = Int(listener.index)
        guard listeners.contains(index, generation: listener.generation) else { return }
        while let id = listeners[index].removeFirst() {
            guard let connection = live(id) else { continue }
            connections[connection].flags.insert(.abortAtPoll)
            release(id)
        }
        listeners.remove(index)
    }

    /// The listener for a local address and port; one for that address goes before one for all.
    func listener(for address: IPAddress, port: UInt16) -> Int? {
        var found: Int?
        for index in 0..<listeners.endIndex
        where listeners.contains(index) && listeners[index].port == port {
            guard let bound = listeners[index].address, bound != address else {
                if listeners[index].address != nil { return index }
                found = index
                continue
            }
            if bound.covers(address) { found = index }
        }
        return found
    }

    mutating func tellAcceptable(_ listener: Int) {
        guard !listeners[listener].isTold else { return }
        listeners[listener].isTold = true
        let id = listeners[listener].id
        context.events.push(
            TCPEventQueue.Entry(index: id.index, generation: id.generation, isListener: true))
    }

    // MARK: The table

    /// `find` where it is not for every segment.
    @inline(never)
    func findRarely(_ tuple: TCPTuple) -> TCPTableValue? {
        find(tuple, tuple.hash(key: secret))
    }

    // Transparent, as the compiler would make a call of it.
    @_transparent
    func find(_ tuple: TCPTuple, _ hash: UInt32) -> TCPTableValue? {
        var position: Int?
        while let value = table.next(hash, &position) {
            switch value {
            case .connection(let index): if connections[index].tuple == tuple { return value }
            case .compact(let index): if compact[index].tuple == tuple { return value }
            }
        }
        return nil
    }

    /// The index of a connection that was not released.
    @inline(__always)
    func live(_ id: TCPConnectionID) -> Int? {
        let index = Int(id.index)
        guard connections.contains(index, generation: id.generation),
            !connections[checked: index].flags.contains(.released)
        else { return nil }
        return index
    }

    mutating func insertConnection(
        _ tuple: TCPTuple, _ hash: UInt32, _ state: TCPState, _ iss: SequenceNumber
    ) -> Int {
        let configuration = self.configuration
        let index = connections.insert { index, generation in
            TCPControlBlock(
                id: TCPConnectionID(index: index, generation: generation), tuple: tuple,
                hash: hash, state: state, iss: iss, configuration: configuration)
        }
        table.insert(hash, .connection(index))
        connections[index].flags.insert(.inTable)
        return index
    }

    /// After anything that may have ended a connection: it leaves the table; TIME-WAIT goes on as
    /// a small entry; the control block goes when the application has let go.
    mutating func settle(_ index: Int, now: Instant) {
        let state = connections[index].state
        guard state == .closed || state == .timeWait else { return }
        if connections[index].flags.contains(.inTable) {
            connections[index].flags.remove(.inTable)
            table.remove(connections[index].hash, .connection(index))
            if state == .timeWait { enterTimeWait(index, now: now) }
        }
        if connections[index].flags.contains(.released) { free(index) }
    }

    private mutating func enterTimeWait(_ index: Int, now: Instant) {
        if configuration.maximumTimeWait > 0 {
            if compact.timeWaitCount >= configuration.maximumTimeWait,
                let oldest = compact.oldestTimeWait
            {
                removeCompact(oldest)
            }
            let entry = TCPCompactEntry(
                tuple: connections[index].tuple, hash: connections[index].hash,
                sending: connections[index].sndNxt, receiving: connections[index].rcvNxt,
                listener: TCPListenerID(index: 0, generation: 0),
                options: connections[index].lastOptions,
                timestampOffset: connections[index].timestampOffset, isTimeWait: true)
            let place = compact.insert(entry, now: now, configuration)
            table.insert(entry.hash, .compact(place))
        }
        connections[index].dropSendState(&context)
        connections[index].tellClosed(&context)
    }

    mutating func free(_ index: Int) {
        connections[index].dropSendState(&context)
        connections[index].receiveRing.clear(into: &context.pool)
        connections[index].outOfOrder.clear(into: &context.pool)
        connections.remove(index)
    }

    // MARK: Numbers that must not be guessed

    /// RFC 6528 §3: a clock of about four microseconds, and a keyed hash of the connection. From the
    /// same hash comes what its timestamps are ahead of the clock (RFC 7323 §5.4).
    @inline(never)
    func initialNumbers(
        _ tuple: TCPTuple, _ now: Instant
    ) -> (sequence: SequenceNumber, timestampOffset: UInt32) {
        let hash = tuple.secureHash(key: secret, salt: 0)
        let clock = UInt32(truncatingIfNeeded: now.nanoseconds >> 12)
        return (
            SequenceNumber(clock &+ UInt32(truncatingIfNeeded: hash)),
            UInt32(truncatingIfNeeded: hash >> 32)
        )
    }

    /// RFC 6056 §3.3.1, with a keyed hash of a counter for the random number.
    private mutating func ephemeralPort(_ from: IPAddress, _ remote: SocketAddress) -> UInt16? {
        var tuple = TCPTuple(
            local: from, remote: remote.address, localPort: 0, remotePort: remote.port)
        portCounter &+= 1
        let start = tuple.secureHash(key: (secret.0, ~secret.1), salt: portCounter)
        for attempt in 0..<UInt64(16_384) {
            let port = UInt16(truncatingIfNeeded: 49_152 + (start &+ attempt) & 16_383)
            tuple.localPort = port
            if findRarely(tuple) == nil, listener(for: from, port: port) == nil {
                return port
            }
        }
        return nil
    }

    /// Starts to open a connection; `.connected` or `.closed` follows.
    public mutating func connect(
        from: IPAddress, to: SocketAddress, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) throws(TCPError) -> TCPConnectionID {
        guard to.port != 0, to.address.isUnicast, from.isUnicast else { throw .invalidAddress }
        guard connections.count < configuration.maximumConnections,
            let port = ephemeralPort(from, to)
        else { throw .tooManyConnections }
        context.latest = now
        let tuple = TCPTuple(
            local: from, remote: to.address, localPort: port, remotePort: to.port)
        let numbers = initialNumbers(tuple, now)
        let index = insertConnection(tuple, tuple.hash(key: secret), .synSent, numbers.sequence)
        connections[index].timestampOffset = numbers.timestampOffset
        connections[index].flags.insert(.active)
        connections[index].progressAt = now
        connections[index].sendSyn(&context, now: now, output: &output)
        context.statistics.connectionsOpened &+= 1
        return connections[index].id
    }
}
