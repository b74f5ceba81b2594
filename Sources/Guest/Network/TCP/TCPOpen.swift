// Opening: SYN-SENT, SYN-RECEIVED, and what both ends agree on (RFC 9293 §3.5, §3.10.7.3).

extension TCPControlBlock {
    /// The options that this side offers to `remote`.
    @inline(never)
    static func offer(
        maximumSegment: Int, _ context: borrowing TCPContext
    ) -> TCPSynOptions {
        var options = TCPSynOptions()
        options.maximumSegmentSize = UInt16(
            truncatingIfNeeded: min(max(maximumSegment &- TCPHeader.minimumLength, 64), 65_495))
        options.windowShift = context.windowShift
        options.sackPermitted = true
        options.heedsMarks = context.configuration.congestionNotification
        if context.configuration.timestamps {
            options.timestamps = TCPTimestamps(value: 0, echo: 0)
        }
        return options
    }

    /// Takes what both sides agreed on. `offered`: this side's; `answer`: the peer's.
    @inline(never)
    mutating func agree(_ offered: TCPSynOptions, _ answer: TCPSynOptions) {
        // RFC 9293 §3.7.1: 536 if not told. Below 64 a peer could make us send dust.
        let told = answer.maximumSegmentSize == 0 ? 536 : Int(answer.maximumSegmentSize)
        mss = max(min(told, Int(offered.maximumSegmentSize)), 64)
        if let own = offered.windowShift, let other = answer.windowShift {
            flags.insert(.windowScaled)
            sendShift = other
            receiveShift = own
        }
        if offered.sackPermitted, answer.sackPermitted { flags.insert(.sackPermitted) }
        if offered.heedsMarks, answer.heedsMarks { flags.insert(.heedsMarks) }
        if offered.timestamps != nil, let stamps = answer.timestamps {
            flags.insert(.timestamps)
            timestampRecent = stamps.value
            // The MSS counts options in (RFC 6691 §2).
            mss = max(mss &- TCPTimestamps.length, 64)
        }
        agreedMss = UInt16(truncatingIfNeeded: mss)
        receiveLimit = min(receiveLimit, 0xFFFF << Int(receiveShift))
    }

    /// Sends a SYN, or with `acknowledgment` the answer to one. Of what this side can do it tells
    /// what is in `allowed` too, whose timestamp is the one to echo. The one place where such
    /// segments are written.
    @inline(never)
    static func sendOpening(
        _ tuple: TCPTuple, _ sequence: SequenceNumber, _ acknowledgment: SequenceNumber?,
        _ allowed: TCPSynOptions, stamp: UInt32, window: Int, _ context: inout TCPContext,
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        var options = offer(maximumSegment: output.maximumReceived(from: tuple.remote), context)
        if allowed.windowShift == nil { options.windowShift = nil }
        options.sackPermitted = allowed.sackPermitted
        if options.timestamps != nil, let peers = allowed.timestamps {
            options.timestamps = TCPTimestamps(value: stamp, echo: peers.value)
        } else {
            options.timestamps = nil
        }
        var bits: TCPFlags = acknowledgment == nil ? .syn : [.syn, .ack]
        if options.heedsMarks, allowed.heedsMarks {
            bits.formUnion(acknowledgment == nil ? [.ece, .cwr] : .ece)  // RFC 3168 §6.1.1
        }
        let header = TCPHeader(
            from: tuple.localPort, to: tuple.remotePort, sequence: sequence,
            acknowledgment: acknowledgment ?? SequenceNumber(0), flags: bits,
            // Never scaled in a SYN (RFC 7323 §2.2).
            window: UInt16(truncatingIfNeeded: min(window, 0xFFFF)),
            length: TCPHeader.minimumLength &+ options.length)
        guard header.send(tuple, options, output: &output) else { return false }
        context.statistics.segmentsSent &+= 1
        return true
    }

