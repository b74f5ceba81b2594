// Passive opening: LISTEN, half-open connections, SYN cookies, TIME-WAIT (RFC 9293 §3.10.7.2).

extension TCP {
    /// A segment for which there is neither connection nor entry.
    mutating func receiveUnknown(
        _ segment: RawSpan, _ header: TCPHeader, _ tuple: TCPTuple, _ hash: UInt32, now: Instant,
        after previous: SequenceNumber? = nil, output: inout some SegmentOutput & ~Copyable
    ) {
        guard let listener = listener(for: tuple.local, port: tuple.localPort) else {
            return refuse(segment, header, tuple, output: &output)
        }
        if header.flags.contains(.rst) { return }
        if header.flags.contains(.ack) {
            return receiveCookie(
                segment, header, tuple, hash, listener, now: now, output: &output)
        }
        guard header.flags.contains(.syn) else { return }
        // A segment from nowhere, to nowhere, or from itself (the "land" attack) opens nothing.
        guard tuple.remote.isUnicast, tuple.local.isUnicast,
            tuple.local != tuple.remote || tuple.localPort != tuple.remotePort
        else { return }
        guard !listeners[listener].isFull, connections.count < configuration.maximumConnections
        else {
            context.statistics.refusedForBounds &+= 1
            return  // the peer's SYN comes again
        }
        let options = TCPSynOptions(segment, headerLength: header.length)
        let receiving = header.sequence + 1
        if compact.halfOpenCount >= configuration.maximumHalfOpen {
            return sendCookie(tuple, header, options, now: now, output: &output)
        }
        let numbers = initialNumbers(tuple, now)
        var sending = numbers.sequence
        if let previous, sending - previous < 65_538 {
            sending = previous + 65_538  // RFC 9293 §3.6.1: beyond the old connection's numbers
        }
        let entry = TCPCompactEntry(
            tuple: tuple, hash: hash, sending: sending, receiving: receiving,
            listener: listeners[listener].id, options: options,
            timestampOffset: numbers.timestampOffset, isTimeWait: false)
        let index = compact.insert(entry, now: now, configuration)
        table.insert(hash, .compact(index))
        sendSynAck(entry, now: now, output: &output)
    }

    /// Answers a SYN without keeping anything. What the cookie has no room for is hidden in the
    /// timestamp, if the peer takes one; else only the MSS is kept.
    @inline(never)
    private mutating func sendCookie(
        _ tuple: TCPTuple, _ header: TCPHeader, _ offered: TCPSynOptions, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        let size = offered.maximumSegmentSize == 0 ? 536 : offered.maximumSegmentSize
        let cookie = cookies.make(
            tuple, peerSequence: header.sequence, maximumSegmentSize: size, now: now)
        context.statistics.cookiesSent &+= 1
        var stamp: UInt32 = 0
        var options = TCPSynOptions()
        if offered.timestamps != nil {
            options = offered
            stamp = TCPCookies.hide(
                offered,
                in: TCPTimestamps.clock(now) &+ initialNumbers(tuple, now).timestampOffset)
        }
        _ = TCPControlBlock.sendOpening(
            tuple, cookie, header.sequence + 1, options, stamp: stamp,
            window: configuration.firstWindow, &context, output: &output)
    }

    /// A segment for a half-open connection (RFC 9293 §3.10.7.4 in SYN-RECEIVED).
    mutating func receiveHalfOpen(
        _ segment: RawSpan, _ header: TCPHeader, _ index: Int, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        let entry = compact[index]
        let offset = header.sequence - entry.receiving
        if header.flags.contains(.rst) {
            if offset == 0 { removeCompact(index) }
            return
        }
        if header.flags.contains(.syn) {
            if offset == -1, !header.flags.contains(.ack) {
                sendSynAck(entry, now: now, output: &output)
            } else {
                acknowledge(entry, now: now, output: &output)
            }
            return
        }
        guard header.flags.contains(.ack) else { return }
        guard header.acknowledgment == entry.sending + 1 else {
            return sendBare(
                entry.tuple, header.acknowledgment, SequenceNumber(0), .rst, output: &output)
        }
        guard offset >= 0, offset < 65_535 else {
            return acknowledge(entry, now: now, output: &output)
        }
        guard listeners.contains(Int(entry.listener.index), generation: entry.listener.generation)
        else {
            removeCompact(index)
            return sendBare(
                entry.tuple, header.acknowledgment, SequenceNumber(0), .rst, output: &output)
        }
        guard
            !listeners[Int(entry.listener.index)].isFull,
            connections.count < configuration.maximumConnections
        else {
            context.statistics.refusedForBounds &+= 1
            return  // the SYN-ACK comes again, and with it this acknowledgement
        }
        let wasRepeated = entry.list > 1
        removeCompact(index)
        establish(
            segment, header, entry.tuple, entry.hash, iss: entry.sending,
            rcvNxt: entry.receiving, entry.options, entry.timestampOffset,
            listener: Int(entry.listener.index), wasRepeated: wasRepeated, now: now,
            output: &output)
    }

