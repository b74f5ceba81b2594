// Taking acknowledgements (RFC 9293 §3.10.7.4, fifth; RFC 5681; RFC 6298).

extension TCPControlBlock {
    /// Takes the acknowledgement and window of an acceptable segment.
    mutating func processAcknowledgment(
        _ segment: RawSpan, _ header: TCPHeader, sequence: SequenceNumber, payload: Int,
        _ context: inout TCPContext, now: Instant
    ) {
        let offered = Int(header.window) << Int(sendShift)
        var isNewSack = false
        if header.length > TCPHeader.minimumLength, flags.contains(.sackPermitted) {
            isNewSack = readSack(segment, header, &context, now)
        }
        if header.acknowledgment > sndUna {
            if flags.contains(.mayUndo) { undoIfNeedless(segment, header) }
            acknowledged(header.acknowledgment, &context, now: now)
        } else if header.acknowledgment == sndUna, inFlight > 0 {
            // A duplicate: RFC 5681 §2; with SACK only what tells something new (RFC 6675 §2).
            let isDuplicate =
                flags.contains(.sackPermitted)
                ? isNewSack
                : payload == 0 && offered == sndWnd && !header.flags.contains(.fin)
            if isDuplicate, duplicateAcks < 1 << 16 { duplicateAcks &+= 1 }
        }
        detectLoss(&context, now: now)
        updateWindow(offered, sequence, header.acknowledgment)
    }

    /// Takes the peer's window unless the segment is older than what told the last one.
    @inline(__always)
    mutating func updateWindow(
        _ offered: Int, _ sequence: SequenceNumber, _ acknowledgment: SequenceNumber
    ) {
        guard acknowledgment >= sndUna else { return }
        // By the acknowledgement first: RFC 9293 §3.10.7.4 asks for the sequence number, but a
        // segment that was sent again has an old one, and a new window that may be smaller.
        guard sndWl2 < acknowledgment || (sndWl2 == acknowledgment && sndWl1 <= sequence) else {
            return
        }
        if sndWnd == 0 || offered == 0 {
            // The peer answers: a closed window alone never ends a connection (§3.8.6.1).
            attempts = 0
        }
        sndWnd = offered
        sndWl1 = sequence
        sndWl2 = acknowledgment
        maximumWindow = max(maximumWindow, offered)
    }

    /// SND.UNA moves to `acknowledgment`, which the caller found to be acceptable and new.
    @inline(__always) @_optimize(speed)
    mutating func acknowledged(
        _ acknowledgment: SequenceNumber, _ context: inout TCPContext, now: Instant
    ) {
        let octets = acknowledgment - sndUna
        let flightBefore = inFlight
        sndUna = acknowledgment
        acknowledgedOctets &+= UInt64(truncatingIfNeeded: octets)
        if sndNxt < acknowledgment { sndNxt = acknowledgment }  // a window probe was taken
        flags.remove([.probed, .probeTimer, .reorderTimer])
        sendRing.drop(octets)
        if sendRing.count == 0 { sendRing.rest(&context.pool) }
        if !sacked.isEmpty { fillHole(acknowledgment, &context) }
        if let sentAt = sentTimes.remove(through: acknowledgment), recovery == .none,
            !flags.contains(.probeRepeated)  // Karn: RFC 6298 §3
        {
            measured(TCPSentTimes.clock(now) &- sentAt, flightBefore)
        }
        roundTrip.answered()
        attempts = 0
        progressAt = now
        advanceRecovery(octets, flightBefore: flightBefore, now)
        if inFlight > 0 {
            retransmitAt = now.advanced(by: roundTrip.timeout(context.configuration)).nanoseconds
            if inFlight > mss { armProbe(now) }
            context.timers.arm(Int(id.index), retransmitAt)
        } else {
            retransmitAt = .max
        }
        if flags.contains([.wantsWritable, .probing]) {
            if flags.contains(.probing) { endProbe() }
            if flags.contains(.wantsWritable) { tellIfWritable(&context) }
        }
    }

    /// Takes a round trip, of which there are several in the time of one: SRTT takes one of them.
    @inline(__always)
    private mutating func measured(_ ticks: UInt32, _ flightBefore: Int) {
        let startsRound = sndUna >= roundEnd
        if startsRound {
            roundEnd = sndNxt
            roundTrip.sample(UInt64(ticks) << 10)
        }
        if flightBefore &* 2 >= congestion.window {
            congestion.measured(ticks, startsRound: startsRound)
        }
    }

    /// Tells a sender that waits once a quarter of the send ring is free, not for every octet.
    mutating func tellIfWritable(_ context: inout TCPContext) {
        let most = sendLimit(context)
        guard most &- sendRing.count >= most / 4 else { return }
        guard hasSendStorage(context) else { return lookAgainSoon(&context) }
        flags.remove(.wantsWritable)
        tell(.writable, &context)
    }
}
