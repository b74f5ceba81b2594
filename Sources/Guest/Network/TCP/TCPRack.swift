// Loss told by time, and probes for a lost tail: RACK-TLP (RFC 8985), for peers with SACK.
//
// The RFC keeps a time for every segment. Here new octets are sent in order, so their times are a
// few marks (`TCPSentTimes`), and what is lost lies below an edge: the end of the marks that are
// older than the newest octets delivered, by more than the network reorders.

extension TCPControlBlock {
    /// Takes the SACK option into the scoreboard.
    ///
    /// - Returns: true if it told something new.
    @inline(never)
    mutating func readSack(
        _ segment: RawSpan, _ header: TCPHeader, _ context: inout TCPContext, _ now: Instant
    ) -> Bool {
        var isNew = false
        let lowest = SequenceNumber.later(header.acknowledgment, sndUna)
        forEachSackBlock(segment, headerLength: header.length) { block in
            // What lies outside of what is in flight is stale, a D-SACK, or a lie.
            guard block.start < block.end, block.start > lowest, block.end <= sndNxt else {
                if block.end <= header.acknowledgment { noteDuplicate(block) }
                return
            }
            guard let fresh = sacked.gap(from: block.start, to: block.end) else { return }
            let top = sacked.isEmpty ? sndUna : sacked[sacked.count &- 1].end
            guard sacked.insert(block, from: &context.pool) else { return }
            isNew = true
            // Octets that went twice tell nothing: which of the two was it?
            guard recovery == .none || block.end > highRetransmitted else { return }
            if fresh.start < top, !flags.contains(.probing) { flags.insert(.reorders) }
            noteDelivered(block.end, isFirst: top == sndUna, now)
        }
        return isNew
    }

    /// RFC 8985 §6.2, step 2.
    private mutating func noteDelivered(_ end: SequenceNumber, isFirst: Bool, _ now: Instant) {
        guard let time = sentTimes.time(of: end + -1) else { return }
        let later = Int32(bitPattern: time &- rackTime)
        guard isFirst || later > 0 || (later == 0 && end > rackEnd) else { return }
        rackTime = time
        rackEnd = end
        rackRoundTrip = TCPSentTimes.clock(now) &- time
    }

    /// The peer had these octets twice (RFC 2883): what went again was only late, or the network
    /// copies.
    private mutating func noteDuplicate(_ block: SequenceInterval) {
        if flags.contains(.probing), block.end == probeEnd { flags.remove(.probeRepeated) }
        guard retransmissions > 0, sndUna >= latenessRound else { return }
        latenessRound = sndNxt
        if lateness < 16 { lateness &+= 1 }
    }

    /// How long octets may be late, in ticks (RFC 8985 §6.2, step 4): not at all while nothing was
    /// ever seen out of order and three segments tell of loss.
    private var reorderingWindow: UInt32 {
        if !flags.contains(.reorders) {
            if recovery != .none { return 0 }
            var octets = 0
            for index in 0..<sacked.count { octets &+= sacked[index].count }
            if octets > 2 &* mss || sacked.count >= 3 { return 0 }
        }
        // The octets that told of this took a round trip too.
        let least = min(roundTrip.least >> 10, UInt64(rackRoundTrip))
        let most = roundTrip.smoothed == 0 ? least : roundTrip.smoothed >> 10
        return UInt32(truncatingIfNeeded: min(least &* UInt64(lateness) / 4, most))
    }

    /// Up to where what is not SACKed is lost (RFC 8985 §6.2, step 5). If some may only be late,
    /// the timer stands for when it is late no more.
    @inline(never)
    mutating func lossByTime(_ context: inout TCPContext, _ now: Instant) -> SequenceNumber {
        let clock = TCPSentTimes.clock(now)
        let window = reorderingWindow
        if recovery != .none, highRetransmitted > sndUna,
            Int32(bitPattern: rackTime &- retransmittedAt &- window) > 0
        {
            // Octets that were first sent after the last retransmission have arrived, and the
            // first hole has not: what went again is lost too.
            highRetransmitted = sndUna
        }
        var edge = sndUna
        for index in 0..<sentTimes.count where edge < rackEnd {
            let wait = Int32(
                bitPattern: sentTimes[index].time &+ rackRoundTrip &+ window &- clock)
            if wait > 0 {
                if sacked.gap(from: edge, to: rackEnd) != nil {
                    waitForLate(UInt64(wait) << 10, &context, now)
                }
                break
            }
            edge = sentTimes[index].end < rackEnd ? sentTimes[index].end : rackEnd
        }
        return edge
    }