    /// An ACK for which there is no connection: if it answers a cookie, there is one now.
    private mutating func receiveCookie(
        _ segment: RawSpan, _ header: TCPHeader, _ tuple: TCPTuple, _ hash: UInt32,
        _ listener: Int, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let cookie = header.acknowledgment + -1
        guard !header.flags.contains(.syn),
            let size = cookies.check(
                cookie, tuple, peerSequence: header.sequence + -1, now: now)
        else { return refuse(segment, header, tuple, output: &output) }
        guard !listeners[listener].isFull, connections.count < configuration.maximumConnections
        else {
            context.statistics.refusedForBounds &+= 1
            return
        }
        context.statistics.cookiesAccepted &+= 1
        var options = TCPSynOptions()
        if let stamps = TCPTimestamps(segment, headerLength: header.length) {
            options = TCPCookies.reveal(stamps)
        }
        options.maximumSegmentSize = size
        establish(
            segment, header, tuple, hash, iss: cookie, rcvNxt: header.sequence, options,
            initialNumbers(tuple, now).timestampOffset, listener: listener, wasRepeated: false,
            now: now, output: &output)
    }

    /// The handshake is complete: a control block, a place in the accept queue, and the segment
    /// that completed it goes the way of all others.
    private mutating func establish(
        _ segment: RawSpan, _ header: TCPHeader, _ tuple: TCPTuple, _ hash: UInt32,
        iss: SequenceNumber, rcvNxt: SequenceNumber, _ options: TCPSynOptions,
        _ timestampOffset: UInt32, listener: Int, wasRepeated: Bool, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        let index = insertConnection(tuple, hash, .synReceived, iss)
        let offer = TCPControlBlock.offer(
            maximumSegment: output.maximumSegment(to: tuple.remote), context)
        connections[index].rcvNxt = rcvNxt
        connections[index].lastAckSent = rcvNxt
        connections[index].timestampOffset = timestampOffset
        connections[index].agree(offer, options)
        connections[index].rcvEdge = rcvNxt + min(connections[index].receiveLimit, 0xFFFF)
        connections[index].sndNxt = iss + 1
        connections[index].attempts = wasRepeated ? 1 : 0
        connections[index].completeHandshake(
            header, &context, now: now, measuresRoundTrip: false)
        context.statistics.connectionsAccepted &+= 1
        listeners[listener].append(connections[index].id)
        tellAcceptable(listener)
        connections[index].receiveGeneral(segment, header, &context, now: now, output: &output)
        settle(index, now: now)
    }

    /// A segment for a connection in TIME-WAIT (RFC 9293 §3.10.7.4, RFC 1337, RFC 6191).
    mutating func receiveInTimeWait(
        _ segment: RawSpan, _ header: TCPHeader, _ index: Int, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        let entry = compact[index]
        // RFC 1337 §3: a RST, perhaps an old duplicate, does not cut TIME-WAIT short.
        if header.flags.contains(.rst) { return }
        if header.flags.contains(.syn), !header.flags.contains(.ack),
            isBeyond(segment, header, entry),
            listener(for: entry.tuple.local, port: entry.tuple.localPort) != nil
        {
            removeCompact(index)
            return receiveUnknown(
                segment, header, entry.tuple, entry.hash, now: now, after: entry.sending,
                output: &output)
        }
        let length = segment.byteCount &- header.length
        guard length > 0 || header.flags.contains(.syn) || header.flags.contains(.fin) else {
            return
        }
        if header.flags.contains(.fin), header.sequence + (length &+ 1) == entry.receiving {
            compact.restart(index, now: now, configuration)
        }
        acknowledge(entry, now: now, output: &output)
    }

