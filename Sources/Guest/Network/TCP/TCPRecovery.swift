// Loss recovery: which octets count as lost, how much is still in flight, what goes out again.
//
// One rule serves peers with and without SACK: send while the octets believed in flight ("pipe",
// RFC 6675 §4) are fewer than the congestion window. Without SACK every duplicate acknowledgement
// says that one segment left the network, which is RFC 6582's inflation told the other way round
// (and RFC 3042's limited transmit before the third). With SACK, time tells what is lost (TCPRack).

extension TCPControlBlock {
    /// Everything below that is not SACKed counts as lost.
    private var lostEdge: SequenceNumber {
        switch recovery {
        case .none: sndUna
        case .loss: recover
        case .fast:
            flags.contains(.sackPermitted)
                ? SequenceNumber.later(lostEnd, sndUna) : sndUna + min(mss, inFlight)
        }
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
            highRetransmitted = SequenceNumber.later(highRetransmitted, lost.start + length)
            pipe &+= length
        }
        flags.remove(.retransmitFirst)
        return true
    }

    /// Sends octets again that begin at `start`; the FIN is among them if they reach it.
    mutating func retransmit(
        at start: SequenceNumber, length: Int, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        let offset = start - sndUna
        let payload = max(min(length, sendRing.count &- offset), 0)
        var bits: TCPFlags = [.ack]
        if offset &+ payload == sendRing.count, payload > 0 { bits.insert(.psh) }
        if flags.contains(.finSent), payload < length { bits.insert(.fin) }
        guard
            emit(
                bits, at: start, offset: payload > 0 ? offset : 0, length: payload, sackRanges: 0,
                &context,
                now: now, output: &output)
        else { return false }
        retransmittedAt = TCPSentTimes.clock(now)
        retransmissions &+= 1
        context.statistics.segmentsRetransmitted &+= 1
        return true
    }

    /// After an acknowledgement, or when what may have been late should have arrived: begins fast
    /// recovery if loss shows.
    @inline(never)
    mutating func detectLoss(_ context: inout TCPContext, now: Instant) {
        guard inFlight > 0 else { return }
        if flags.contains(.sackPermitted) {
            guard !sacked.isEmpty else { return }
            let edge = lossByTime(&context, now)
            if recovery != .none {
                lostEnd = SequenceNumber.later(lostEnd, edge)
            } else if edge > sndUna {
                beginFastRecovery(now)
                lostEnd = edge
            }
        } else if recovery == .none, duplicateAcks >= 3, sndUna >= recover {
            beginFastRecovery(now)
        }
    }

    @inline(never)
    private mutating func beginFastRecovery(_ now: Instant) {
        congestion.enterFastRecovery(inFlight: inFlight, mss: mss)
        recovery = .fast
        recover = sndNxt
        highRetransmitted = sndUna
        flags.remove([.probing, .probeRepeated, .probeTimer, .reorderTimer])
        flags.insert(.retransmitFirst)
        retransmitAt = .max  // it begins anew with what goes again
        noteFirstRetransmission(now)
    }

    /// What goes again is sent after `now`: an answer to what was sent before tells that it need
    /// not have been (RFC 3522).
    @inline(never)
    mutating func noteFirstRetransmission(_ now: Instant) {
        guard flags.contains(.timestamps) else { return }
        flags.insert(.mayUndo)
        retransmitStamp = timestamp(now)
    }

    /// The first new acknowledgement since octets went again: if it answers a timestamp from before
    /// that, the octets had only been late (RFC 3522 §3.2), and all is as it was (RFC 4015 §3).
    @inline(never)
    mutating func undoIfNeedless(_ segment: RawSpan, _ header: TCPHeader) {
        flags.remove(.mayUndo)
        guard let stamps = TCPTimestamps(segment, headerLength: header.length),
            recovery != .none, Int32(bitPattern: stamps.echo &- retransmitStamp) < 0
        else { return }
        congestion.undo()
        if recovery == .fast { flags.insert(.reorders) } else { roundTrip.wasEarly() }
        // No round trip is taken from this (RFC 4015 §3.4 would), nor from what is in flight: where
        // it was the acknowledgement that got lost, the time until now is the timeout's own, and a
        // timeout made of timeouts grows without end.
        sentTimes.clear()
        recovery = .none
        recover = sndUna
        duplicateAcks = 0
        flags.remove(.retransmitFirst)
    }

    /// New octets were acknowledged: the congestion window, and the progress of recovery.
    @inline(__always)
    mutating func advanceRecovery(_ octets: Int, flightBefore: Int, _ now: Instant) {
        if recovery == .none {
            duplicateAcks = 0
            congestion.acknowledged(
                octets, mss: mss, limited: flightBefore &* 2 >= congestion.window, now: now,
                roundTrip: roundTrip.smoothed)
        } else {
            advanceInRecovery(octets, now)
        }
    }

    @inline(never)
    private mutating func advanceInRecovery(_ octets: Int, _ now: Instant) {
        highRetransmitted = SequenceNumber.later(highRetransmitted, sndUna)
        if recovery == .loss {
            congestion.acknowledged(
                octets, mss: mss, limited: true, now: now, roundTrip: roundTrip.smoothed)
        }
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
