// What ICMP reports of segments: RFC 1122 §4.2.3.9, RFC 5927, and RFC 1191 for those too long.

extension TCP {
    /// The connection that a quoted segment belongs to, if that segment may still be on its way:
    /// who cannot see the connection would have to guess a number in flight (RFC 5927 §4.1).
    func connection(_ tuple: TCPTuple, inFlight sequence: SequenceNumber) -> Int? {
        guard case .connection(let index) = findRarely(tuple) else { return nil }
        return connections[checked: index].isInFlight(sequence) ? index : nil
    }

    /// Notes that a segment did not arrive. A hard error, one that the peer's own host reported,
    /// ends a connection that is being opened. No error ends an established one (RFC 5927 §5.2):
    /// retransmission finds out whether it is still true.
    mutating func noteError(_ index: Int, isHard: Bool, now: Instant) {
        guard connections.contains(index) else { return }
        connections[checked: index].noteError(isHard: isHard, &context)
        settle(index, now: now)
    }

    /// A segment was longer than the path to the peer takes: from now on they are shorter, and
    /// what is in flight goes again, which is no sign of congestion (RFC 1191 §6.4).
    mutating func shortenSegments(
        _ index: Int, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard connections.contains(index) else { return }
        connections[checked: index].shortenSegments(&context, now: now, output: &output)
    }
}

extension TCPControlBlock {
    func isInFlight(_ sequence: SequenceNumber) -> Bool {
        let offset = sequence - sndUna
        return offset >= 0 && offset < inFlight
    }

    mutating func noteError(isHard: Bool, _ context: inout TCPContext) {
        if isHard, state == .synSent { return close(.refused, &context) }
        flags.insert(.errorNoted)
        errorNotedAt = sndUna
    }

    mutating func shortenSegments(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let segment = output.maximumSegment(to: tuple.remote)
        let header =
            TCPHeader.minimumLength &+ (flags.contains(.timestamps) ? TCPTimestamps.length : 0)
        let longest = max(segment &- header, 64)
        guard longest < mss, isSynchronized else { return }
        shorten(to: longest, now)
        sendFlightAgain(&context, now: now, output: &output)
    }

    @inline(never)
    private mutating func shorten(to length: Int, _ now: Instant) {
        mss = length
        triedMss = 0
        flags.insert(.shortened)
        searchLater(now)
    }

    /// Ten minutes in ticks (PMTU_RAISE_TIMER of RFC 8899 §5.1.1; RFC 1191 §6.3).
    private static var searchInterval: UInt32 { 585_937_500 }

    private mutating func searchLater(_ now: Instant) {
        searchAt = TCPSentTimes.clock(now) &+ Self.searchInterval
    }

    /// Segments have been shortened. After a while one that is longer goes out among the others, with
    /// enough behind it to tell if it is lost; if it arrives, all are as long (RFC 4821 §7, RFC 8899
    /// §5.3). From the shortest it goes up by the two steps of `suspectBlackHole`.
    @inline(never)
    mutating func searchPath(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard recovery == .none, sacked.isEmpty else { return }
        if triedMss > 0 {
            guard sndUna >= triedEnd else { return }
            if retransmissions == triedAfter {
                mss = Int(triedMss)
            } else {
                searchLater(now)
            }
            triedMss = 0
        }
        let longest = Int(agreedMss)
        let usual = mss
        guard usual < longest else {
            flags.remove(.shortened)
            return
        }
        let wait = Int32(bitPattern: TCPSentTimes.clock(now) &- searchAt)
        let length = usual < safeSegment ? min(safeSegment, longest) : longest
        let flight = inFlight
        guard wait >= 0, sendRing.count &- flight >= length &+ 4 &* usual,
            sndWnd &- flight >= length, congestion.window > flight, !flags.contains(.finSent)
        else { return }
        // As long as the one segment, so that it is not cut on its way down.
        mss = length
        if sendNext(length, &context, now: now, output: &output) {
            triedMss = UInt16(truncatingIfNeeded: length)
            triedEnd = sndNxt
            triedAfter = retransmissions
        }
        mss = usual
    }

    /// What nearly every path takes; over IPv6 every one does, with all of its headers (RFC 8200 §5).
    private var safeSegment: Int {
        tuple.remote.isV4 || !flags.contains(.timestamps)
            ? 1_220 : 1_220 &- TCPTimestamps.length
    }

    /// Timeouts follow each other: perhaps only long segments vanish, and the router that drops
    /// them says nothing. Shorter ones are tried, first those that nearly every path takes, then
    /// those that every path has to (RFC 4821 §7.7, RFC 8899 §4.2).
    @inline(never)
    mutating func suspectBlackHole(_ now: Instant) {
        let length =
            mss > safeSegment ? safeSegment : attempts > 4 && tuple.remote.isV4 ? 536 : mss
        // The path of segments that are shorter anyway is not what fails.
        if inFlight >= length, length < mss { shorten(to: length, now) }
    }

    /// Why the connection ends when retransmissions run out: the network may have told, and then
    /// nothing arrived since.
    var timeoutFailure: TCPFailure {
        flags.contains(.errorNoted) && errorNotedAt == sndUna ? .unreachable : .timedOut
    }

    /// All that was in flight counts as lost, and goes again as the congestion window allows.
    mutating func sendFlightAgain(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        recovery = .loss
        recover = sndNxt
        highRetransmitted = sndUna
        duplicateAcks = 0
        flags.remove([.probing, .probeRepeated])
        // The peer may have dropped what it had only SACKed (RFC 2018 §8).
        sacked.clear(into: &context.pool)
        flags.insert(.retransmitFirst)
        transmit(&context, now: now, output: &output)
    }
}
