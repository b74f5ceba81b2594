// Sending: what goes into a segment, and when one may go (RFC 9293 §3.7.4, §3.8.6).

extension TCPControlBlock {
    /// Sends whatever is due and allowed: lost octets again, new ones, a FIN, an acknowledgement.
    @inline(never) @_optimize(speed)
    mutating func transmit(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        if flags.contains(.sackNow) { sendAcknowledgment(&context, now: now, output: &output) }
        if mayAnswerAtOnce(context, now) {
            return answer(&context, now: now, output: &output)
        }
        if maySend, recovery != .none || sendRing.count > inFlight || finIsDue {
            let idle = inFlight == 0
            sendAllowed(&context, now: now, output: &output)
            armRetransmission(&context, now: now, wasIdle: idle)
        }
        if flags.contains(.ackNow) { sendAcknowledgment(&context, now: now, output: &output) }
    }

    /// True if all that there is to do is to send the whole of a small message, with nothing in
    /// flight before it: an answer to a request, most of the time.
    @inline(__always)
    private func mayAnswerAtOnce(_ context: borrowing TCPContext, _ now: Instant) -> Bool {
        let count = sendRing.count
        return sndNxt == sndUna && count > 0 && count <= mss && count <= sndWnd
            && count <= congestion.window && state == .established && recovery == .none
            && !flags.contains([.finQueued, .tellsReduction])
            // After a longer silence the congestion window shrinks first.
            && now.since(lastSentAt) <= context.configuration.minimumRetransmissionNanoseconds
    }

    /// What the loop of `sendAllowed` and `armRetransmission` come to in that case.
    @inline(__always)
    private mutating func answer(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let count = sendRing.count
        guard
            emit(
                [.ack, .psh], at: sndNxt, offset: 0, length: count, sackRanges: 0, &context,
                now: now, output: &output)
        else { return }
        sndNxt += count
        flags.remove(.probed)
        sentTimes.restart(sndNxt, TCPSentTimes.clock(now))
        roundTrip.answered()
        attempts = 0
        progressAt = now
        retransmitAt = now.advanced(by: roundTrip.timeout(context.configuration)).nanoseconds
        context.timers.arm(Int(id.index), retransmitAt)
    }

    /// True if the FIN is queued and was never sent.
    @inline(__always) private var finIsDue: Bool {
        flags.contains(.finQueued) && !flags.contains(.finSent)
    }

    @inline(__always)
    private mutating func sendAllowed(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        if inFlight == 0, lastSentAt.nanoseconds != 0,
            // The first comparison is the cheap half of the second: no RTO is shorter.
            now.since(lastSentAt) > context.configuration.minimumRetransmissionNanoseconds,
            now.since(lastSentAt) > roundTrip.timeout(context.configuration)
        {
            congestion.restartAfterIdle(mss: mss)
        }
        if flags.contains(.shortened) { searchPath(&context, now: now, output: &output) }
        var pipe = recovery == .none && sacked.isEmpty && duplicateAcks == 0 ? inFlight : self.pipe
        if recovery != .none {
            guard retransmitLost(&pipe, &context, now: now, output: &output) else { return }
        }
        while !flags.contains(.finSent) {
            let offset = inFlight
            let unsent = sendRing.count &- offset
            let peerRoom = sndWnd &- offset
            let room = max(min(peerRoom, congestion.window &- pipe), 0)
            var length = min(min(unsent, mss), room)
            // CWR belongs on one packet alone (RFC 3168 §6.1.2).
            if length == mss, recovery == .none, !flags.contains(.tellsReduction) {
                length = burst(min(unsent, room), most: output.longestBurst(to: tuple.remote))
            }
            let isLast = length == unsent
            let sendsFin = isLast && flags.contains(.finQueued) && peerRoom > length
            guard length > 0 || sendsFin else { return }
            // The sender's side of silly window avoidance, and Nagle (RFC 9293 §3.8.6.2.1, §3.7.4).
            guard
                length >= mss || sendsFin || (isLast && (flags.contains(.noDelay) || offset == 0))
                    || (length > 0 && length >= maximumWindow >> 1)
            else { return }
            var bits: TCPFlags = isLast && length > 0 ? [.ack, .psh] : .ack
            if sendsFin { bits.insert(.fin) }
            if flags.contains(.tellsReduction), length > 0 { bits.insert(.cwr) }
            guard
                emit(
                    bits, at: sndNxt, offset: offset, length: length, sackRanges: 0, &context,
                    now: now, output: &output)
            else { return }
            let span = length &+ (sendsFin ? 1 : 0)
            if sendsFin { flags.insert(.finSent) }
            sndNxt += span
            pipe &+= span
            flags.remove(length > 0 ? [.probed, .tellsReduction] : .probed)
            sentTimes.add(
                sndNxt, TCPSentTimes.clock(now), step: congestion.window >> 3, first: sndUna)
            if isLast, !flags.contains(.finQueued) { return }
        }
    }

