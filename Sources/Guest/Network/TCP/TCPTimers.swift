// What happens when time passes: retransmission, window probes, delayed ACK, keepalive.

extension TCPControlBlock {
    /// The earliest deadline of this connection.
    @inline(__always) private var deadline: UInt64 { min(retransmitAt, soonAt, lifeAt) }

    /// Does what is due, and arms the timer anew.
    mutating func timeout(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        if lifeAt <= now.nanoseconds { lifeTimeout(&context, now: now, output: &output) }
        if state != .closed, retransmitAt <= now.nanoseconds {
            retransmissionTimeout(&context, now: now, output: &output)
        }
        if state != .closed, soonAt <= now.nanoseconds {
            soonAt = .max
            if flags.contains(.ackDelayed) {
                flags.remove(.ackDelayed)
                flags.insert(.ackNow)
            }
            if state == .synSent || state == .synReceived {
                if flags.contains(.blocked) { sendSyn(&context, now: now, output: &output) }
            } else {
                flags.remove(.blocked)
                transmit(&context, now: now, output: &output)
            }
        }
        // Also if a segment that was sent meanwhile took `soonAt` back.
        if state != .closed, flags.contains(.wantsWritable) { tellIfWritable(&context) }
        context.timers.set(Int(id.index), state == .closed ? .max : deadline)
    }

    /// RFC 6298 §5.4 to §5.7, RFC 9293 §3.8.3 and §3.8.6.1.
    private mutating func retransmissionTimeout(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        retransmitAt = .max
        if flags.contains([.probeTimer, .reorderTimer]) {
            return earlyTimeout(&context, now: now, output: &output)
        }
        let isOpening = state == .synSent || state == .synReceived
        let most =
            isOpening
            ? context.configuration.maximumSynRetransmissions
            : context.configuration.maximumRetransmissions
        let silence = now.since(progressAt)
        let isOverdue =
            userTimeoutNanoseconds > 0 && silence >= userTimeoutNanoseconds
            || flags.contains(.released) && silence >= context.configuration.orphanNanoseconds
        guard attempts < most, !isOverdue else {
            if state != .synSent { sendReset(&context, output: &output) }
            return close(timeoutFailure, &context)
        }
        attempts &+= 1
        if roundTrip.backoff < 32 { roundTrip.backoff &+= 1 }
        if isOpening {
            retransmissions &+= 1
            return sendSyn(&context, now: now, output: &output)
        }
        if inFlight == 0 {
            probeWindow(&context, now: now, output: &output)
        } else {
            if attempts > 2 { suspectBlackHole(now) }
            congestion.timedOut(inFlight: inFlight, mss: mss, first: attempts == 1)
            if attempts == 1 { noteFirstRetransmission(now) }
            sendFlightAgain(&context, now: now, output: &output)
        }
        if retransmitAt == .max, inFlight > 0 || sendRing.count > 0 || flags.contains(.finQueued) {
            retransmitAt =
                now.advanced(by: roundTrip.timeout(context.configuration)).nanoseconds
        }
    }

    /// The peer's window lets nothing go, and nothing is in flight. If it is closed, one octet
    /// asks again; if it is merely small, what fits goes at last (RFC 9293 §3.8.6.2.1, rule 4).
    private mutating func probeWindow(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        if sendRing.count == 0 {
            guard flags.contains(.finQueued), !flags.contains(.finSent) else { return }
            guard
                emit(
                    [.ack, .fin], at: sndNxt, offset: 0, length: 0, sackRanges: 0, &context,
                    now: now,
                    output: &output)
            else { return }
            flags.insert(.finSent)
            sndNxt += 1
            return
        }
        let length = min(max(sndWnd, 1), mss, sendRing.count)
        guard
            emit(
                .ack, at: sndNxt, offset: 0, length: length, sackRanges: 0, &context, now: now,
                output: &output)
        else { return }
        if sndWnd > 0 { sndNxt += length } else { flags.insert(.probed) }
    }

    /// Keepalive, the end of FIN-WAIT-2, and what the application left to `poll`.
    private mutating func lifeTimeout(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        lifeAt = .max
        if flags.contains(.abortAtPoll) {
            return abort(&context, output: &output)
        }
        guard flags.contains(.released) else {
            return keepalive(&context, now: now, output: &output)
        }
        if !flags.contains(.lingering) {
            flags.insert(.lingering)
            if state == .finWait2 { progressAt = now }
        }
        finish(&context, now: now, output: &output)
        guard state == .finWait2 else { return }
        // Nobody waits for the peer's FIN any more, but for a while it may still come.
        let end = progressAt.advanced(by: context.configuration.finWait2Nanoseconds)
        if end <= now { return close(.timedOut, &context) }
        lifeAt = end.nanoseconds
    }

    /// Starts the keepalive timer, if the connection has one.
    mutating func armKeepalive(_ context: inout TCPContext, now: Instant) {
        guard isSynchronized, !flags.contains(.released) else { return }
        lifeAt =
            keepaliveNanoseconds == 0
            ? .max : now.advanced(by: keepaliveNanoseconds).nanoseconds
        context.timers.arm(Int(id.index), lifeAt)
    }

    /// An idle peer is asked with an old sequence number: one that lives answers (§3.8.4).
    private mutating func keepalive(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard keepaliveNanoseconds > 0, isSynchronized else { return }
        let idleUntil = lastReceivedAt.advanced(by: keepaliveNanoseconds)
        // While something is in flight, retransmission finds out whether the peer lives.
        if now < idleUntil || inFlight > 0 {
            lifeAt = max(
                idleUntil.nanoseconds,
                now.advanced(by: context.configuration.keepaliveIntervalNanoseconds).nanoseconds)
            if now < idleUntil { lifeAt = idleUntil.nanoseconds }
            return
        }
        guard keepaliveProbesSent < context.configuration.keepaliveProbes else {
            sendReset(&context, output: &output)
            return close(.timedOut, &context)
        }
        keepaliveProbesSent &+= 1
        _ = emit(
            .ack, at: sndNxt + -1, offset: 0, length: 0, sackRanges: 0, &context, now: now,
            output: &output)
        lifeAt =
            now.advanced(by: context.configuration.keepaliveIntervalNanoseconds).nanoseconds
    }
}
