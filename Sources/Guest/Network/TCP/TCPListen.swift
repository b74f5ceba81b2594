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
            let size = options.maximumSegmentSize == 0 ? 536 : options.maximumSegmentSize
            let cookie = cookies.make(
                tuple, peerSequence: header.sequence, maximumSegmentSize: size, now: now)
            context.statistics.cookiesSent &+= 1
            sendSynAck(tuple, cookie, receiving, TCPSynOptions(), output: &output)
            return
        }
        var sending = initialSequence(tuple, now)
        if let previous, sending - previous < 65_538 {
            sending = previous + 65_538  // RFC 9293 §3.6.1: beyond the old connection's numbers
        }
        let entry = TCPCompactEntry(
            tuple: tuple, hash: hash, sending: sending, receiving: receiving,
            listener: listeners[listener].id, options: options, isTimeWait: false)
        let index = compact.insert(entry, now: now, configuration)
        table.insert(hash, .compact(index))
        sendSynAck(tuple, sending, receiving, options, output: &output)
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
                sendSynAck(
                    entry.tuple, entry.sending, entry.receiving, entry.options, output: &output)
            } else {
                sendBare(
                    entry.tuple, entry.sending + 1, entry.receiving, .ack, output: &output)
            }
            return
        }
        guard header.flags.contains(.ack) else { return }
        guard header.acknowledgment == entry.sending + 1 else {
            return sendBare(
                entry.tuple, header.acknowledgment, SequenceNumber(0), .rst, output: &output)
        }
        guard offset >= 0, offset < 65_535 else {
            return sendBare(
                entry.tuple, entry.sending + 1, entry.receiving, .ack, output: &output)
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
            rcvNxt: entry.receiving, entry.options, listener: Int(entry.listener.index),
            wasRepeated: wasRepeated, now: now, output: &output)
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
        options.maximumSegmentSize = size
        establish(
            segment, header, tuple, hash, iss: cookie, rcvNxt: header.sequence, options,
            listener: listener, wasRepeated: false, now: now, output: &output)
    }

    /// The handshake is complete: a control block, a place in the accept queue, and the segment
    /// that completed it goes the way of all others.
    private mutating func establish(
        _ segment: RawSpan, _ header: TCPHeader, _ tuple: TCPTuple, _ hash: UInt32,
        iss: SequenceNumber, rcvNxt: SequenceNumber, _ options: TCPSynOptions, listener: Int,
        wasRepeated: Bool, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let index = insertConnection(tuple, hash, .synReceived, iss)
        let offer = TCPControlBlock.offer(
            maximumSegment: output.maximumSegment(to: tuple.remote), context)
        connections[index].rcvNxt = rcvNxt
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
            header.sequence > entry.receiving,
            listener(for: entry.tuple.local, port: entry.tuple.localPort) != nil
        {
            // RFC 9293 §3.6.1: a new connection whose numbers lie beyond the old one's.
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
        sendBare(entry.tuple, entry.sending, entry.receiving, .ack, output: &output)
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
            sendSynAck(entry.tuple, entry.sending, entry.receiving, entry.options, output: &output)
        }
    }

    mutating func removeCompact(_ index: Int) {
        table.remove(compact[index].hash, .compact(index))
        compact.remove(index)
    }

    /// The SYN-ACK. Of what this side can do it tells what the peer offered.
    private mutating func sendSynAck(
        _ tuple: TCPTuple, _ sequence: SequenceNumber, _ acknowledgment: SequenceNumber,
        _ offered: TCPSynOptions, output: inout some SegmentOutput & ~Copyable
    ) {
        var options = TCPControlBlock.offer(
            maximumSegment: output.maximumSegment(to: tuple.remote), context)
        if offered.windowShift == nil { options.windowShift = nil }
        options.sackPermitted = offered.sackPermitted
        let window = min(configuration.initialReceiveBuffer, 0xFFFF)
        let header = TCPHeader(
            from: tuple.localPort, to: tuple.remotePort, sequence: sequence,
            acknowledgment: acknowledgment, flags: [.syn, .ack],
            window: UInt16(truncatingIfNeeded: window),
            length: TCPHeader.minimumLength &+ options.length)
        _ = header.send(tuple, options, output: &output)
        context.statistics.segmentsSent &+= 1
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

    /// A segment of twenty octets that no control block stands behind.
    private mutating func sendBare(
        _ tuple: TCPTuple, _ sequence: SequenceNumber, _ acknowledgment: SequenceNumber,
        _ flags: TCPFlags, output: inout some SegmentOutput & ~Copyable
    ) {
        let header = TCPHeader(
            from: tuple.localPort, to: tuple.remotePort, sequence: sequence,
            acknowledgment: acknowledgment, flags: flags, window: 0)
        _ = header.send(tuple, output: &output)
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