    /// Octets to send at once: `available`, in whole segments, if what is below TCP cuts them.
    ///
    /// - Parameter most: octets of TCP header and payload that it cuts.
    @inline(__always)
    private func burst(_ available: Int, most: Int) -> Int {
        let bound = min(available, most &- TCPHeader.longest)
        return bound >= 2 &* mss ? bound &- bound % mss : mss
    }

    /// Sends one segment: `length` octets of the send ring, or `sackRanges` blocks of the SACK
    /// option, or neither. With it goes the acknowledgement.
    ///
    /// The one place where segments of a connection are written, so that an image has the whole
    /// way down to the card once, in one piece.
    @inline(never) @_optimize(speed)
    mutating func emit(
        _ bits: TCPFlags, at sequence: SequenceNumber, offset: Int, length: Int,
        sackRanges: Int, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        var headerLength = TCPHeader.minimumLength &+ (sackRanges == 0 ? 0 : 4 &+ 8 &* sackRanges)
        if flags.contains(.timestamps) { headerLength &+= TCPTimestamps.length }
        let stamp = timestamp(now)
        var bits = bits
        if flags.contains(.echoesMark) { bits.insert(.ece) }
        // RFC 3168 §6.1.4 to §6.1.6: new octets only, no probe of a closed window.
        let marks =
            flags.contains(.heedsMarks) && length > 0 && sequence == sndNxt && sndWnd > 0
        let header = TCPHeader(
            from: tuple.localPort, to: tuple.remotePort, sequence: sequence,
            acknowledgment: rcvNxt, flags: bits, window: advertise(context), length: headerLength)
        let result = output.sendSegment(
            from: tuple.local, to: tuple.remote, length: headerLength &+ length,
            segmentSize: length > mss ? mss : 0, marks: marks
        ) { segment in
            header.write(into: &segment)
            writeOptions(stamp, sackRanges, into: &segment)
            sendRing.copy(from: offset, count: length, into: &segment, at: headerLength)
        }
        if result != .sent {
            guard
                result == .indirect,
                emitIndirectly(
                    header, offset, length, stamp, sackRanges, marks: marks, output: &output)
            else {
                retrySoon(&context, now: now)
                return false
            }
        }
        lastSentAt = now
        flags.remove([.ackNow, .ackDelayed, .blocked])
        unacknowledgedReceived = 0
        lastAckSent = rcvNxt
        soonAt = .max
        context.statistics.segmentsSent &+= 1
        return true
    }

    /// As `emit`, over IPv6, or by way of a copy: to ourselves, or while the neighbour is looked for.
    @inline(never)
    private mutating func emitIndirectly(
        _ header: TCPHeader, _ offset: Int, _ length: Int, _ stamp: UInt32, _ sackRanges: Int,
        marks: Bool, output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        let result = output.sendSegmentIPv6(
            from: tuple.local, to: tuple.remote, length: header.length &+ length,
            segmentSize: length > mss ? mss : 0, marks: marks
        ) { segment in
            header.write(into: &segment)
            writeOptions(stamp, sackRanges, into: &segment)
            sendRing.copy(from: offset, count: length, into: &segment, at: header.length)
        }
        if result != .indirect { return result == .sent }
        var bytes = [UInt8](repeating: 0, count: header.length &+ length)
        var octets = bytes.mutableSpan
        var segment = octets.mutableBytes
        header.write(into: &segment)
        writeOptions(stamp, sackRanges, into: &segment)
        sendRing.copy(from: offset, count: length, into: &segment, at: header.length)
        return output.sendSegment(from: tuple.local, to: tuple.remote, segment.bytes)
    }

    /// Sends an acknowledgement without data, with the SACK ranges if there are any.
    @inline(never)
    mutating func sendAcknowledgment(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let isBlocked = flags.contains(.blocked)
        let ranges = outOfOrder.count &+ (duplicate.count > 0 ? 1 : 0)
        let most =
            !flags.contains(.sackPermitted) ? 0 : flags.contains(.timestamps) ? 3 : 4
        _ = emit(
            .ack, at: sndNxt, offset: 0, length: 0, sackRanges: min(ranges, most), &context,
            now: now, output: &output)
        // There was room for this, but data still waits for its own.
        if isBlocked { retrySoon(&context, now: now) }
        duplicate.end = duplicate.start
        flags.remove(.sackNow)
    }

