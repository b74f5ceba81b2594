// Segments that arrive for a connection: the fast path, and the rules of RFC 9293 §3.10.7.4.

extension TCPControlBlock {
    /// Header prediction: the segment is the next one in order, on a connection without loss.
    /// It is read only as far as that takes; `segment` has at least twenty octets.
    ///
    /// - Returns: false if it is not; nothing was done.
    @_transparent
    mutating func receivePredicted(
        _ segment: RawSpan, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        guard segment.byteCount >= TCPHeader.minimumLength else { return false }
        let sequence = SequenceNumber(segment.number32(at: 4))
        let acknowledgment = SequenceNumber(segment.number32(at: 8))
        // A header of twenty octets, ACK, perhaps PSH, and nothing else; or with timestamps, which
        // then all segments have, laid out as all write them (RFC 7323 appendix A).
        let word = segment.number32(at: 12)
        var headerLength = TCPHeader.minimumLength
        var stamp = timestampRecent
        if flags.contains(.timestamps) {
            headerLength &+= TCPTimestamps.length
            guard segment.byteCount >= headerLength else { return false }
            let option = segment.number64(at: 20)
            stamp = UInt32(truncatingIfNeeded: option)
            guard option >> 32 == UInt64(TCPTimestamps.word),
                Int32(bitPattern: stamp &- timestampRecent) >= 0
            else { return false }
        }
        let payload = segment.byteCount &- headerLength
        let progress = acknowledgment - sndUna
        guard state == .established,
            word & 0xF0F7_0000 == UInt32(truncatingIfNeeded: headerLength) &<< 26 | 0x0010_0000,
            sequence == rcvNxt,
            progress >= 0, progress <= inFlight, payload > 0 || progress > 0,
            payload <= rcvEdge - rcvNxt, recovery == .none, duplicateAcks == 0, sacked.isEmpty,
            outOfOrder.isEmpty, !flags.contains(.finKnown)
        else { return false }
        lastReceivedAt = now
        keepaliveProbesSent = 0
        if sequence <= lastAckSent { timestampRecent = stamp }
        if progress > 0 { acknowledged(acknowledgment, &context, now: now) }
        updateWindow(Int(word & 0xFFFF) &<< Int(sendShift), sequence, acknowledgment)
        if payload > 0 {
            appendInOrder(segment.extracting(droppingFirst: headerLength), &context, now)
        }
        if flags.contains(.ackNow) || sendRing.count != inFlight || flags.contains(.finQueued) {
            transmit(&context, now: now, output: &output)
        }
        return true
    }

    /// The octets at RCV.NXT: into the ring, and an acknowledgement is due, soon or now.
    @inline(__always) @_optimize(speed)
    private mutating func appendInOrder(
        _ payload: RawSpan, _ context: inout TCPContext, _ now: Instant
    ) {
        let length = payload.byteCount
        guard
            receiveRing.reserve(
                receiveRing.count &+ length, ceiling: context.pool.limit, from: &context.pool)
        else {
            // No memory: as if it were lost. The peer sends it again.
            flags.insert(.ackNow)
            return
        }
        receiveRing.append(payload)
        rcvNxt += length
        // What a card has joined are several segments.
        peerSegment = max(peerSegment, min(length, mss))
        unacknowledgedReceived &+= length
        if unacknowledgedReceived >= 2 &* peerSegment {
            flags.insert(.ackNow)  // RFC 9293 §3.8.6.3: at least every second full segment
        } else if !flags.contains(.ackDelayed) {
            flags.insert(.ackDelayed)
            let at = now.advanced(by: context.configuration.delayedAckNanoseconds).nanoseconds
            soonAt = min(soonAt, at)
            context.timers.arm(Int(id.index), soonAt)
        }
        tell(.readable, &context)
    }

