// The application's side of a connection: reading, writing, finishing, letting go.

extension TCP {
    /// Direct access to a connection that was not released.
    public func handle(_ id: TCPConnectionID) -> TCPConnectionHandle? {
        guard let index = live(id) else { return nil }
        return TCPConnectionHandle(id: id, block: connections.reference(to: index))
    }

    /// Octets received in order and not consumed yet.
    @inline(__always)
    public func receivedCount(_ connection: TCPConnectionHandle) -> Int {
        connection.block.element.receiveRing.count
    }

    /// What a reader of the connection finds: the short answer to what `status` tells at length.
    @inline(__always)
    public func readiness(_ connection: TCPConnectionHandle) -> TCPReadiness {
        connection.block.element.receiveRing.count > 0
            ? .octets : connection.block.element.emptyReadiness
    }

    /// Shows the longest contiguous run of received octets (it may be shorter than
    /// `receivedCount`, where the ring wraps).
    @inline(__always)
    public func withReceived<R: ~Copyable>(
        _ connection: TCPConnectionHandle, _ body: (RawSpan) -> R
    ) -> R {
        connection.block.element.receiveRing.withFront(body)
    }

    /// Drops `count` octets from the front of what was received, and opens the window by the rules
    /// of RFC 9293 §3.8.6.2.2.
    @inline(__always)
    public mutating func consume(
        _ connection: TCPConnectionHandle, _ count: Int, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        let count = min(max(count, 0), connection.block.element.receiveRing.count)
        if connection.block.element.consume(count, &context) {
            connection.block.element.windowIsDue(&context, now: now, output: &output)
        }
    }

    /// Copies what fits into the send ring; `flush` makes segments of it.
    ///
    /// - Returns: octets taken. If fewer than all, `.writable` comes when there is room again.
    @_optimize(speed)
    public mutating func send(_ connection: TCPConnectionHandle, _ bytes: RawSpan) -> Int {
        connection.block.element.enqueue(bytes, &context)
    }

    /// As with a handle; of an id that was released: 0.
    public func receivedCount(_ id: TCPConnectionID) -> Int {
        handle(id).map { receivedCount($0) } ?? 0
    }

    /// As with a handle; of an id that was released: `.ended`.
    public func readiness(_ id: TCPConnectionID) -> TCPReadiness {
        handle(id).map { readiness($0) } ?? .ended
    }

    /// As with a handle; of an id that was released: nothing.
    public func withReceived<R: ~Copyable>(_ id: TCPConnectionID, _ body: (RawSpan) -> R) -> R {
        guard let handle = handle(id) else { return body(RawSpan()) }
        return withReceived(handle, body)
    }

    /// As with a handle; of an id that was released: nothing.
    public mutating func consume(
        _ id: TCPConnectionID, _ count: Int, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        if let handle = handle(id) { consume(handle, count, now: now, output: &output) }
    }

    /// As with a handle; of an id that was released: 0.
    public mutating func send(_ id: TCPConnectionID, _ bytes: RawSpan) -> Int {
        guard let handle = handle(id) else { return 0 }
        return send(handle, bytes)
    }

    /// Sends what the peer's window, the congestion window and Nagle's algorithm allow; an
    /// acknowledgement that was due goes along.
    @_optimize(speed)
    public mutating func flush(
        _ id: TCPConnectionID, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard let index = live(id), connections[checked: index].isSynchronized else { return }
        connections[checked: index].transmit(&context, now: now, output: &output)
    }

    /// Octets that `send` would take now. If none, `.writable` comes when there is room: the limit
    /// shrinks with the congestion window, also between that event and this call.
    public mutating func sendRoom(_ id: TCPConnectionID) -> Int {
        guard let index = live(id), connections[checked: index].takesOctets else { return 0 }
        let limit = connections[checked: index].sendLimit(context)
        let room = max(limit - connections[checked: index].sendRing.count, 0)
        guard room == 0 || !connections[checked: index].hasSendStorage(context) else { return room }
        connections[checked: index].flags.insert(.wantsWritable)
        if room > 0 { connections[checked: index].lookAgainSoon(&context) }
        return 0
    }

    /// Ends this side's stream: a FIN follows what was sent. Receiving goes on.
    public mutating func finish(
        _ id: TCPConnectionID, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard let index = live(id) else { return }
        connections[index].finish(&context, now: now, output: &output)
        settle(index, now: now)
    }