    /// Sends the SYN, or in SYN-RECEIVED the SYN-ACK.
    mutating func sendSyn(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        let isFirst = state == .synSent
        var allowed = TCPSynOptions()
        if isFirst || flags.contains(.windowScaled) { allowed.windowShift = 0 }
        allowed.sackPermitted = isFirst || flags.contains(.sackPermitted)
        if isFirst || flags.contains(.timestamps) {
            allowed.timestamps = TCPTimestamps(value: timestampRecent, echo: 0)
        }
        // Some networks drop a SYN with ECN's bits: the next one asks for nothing
        // (RFC 3168 §6.1.1.1).
        allowed.heedsMarks = isFirst ? attempts == 0 : flags.contains(.heedsMarks)
        if !isFirst {
            rcvEdge = SequenceNumber.later(rcvEdge, rcvNxt + min(receiveLimit, 0xFFFF))
        }
        let sent = Self.sendOpening(
            tuple, iss, isFirst ? nil : rcvNxt, allowed, stamp: timestamp(now),
            window: receiveLimit, &context, output: &output)
        if sent {
            flags.remove([.ackNow, .blocked])
            lastSentAt = now
        } else {
            flags.insert(.blocked)
            soonAt = now.advanced(by: context.configuration.retryNanoseconds).nanoseconds
        }
        sndNxt = iss + 1
        retransmitAt = now.advanced(by: roundTrip.timeout(context.configuration)).nanoseconds
        context.timers.arm(Int(id.index), min(retransmitAt, soonAt))
    }

    /// A segment in SYN-SENT (RFC 9293 §3.10.7.3).
    mutating func receiveInSynSent(
        _ segment: RawSpan, _ header: TCPHeader, _ context: inout TCPContext, now: Instant,
        output: inout some SegmentOutput & ~Copyable
    ) {
        let bits = header.flags
        let acknowledges = bits.contains(.ack)
        if acknowledges, header.acknowledgment != iss + 1 {
            if !bits.contains(.rst) {
                reset(at: header.acknowledgment, &context, output: &output)
            }
            return
        }
        if bits.contains(.rst) {
            if acknowledges { close(.refused, &context) }
            return
        }
        guard bits.contains(.syn) else { return }
        rcvNxt = header.sequence + 1
        rcvEdge = rcvNxt
        lastAckSent = rcvNxt
        agree(
            Self.offer(maximumSegment: output.maximumSegment(to: tuple.remote), context),
            TCPSynOptions(segment, headerLength: header.length))
        lastReceivedAt = now
        if acknowledges {
            // The SYN told this window.
            rcvEdge = rcvNxt + min(receiveLimit, 0xFFFF)
            sndWl1 = header.sequence
            sndWl2 = header.acknowledgment
            sndWnd = Int(header.window)
            maximumWindow = sndWnd
            completeHandshake(header, &context, now: now, scalesWindow: false)
            flags.insert(.ackNow)
            transmit(&context, now: now, output: &output)
        } else {
            state = .synReceived
            sendSyn(&context, now: now, output: &output)
        }
    }

    /// This side's SYN was acknowledged: ESTABLISHED, or what `finish` asked for meanwhile.
    mutating func completeHandshake(
        _ header: TCPHeader, _ context: inout TCPContext, now: Instant, scalesWindow: Bool = true,
        measuresRoundTrip: Bool = true
    ) {
        if attempts == 0 {
            if measuresRoundTrip { roundTrip.sample(now.since(progressAt)) }
        } else {
            roundTrip.lostInHandshake()
        }
        congestion.begin(mss: mss, afterLoss: attempts > 0)
        sndUna = iss + 1
        sndNxt = sndUna
        recover = iss
        highRetransmitted = sndUna
        attempts = 0
        progressAt = now
        retransmitAt = .max
        if scalesWindow {
            sndWnd = Int(header.window) << Int(sendShift)
            sndWl1 = header.sequence
            sndWl2 = header.acknowledgment
            maximumWindow = sndWnd
        }
        state = flags.contains(.finQueued) ? .finWait1 : .established
        armKeepalive(&context, now: now)
        if flags.contains(.active) { tell(.connected, &context) }
        flags.remove(.active)
    }

    /// A RST for a segment that acknowledges what was never sent: it carries that number.
    mutating func reset(
        at sequence: SequenceNumber, _ context: inout TCPContext,
        output: inout some SegmentOutput & ~Copyable
    ) {
        let header = TCPHeader(
            from: tuple.localPort, to: tuple.remotePort, sequence: sequence,
            acknowledgment: SequenceNumber(0), flags: .rst, window: 0)
        _ = header.send(tuple, output: &output)
        context.statistics.resetsSent &+= 1
        context.statistics.segmentsSent &+= 1
    }
}