    private mutating func waitForLate(_ time: UInt64, _ context: inout TCPContext, _ now: Instant) {
        let at = now.advanced(by: time).nanoseconds
        guard at < retransmitAt else { return }
        retransmitAt = at
        flags.insert(.reorderTimer)
        flags.remove(.probeTimer)
        context.timers.arm(Int(id.index), at)
    }

    /// An acknowledgement moved SND.UNA while octets above were SACKed.
    @inline(never)
    mutating func fillHole(_ acknowledgment: SequenceNumber, _ context: inout TCPContext) {
        if recovery == .none, !flags.contains(.probing) { flags.insert(.reorders) }
        sacked.removeBelow(acknowledgment, into: &context.pool)
    }

    // MARK: Tail loss probes

    /// Puts the timer to when a probe is due, if that is before the retransmission timeout
    /// (RFC 8985 §7.2). Several segments are in flight: a single one may wait for a delayed
    /// acknowledgement longer than its timeout is.
    @inline(never)
    mutating func armProbe(_ now: Instant) {
        guard flags.contains(.sackPermitted), recovery == .none, sacked.isEmpty,
            !flags.contains(.probing), roundTrip.smoothed > 0
        else { return }
        // On a fast link the peer's own timers are what takes long.
        let at = now.advanced(by: 2 &* roundTrip.smoothed &+ 5_000_000).nanoseconds
        guard at < retransmitAt else { return }
        retransmitAt = at
        flags.insert(.probeTimer)
    }

    /// The timer stood early: for a probe, or for what may have been late.
    @inline(never)
    mutating func earlyTimeout(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let probes = flags.contains(.probeTimer)
        flags.remove([.probeTimer, .reorderTimer])
        if probes {
            sendProbe(&context, now: now, output: &output)
        } else {
            detectLoss(&context, now: now)
            transmit(&context, now: now, output: &output)
        }
        guard retransmitAt == .max, inFlight > 0 else { return }
        retransmitAt = now.advanced(by: roundTrip.timeout(context.configuration)).nanoseconds
    }

    /// One segment, new if there is one, else the last again: its answer tells what else is lost
    /// (RFC 8985 §7.3).
    private mutating func sendProbe(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let flight = inFlight
        let length = min(sendRing.count &- flight, sndWnd &- flight, mss)
        if length > 0, !flags.contains(.finSent) {
            guard sendNext(length, &context, now: now, output: &output) else { return }
        } else {
            let last = min(mss, flight)
            guard
                retransmit(
                    at: sndNxt + (0 &- last), length: last, &context, now: now, output: &output)
            else { return }
            flags.insert(.probeRepeated)
        }
        flags.insert(.probing)
        probeEnd = sndNxt
    }

    /// Sends one segment of new octets, whatever the congestion window says.
    @inline(never)
    mutating func sendNext(
        _ length: Int, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        guard
            emit(
                .ack, at: sndNxt, offset: inFlight, length: length, sackRanges: 0, &context,
                now: now, output: &output)
        else { return false }
        sndNxt += length
        sentTimes.add(sndNxt, TCPSentTimes.clock(now), step: mss, first: sndUna)
        return true
    }

    /// SND.UNA has moved while a probe was out (RFC 8985 §7.4): if the probe mended a loss, that
    /// was one like others.
    @inline(never)
    mutating func endProbe() {
        guard sndUna >= probeEnd else { return }
        if flags.contains(.probeRepeated) {
            guard sndUna > probeEnd else { return }
            congestion.enterFastRecovery(inFlight: max(inFlight, congestion.window), mss: mss)
        }
        flags.remove([.probing, .probeRepeated])
    }
}
