// Loss recovery: which octets count as lost, how much is still in flight, what goes out again.
//
// One rule serves peers with and without SACK: send while the octets believed in flight ("pipe",
// RFC 6675 §4) are fewer than the congestion window. Without SACK every duplicate acknowledgement
// says that one segment left the network, which is RFC 6582's inflation told the other way round
// (and RFC 3042's limited transmit before the third). RACK would replace `lostEdge`.

extension TCPControlBlock {
    /// Everything below that is not SACKed counts as lost.
    private var lostEdge: SequenceNumber {
        switch recovery {
        case .none: return sndUna
        case .loss: return recover
        case .fast: break
        }
        let first = sndUna + min(mss, inFlight)
        guard flags.contains(.sackPermitted) else { return first }
        return SequenceNumber.later(sackLostEdge, first)
    }

    /// RFC 6675 §4, IsLost: three ranges, or more than two segments, were SACKed above.
    private var sackLostEdge: SequenceNumber {
        var octets = 0
        var index = sacked.count
        while index > 0 {
            index &-= 1
            octets &+= sacked[index].count
            if octets > 2 &* mss || sacked.count &- index >= 3 { return sacked[index].start }
        }
        return sndUna
    }

    /// Octets believed to be in the network.
    var pipe: Int {
        if recovery == .none, sacked.isEmpty {
            return max(inFlight &- duplicateAcks &* mss, 0)
        }
        let edge = lostEdge
        let again = highRetransmitted < edge ? highRetransmitted : edge
        let octets =
            sacked.gaps(from: sndUna, to: recovery == .none ? sndUna : again)
            &+ sacked.gaps(from: edge, to: sndNxt)
        return flags.contains(.sackPermitted) ? octets : max(octets &- duplicateAcks &* mss, 0)
    }

    /// The next octets to send again (RFC 6675 §4, NextSeg rule 1).
    private var nextLost: SequenceInterval? {
        if flags.contains(.retransmitFirst) { return sacked.gap(from: sndUna, to: sndNxt) }
        return sacked.gap(from: SequenceNumber.later(highRetransmitted, sndUna), to: lostEdge)
    }

    /// Sends lost octets again while the window has room. False: the output had none.
    mutating func retransmitLost(
        _ pipe: inout Int, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        while let lost = nextLost {
            var length = min(lost.count, mss)
            guard
                flags.contains(.retransmitFirst) || pipe == 0
                    || congestion.window &- pipe >= length
            else { return true }
            if flags.contains(.finSent), lost.start + (length &+ 1) == sndNxt { length &+= 1 }
            guard
                retransmit(
                    at: lost.start, length: length, &context, now: now,
                    output: &output)
            else { return false }
            flags.remove(.retransmitFirst)
            retransmitMark = sndNxt
            highRetransmitted = SequenceNumber.later(highRetransmitted, lost.start + length)
            pipe &+= length
        }
        flags.remove(.retransmitFirst)
        return true
    }

    /// Sends octets again that begin at `start`; the FIN is among them if they reach it.
    private mutating func retransmit(
        at start: SequenceNumber, length: Int, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        let offset = start - sndUna
        let payload = max(min(length, sendRing.count &- offset), 0)
        var bits: TCPFlags = [.ack]
        if offset &+ payload == sendRing.count, payload > 0 { bits.insert(.psh) }
        if flags.contains(.finSent), payload < length { bits.insert(.fin) }
        flags.remove(.timing)  // Karn: RFC 6298 §3
        guard
            emit(
                bits, at: start, offset: payload > 0 ? offset : 0, length: payload, sackRanges: 0,
                &context,
                now: now, output: &output)
        else { return false }
        retransmissions &+= 1
        context.statistics.segmentsRetransmitted &+= 1
        return true
    }

    /// Takes the SACK option into the scoreboard.
    ///
    /// - Returns: true if it told something new.
    mutating func readSack(
        _ segment: RawSpan, _ header: TCPHeader, _ context: inout TCPContext
    ) -> Bool {
        var isNew = false
        let lowest = SequenceNumber.later(header.acknowledgment, sndUna)
        forEachSackBlock(segment, headerLength: header.length) { block in
            // What lies outside of what is in flight is stale, a D-SACK (RFC 2883), or a lie.
            guard block.start < block.end, block.start > lowest, block.end <= sndNxt else { return }
            guard sacked.gaps(from: block.start, to: block.end) > 0 else { return }
            if sacked.insert(block, from: &context.pool) { isNew = true }
        }
        return isNew
    }

    /// After an acknowledgement: begins fast recovery if loss shows, and notices when a
    /// retransmission was lost in its turn.
    mutating func detectLoss(isNewSack: Bool) {
        guard inFlight > 0 else { return }
        if recovery == .none {
            let sackSaysLost = flags.contains(.sackPermitted) && sackLostEdge > sndUna
            guard duplicateAcks >= 3 || sackSaysLost, sndUna >= recover else { return }
            congestion.enterFastRecovery(inFlight: inFlight, mss: mss)
            recovery = .fast
            recover = sndNxt
            highRetransmitted = sndUna
            flags.insert(.retransmitFirst)
        } else if isNewSack, highRetransmitted > sndUna, !sacked.isEmpty {
            // Octets first sent after the last retransmission have arrived, and the first hole
            // has not: that retransmission is lost too.
            let top = sacked[sacked.count &- 1].end
            guard top > retransmitMark else { return }
            let beyond = (top - retransmitMark) &- sacked.gaps(from: retransmitMark, to: top)
            if beyond > 2 &* mss { flags.insert(.retransmitFirst) }
        }
    }

    /// New octets were acknowledged: the congestion window, and the progress of recovery.
    @inline(__always)
    mutating func advanceRecovery(_ octets: Int, flightBefore: Int) {
        if recovery == .none {
            duplicateAcks = 0
            congestion.acknowledged(
                octets, mss: mss, limited: flightBefore &* 2 >= congestion.window)
        } else {
            advanceInRecovery(octets)
        }
    }

    private mutating func advanceInRecovery(_ octets: Int) {
        highRetransmitted = SequenceNumber.later(highRetransmitted, sndUna)
        if recovery == .loss { congestion.acknowledged(octets, mss: mss, limited: true) }
        if sndUna >= recover {
            recovery = .none
            duplicateAcks = 0
            flags.remove(.retransmitFirst)
        } else if recovery == .fast, !flags.contains(.sackPermitted) {
            // A partial acknowledgement: the next hole is lost as well (RFC 6582 §3.2 step 3).
            // Those of the acknowledged segments that had told themselves as duplicates go.
            duplicateAcks = max(duplicateAcks &- max(octets / mss &- 1, 0), 0)
            flags.insert(.retransmitFirst)
        }
    }
}