    /// True if a SYN is a new connection's, and no old duplicate: by its timestamp if it can
    /// (RFC 6191 §2), else by its number (RFC 9293 §3.6.1).
    private func isBeyond(
        _ segment: RawSpan, _ header: TCPHeader, _ entry: TCPCompactEntry
    ) -> Bool {
        let isAhead = header.sequence > entry.receiving
        guard let last = entry.options.timestamps,
            let new = TCPTimestamps(segment, headerLength: header.length)
        else { return isAhead }
        return new.value == last.value ? isAhead : Int32(bitPattern: new.value &- last.value) > 0
    }

    /// Half-open entries whose SYN-ACK is due again, and TIME-WAITs that are over.
    mutating func pollCompact(now: Instant, output: inout some SegmentOutput & ~Copyable) {
        while let index = compact.due(now) {
            let entry = compact[index]
            let isOver =
                entry.isTimeWait
                || Int(entry.list)
                    > min(
                        configuration.maximumSynRetransmissions, TCPCompactEntries.listCount - 2)
                || !listeners.contains(
                    Int(entry.listener.index), generation: entry.listener.generation)
            if isOver {
                removeCompact(index)
                continue
            }
            compact.restart(index, now: now, configuration)
            context.statistics.segmentsRetransmitted &+= 1
            sendSynAck(entry, now: now, output: &output)
        }
    }

    mutating func removeCompact(_ index: Int) {
        table.remove(compact[index].hash, .compact(index))
        compact.remove(index)
    }

    @inline(never)
    private mutating func sendSynAck(
        _ entry: TCPCompactEntry, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        _ = TCPControlBlock.sendOpening(
            entry.tuple, entry.sending, entry.receiving, entry.options,
            stamp: TCPTimestamps.clock(now) &+ entry.timestampOffset,
            window: configuration.firstWindow, &context, output: &output)
    }

    /// A RST for a segment that belongs to nothing (RFC 9293 §3.10.7.1).
    private mutating func refuse(
        _ segment: RawSpan, _ header: TCPHeader, _ tuple: TCPTuple,
        output: inout some SegmentOutput & ~Copyable
    ) {
        if header.flags.contains(.rst) { return }
        if header.flags.contains(.ack) {
            return sendBare(tuple, header.acknowledgment, SequenceNumber(0), .rst, output: &output)
        }
        let length =
            segment.byteCount &- header.length &+ (header.flags.contains(.syn) ? 1 : 0)
            &+ (header.flags.contains(.fin) ? 1 : 0)
        sendBare(
            tuple, SequenceNumber(0), header.sequence + length, [.rst, .ack], output: &output)
    }

    /// Tells the peer of a half-open connection, or of one in TIME-WAIT, where both sides are.
    @inline(never)
    private mutating func acknowledge(
        _ entry: TCPCompactEntry, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        var options = TCPSynOptions()
        if configuration.timestamps, let peers = entry.options.timestamps {
            options.timestamps = TCPTimestamps(
                value: TCPTimestamps.clock(now) &+ entry.timestampOffset, echo: peers.value)
        }
        sendBare(
            entry.tuple, entry.isTimeWait ? entry.sending : entry.sending + 1, entry.receiving,
            .ack, options, output: &output)
    }

    /// A segment without data that no control block stands behind.
    private mutating func sendBare(
        _ tuple: TCPTuple, _ sequence: SequenceNumber, _ acknowledgment: SequenceNumber,
        _ flags: TCPFlags, _ options: TCPSynOptions = TCPSynOptions(),
        output: inout some SegmentOutput & ~Copyable
    ) {
        let header = TCPHeader(
            from: tuple.localPort, to: tuple.remotePort, sequence: sequence,
            acknowledgment: acknowledgment, flags: flags, window: 0,
            length: TCPHeader.minimumLength &+ options.length)
        _ = header.send(tuple, options, output: &output)
        context.statistics.segmentsSent &+= 1
        if flags.contains(.rst) { context.statistics.resetsSent &+= 1 }
    }
}

extension IPAddress {
    /// False for the unspecified address, multicast and broadcast (RFC 9293 §3.10.7.2, MUST-57).
    var isUnicast: Bool {
        if let v4 { return v4.bits != 0 && v4.bits >> 28 < 0xE }
        return high >> 56 != 0xFF && (high != 0 || low != 0)
    }
}