    /// The options of a segment without SYN: timestamps if agreed on, and SACK ranges.
    @inline(__always) @_lifetime(segment: copy segment)
    private borrowing func writeOptions(
        _ stamp: UInt32, _ sackRanges: Int, into segment: inout MutableRawSpan
    ) {
        if flags.contains(.timestamps) {
            guard segment.byteCount >= TCPHeader.minimumLength &+ TCPTimestamps.length else {
                return
            }
            segment.store(UInt64(TCPTimestamps.word) << 32 | UInt64(stamp), at: 20)
            segment.store(timestampRecent, at: 28)
        }
        if sackRanges > 0 { writeSack(sackRanges, into: &segment) }
    }

    /// The SACK option: what came twice (RFC 2883 §4), the range with the newest segment, then the
    /// others (RFC 2018 §4).
    @inline(never)
    private borrowing func writeSack(_ ranges: Int, into segment: inout MutableRawSpan) {
        var place =
            TCPHeader.minimumLength &+ (flags.contains(.timestamps) ? TCPTimestamps.length : 0)
        segment.store(0x0101_0500 | UInt32(2 &+ 8 &* ranges), at: place)
        var index = outOfOrder.index(of: newestOutOfOrder) ?? 0
        for block in 0..<ranges {
            var range = duplicate
            if block > 0 || range.count == 0 {
                range = outOfOrder[index]
                index = index &+ 1 == outOfOrder.count ? 0 : index &+ 1
            }
            segment.store(range.start.value, at: place &+ 4)
            segment.store(range.end.value, at: place &+ 8)
            place &+= 8
        }
    }

    /// Sends a RST that ends this connection for the peer (RFC 9293 §3.5.2, §3.10.5).
    mutating func sendReset(
        _ context: inout TCPContext, output: inout some SegmentOutput & ~Copyable
    ) {
        let header = TCPHeader(
            from: tuple.localPort, to: tuple.remotePort, sequence: sndNxt, acknowledgment: rcvNxt,
            flags: [.rst, .ack], window: 0)
        _ = header.send(tuple, output: &output)
        context.statistics.resetsSent &+= 1
        context.statistics.segmentsSent &+= 1
    }

    /// The output had no room: a short timer tries again.
    @inline(never)
    private mutating func retrySoon(_ context: inout TCPContext, now: Instant) {
        flags.insert(.blocked)
        soonAt = now.advanced(by: context.configuration.retryNanoseconds).nanoseconds
        context.timers.arm(Int(id.index), soonAt)
    }

    /// The window to put into a segment. It opens in steps worth a segment (the receiver's side
    /// of silly window avoidance, RFC 9293 §3.8.6.2.2), and its right edge never moves left.
    @inline(__always)
    mutating func advertise(_ context: borrowing TCPContext) -> UInt16 {
        let gain = windowGain(context)
        if gain > 0, gain >= min(receiveLimit >> 1, mss) { rcvEdge += gain }
        let window = max(rcvEdge - rcvNxt, 0) &>> Int(receiveShift)
        return UInt16(truncatingIfNeeded: min(window, 0xFFFF))
    }

    /// Octets by which the right edge of the window could move.
    @inline(__always)
    borrowing func windowGain(_ context: borrowing TCPContext) -> Int {
        let limit = context.isShortOfMemory ? min(receiveLimit, 16_384) : receiveLimit
        return (rcvNxt + max(limit &- receiveRing.count, 0)) - rcvEdge
    }

    /// Sets the retransmission timer if something is in flight, or the window probe's if
    /// something waits and nothing is (RFC 6298 §5.1, RFC 9293 §3.8.6.1).
    @inline(__always)
    mutating func armRetransmission(_ context: inout TCPContext, now: Instant, wasIdle: Bool) {
        if inFlight > 0 {
            if wasIdle {
                retransmitAt = .max
                roundTrip.answered()
                attempts = 0
                progressAt = now
            }
        } else if sendRing.count == 0, !finIsDue {
            return
        }
        if retransmitAt == .max {
            retransmitAt =
                now.advanced(by: roundTrip.timeout(context.configuration)).nanoseconds
            if inFlight > mss { armProbe(now) }
        }
        context.timers.arm(Int(id.index), retransmitAt)
    }
}