    /// Ends the connection at once, with a RST to the peer.
    public mutating func abort(
        _ id: TCPConnectionID, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard let index = live(id) else { return }
        connections[checked: index].abort(&context, output: &output)
        settle(index, now: now)
    }

    /// Lets go of the connection: the id is dead from here on. What remains to be done (sending
    /// what is queued, the FIN, TIME-WAIT) runs on by itself. A connection that was not
    /// finished is finished at the next `poll`; one with unread octets is reset (RFC 2525 §2.17).
    public mutating func release(_ id: TCPConnectionID) {
        guard let index = live(id) else { return }
        connections[index].flags.insert(.released)
        connections[index].events = TCPEventFlags(rawValue: 0)
        guard connections[index].flags.contains(.inTable) else { return free(index) }
        if connections[index].receiveRing.count > 0 || connections[index].state == .synSent {
            connections[index].flags.insert(.abortAtPoll)
        }
        connections[index].lifeAt = 0
        context.timers.set(index, 0)
    }

    /// The connection as it stands. Of an id that was released: state `.closed`.
    public func status(_ id: TCPConnectionID) -> TCPStatus {
        guard let index = live(id) else { return .unknown }
        return connections[index].status()
    }

    /// Sets what can be set for one connection.
    public mutating func setOptions(_ id: TCPConnectionID, _ options: TCPOptions, now: Instant) {
        guard let index = live(id) else { return }
        if options.noDelay {
            connections[index].flags.insert(.noDelay)
        } else {
            connections[index].flags.remove(.noDelay)
        }
        connections[index].keepaliveNanoseconds = options.keepaliveNanoseconds
        connections[index].userTimeoutNanoseconds = options.userTimeoutNanoseconds
        connections[index].armKeepalive(&context, now: now)
    }
}

extension TCPControlBlock {
    /// What a reader finds when no octets wait.
    var emptyReadiness: TCPReadiness {
        if let failure { return .failed(failure) }
        return flags.contains(.finReceived) || state == .closed ? .ended : .nothing
    }

    /// True while the application may add to its stream.
    var takesOctets: Bool {
        guard !flags.contains(.finQueued) else { return false }
        switch state {
        case .synSent, .synReceived, .established, .closeWait: return true
        default: return false
        }
    }

    /// Octets that the send ring may hold now.
    @inline(__always)
    func sendLimit(_ context: borrowing TCPContext) -> Int {
        min(
            max(2 &* congestion.window, context.configuration.initialSendBuffer),
            context.configuration.maximumSendBuffer)
    }

    /// Whether the send ring can take an octet more, or what it could grow by is to be had.
    func hasSendStorage(_ context: borrowing TCPContext) -> Bool {
        let count = sendRing.count
        guard count == sendRing.capacity else { return true }
        let ceiling =
            count < TCPContext.smallRing ? context.sendCeiling : context.grownCeiling
        return context.pool.used &+ 1 &<< BlockPool.shift(for: count &+ 1) <= ceiling
    }

    /// Memory is short: how many octets the ring takes all the same. There is a look again soon.
    @inline(never)
    private mutating func shortStorage(for octets: Int, _ context: inout TCPContext) -> Int {
        _ = sendRing.reserve(
            min(octets, TCPContext.smallRing), ceiling: context.sendCeiling, from: &context.pool)
        lookAgainSoon(&context)
        return sendRing.capacity &- sendRing.count
    }

    mutating func lookAgainSoon(_ context: inout TCPContext) {
        soonAt = min(soonAt, context.latest.advanced(by: 10_000_000).nanoseconds)
        context.timers.arm(Int(id.index), soonAt)
    }

    /// Copies what fits into the send ring.
    @inline(__always)
    mutating func enqueue(_ bytes: RawSpan, _ context: inout TCPContext) -> Int {
        guard takesOctets else { return 0 }
        let room = max(sendLimit(context) &- sendRing.count, 0)
        var count = min(bytes.byteCount, room)
        let wanted = sendRing.count &+ count
        if !sendRing.reserve(wanted, ceiling: context.grownCeiling, from: &context.pool) {
            count = min(count, shortStorage(for: wanted, &context))
        }
        if count < bytes.byteCount { flags.insert(.wantsWritable) }
        guard count > 0 else { return 0 }
        sendRing.append(bytes.extracting(first: count))
        return count
    }
}