    /// Any segment in any state but CLOSED, LISTEN, SYN-SENT and TIME-WAIT.
    mutating func receiveGeneral(
        _ segment: RawSpan, _ header: TCPHeader, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        var bits = header.flags
        var sequence = header.sequence
        var payload = segment.extracting(droppingFirst: header.length)
        if state == .synReceived, bits.contains(.syn), sequence + 1 == rcvNxt {
            // A simultaneous open: the peer's SYN-ACK repeats the SYN that was taken already.
            bits.remove(.syn)
            sequence = rcvNxt
        }
        // Before all: an old duplicate (RFC 7323 §5.3).
        var stamps: TCPTimestamps?
        if flags.contains(.timestamps) {
            stamps = TCPTimestamps(segment, headerLength: header.length)
            guard admits(stamps, bits, &context, now) else {
                return transmit(&context, now: now, output: &output)
            }
        }
        // First: the sequence number (§3.10.7.4, table 6).
        let offset = sequence - rcvNxt
        let window = max(rcvEdge - rcvNxt, 0)
        let length =
            payload.byteCount &+ (bits.contains(.syn) ? 1 : 0) &+ (bits.contains(.fin) ? 1 : 0)
        let isAcceptable =
            length == 0
            ? offset == 0 || (offset > 0 && offset < window)
            : (offset < window && offset &+ length > 0 && window > 0)
        // An octet before: a keepalive, which is answered; or the peer took this side's probe of its
        // closed window and sent one of its own, which has no place in its numbers yet. If both do,
        // only the acknowledgements in such segments get them apart.
        let isBefore = offset == -1 && length == 0 && !bits.contains(.rst)
        if isBefore { challenge(&context, now) }
        guard isAcceptable || (window == 0 && offset == 0) || isBefore else {
            guard !bits.contains(.rst) else { return }
            if length > 0 {
                flags.insert(.ackNow)
                if offset < 0 { noteTwice(sequence, sequence + payload.byteCount) }
            } else {
                challenge(&context, now)
            }
            return transmit(&context, now: now, output: &output)
        }
        // Second: RST (RFC 5961 §3.2). Fourth: SYN (§4.2).
        if bits.contains(.rst) {
            if offset == 0 {
                return close(state == .synReceived ? .refused : .reset, &context)
            }
            challenge(&context, now)
            return transmit(&context, now: now, output: &output)
        }
        if bits.contains(.syn) {
            challenge(&context, now)
            return transmit(&context, now: now, output: &output)
        }
        // Fifth: ACK.
        guard bits.contains(.ack) else { return }
        lastReceivedAt = now
        keepaliveProbesSent = 0
        if state == .synReceived {
            guard header.acknowledgment > sndUna, header.acknowledgment <= sndNxt else {
                return reset(at: header.acknowledgment, &context, output: &output)
            }
            completeHandshake(header, &context, now: now)
        }
        let highest = flags.contains(.probed) ? sndNxt + 1 : sndNxt
        guard header.acknowledgment <= highest,
            sndUna - header.acknowledgment <= max(maximumWindow, 65_535)
        else {
            challenge(&context, now)  // RFC 5961 §5.2
            return transmit(&context, now: now, output: &output)
        }
        // RFC 7323 §4.3: only what begins where we said that we are. Not before the numbers held:
        // who sets it too high would have all that follows dropped.
        if let stamps, header.sequence <= lastAckSent { timestampRecent = stamps.value }
        if flags.contains(.heedsMarks) {
            heedMarks(bits, hasData: payload.byteCount > 0, &context)
        }
        processAcknowledgment(
            segment, header, sequence: sequence, payload: payload.byteCount, &context, now: now)
        advanceState(&context, now: now)
        guard state != .closed else { return }
        // Sixth, URG: the octets are data like others, the pointer is ignored (RFC 6093).
        // Seventh and eighth: the octets, and FIN.
        if mayReceive, length > 0 {
            if flags.contains(.released), payload.byteCount > 0 {
                // Nobody will ever read them (RFC 9293 §3.10.4, RFC 2525 §2.17).
                sendReset(&context, output: &output)
                return close(.aborted, &context)
            }
            if window == 0 {
                flags.insert(.ackNow)  // a window probe
            } else {
                if bits.contains(.fin) { noteFin(sequence + payload.byteCount, offset, window) }
                accept(&payload, sequence: sequence, window: window, &context, now: now)
            }
            reachFin(&context, now: now)
        } else if length > 0 {
            flags.insert(.ackNow)
        }
        transmit(&context, now: now, output: &output)
    }

    /// Takes octets that lie in the window at least in part.
    private mutating func accept(
        _ payload: inout RawSpan, sequence: SequenceNumber, window: Int,
        _ context: inout TCPContext, now: Instant
    ) {
        var offset = sequence - rcvNxt
        if offset < 0 {
            flags.insert(.ackNow)  // partly old: tell where we are
            noteTwice(sequence, rcvNxt)
            payload = payload.extracting(droppingFirst: min(0 &- offset, payload.byteCount))
            offset = 0
        }
        guard offset < window else { return }
        if payload.byteCount > window &- offset {
            flags.insert(.ackNow)
            payload = payload.extracting(first: window &- offset)
        }
        guard payload.byteCount > 0 else { return }
        if offset == 0 {
            let before = rcvNxt
            appendInOrder(payload, &context, now)
            if rcvNxt != before, !outOfOrder.isEmpty { joinOutOfOrder(&context) }
            return
        }
        // A gap before it: an acknowledgement at once (RFC 5681 §4.2), the octets wait in place.
        flags.insert([.ackNow, .sackNow])
        let start = rcvNxt + offset
        if outOfOrder.gaps(from: start, to: start + payload.byteCount) == 0 {
            return noteTwice(start, start + payload.byteCount)
        }
        let place = receiveRing.count &+ offset
        guard !context.isShortOfMemory || place < 65_536,
            receiveRing.reserve(
                place &+ payload.byteCount, ceiling: context.sendCeiling, from: &context.pool),
            outOfOrder.insert(
                SequenceInterval(start: start, end: start + payload.byteCount),
                from: &context.pool)
        else { return }
        receiveRing.write(payload, at: place)
        newestOutOfOrder = start
        peerSegment = max(peerSegment, min(payload.byteCount, mss))
    }

    /// A gap was filled: what waited behind it joins the ring.
    private mutating func joinOutOfOrder(_ context: inout TCPContext) {
        if outOfOrder[0].start <= rcvNxt, outOfOrder[0].end > rcvNxt {
            receiveRing.extend(by: outOfOrder[0].end - rcvNxt)
            rcvNxt = outOfOrder[0].end
        }
        outOfOrder.removeBelow(rcvNxt, into: &context.pool)
        flags.insert(outOfOrder.isEmpty ? .ackNow : [.ackNow, .sackNow])
    }

    /// Octets that had been received came again: the peer is told, who may have sent them for
    /// nothing (RFC 2883 §4).
    @inline(never)
    private mutating func noteTwice(_ start: SequenceNumber, _ end: SequenceNumber) {
        guard start < end, end - start <= 65_535 else { return }
        duplicate = SequenceInterval(start: start, end: end)
        flags.insert(.sackNow)
    }

    /// Remembers where the peer's stream ends, if that lies in the window.
    private mutating func noteFin(_ sequence: SequenceNumber, _ offset: Int, _ window: Int) {
        guard !flags.contains(.finKnown), sequence - rcvNxt <= window, sequence >= rcvNxt else {
            return
        }
        flags.insert(.finKnown)
        finSequence = sequence
    }

    /// If everything before the peer's FIN has arrived, takes the FIN (§3.10.7.4, eighth).
    private mutating func reachFin(_ context: inout TCPContext, now: Instant) {
        guard flags.contains(.finKnown), !flags.contains(.finReceived), rcvNxt >= finSequence
        else { return }
        flags.insert([.finReceived, .ackNow])
        rcvNxt = finSequence + 1
        rcvEdge = SequenceNumber.later(rcvEdge, rcvNxt)
        outOfOrder.clear(into: &context.pool)
        tell(.readable, &context)
        switch state {
        case .established: state = .closeWait
        case .finWait1: state = .closing
        case .finWait2: state = .timeWait
        default: break
        }
    }

    /// What an acknowledgement of this side's FIN changes.
    private mutating func advanceState(_ context: inout TCPContext, now: Instant) {
        guard flags.contains(.finSent), sndUna == sndNxt else { return }
        switch state {
        case .finWait1:
            state = .finWait2
            if flags.contains(.released) {
                lifeAt = now.advanced(by: context.configuration.finWait2Nanoseconds).nanoseconds
                context.timers.arm(Int(id.index), lifeAt)
            }
        case .closing: state = .timeWait
        case .lastAck: close(nil, &context)
        default: break
        }
    }

    /// A challenge ACK, if this connection sent none just now (RFC 5961 §7).
    mutating func challenge(_ context: inout TCPContext, _ now: Instant) {
        if let last = lastChallengeAt,
            now.since(last) < context.configuration.challengeIntervalNanoseconds
        {
            return
        }
        lastChallengeAt = now
        flags.insert(.ackNow)
        context.statistics.challengesSent &+= 1
    }
}
