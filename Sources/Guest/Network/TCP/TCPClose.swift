// Closing: from this side, in order or at once (RFC 9293 §3.6, §3.10.4, §3.10.5).

extension TCPControlBlock {
    /// A FIN follows what is in the send ring.
    mutating func finish(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        guard !flags.contains(.finQueued) else { return }
        switch state {
        case .synSent:
            // Nothing was agreed yet: the attempt simply ends.
            return close(nil, &context)
        case .synReceived: break
        case .established: state = .finWait1
        case .closeWait: state = .lastAck
        default: return
        }
        flags.insert(.finQueued)
        transmit(&context, now: now, output: &output)
    }

    /// A RST, and the end.
    mutating func abort(
        _ context: inout TCPContext, output: inout some SegmentOutput & ~Copyable
    ) {
        switch state {
        case .closed, .listen, .timeWait: return
        case .synSent: break
        default: sendReset(&context, output: &output)
        }
        close(.aborted, &context)
    }

    /// Drops octets that the application has read, lets the window grow with a reader that keeps
    /// up, and tells the peer if it would otherwise have to stop.
    ///
    /// - Returns: true if `windowIsDue` has to look at the window.
    @inline(__always)
    mutating func consume(_ count: Int, _ context: inout TCPContext) -> Bool {
        receiveRing.drop(count)
        consumedInRound &+= count
        if receiveRing.count == 0, outOfOrder.isEmpty { receiveRing.rest(&context.pool) }
        // A window update of its own only when the offered window has sunk to half, and two
        // segments more would fit: else the next acknowledgement tells it.
        return consumedInRound >= receiveLimit || rcvEdge - rcvNxt <= receiveLimit >> 1
    }

    @inline(never)
    mutating func windowIsDue(
        _ context: inout TCPContext, now: Instant, output: inout some SegmentOutput & ~Copyable
    ) {
        if consumedInRound >= receiveLimit { growWindow(context, now) }
        guard mayReceive, !flags.contains(.finKnown),
            max(rcvEdge - rcvNxt, 0) <= receiveLimit >> 1
        else { return }
        guard windowGain(context) >= min(receiveLimit >> 1, 2 &* mss) else { return }
        flags.insert(.ackNow)
        transmit(&context, now: now, output: &output)
    }

    /// A window's worth was consumed: if that took no more than a few round trips, the window is
    /// what holds the peer back, and twice as much may come at once.
    @inline(never)
    private mutating func growWindow(_ context: borrowing TCPContext, _ now: Instant) {
        consumedBefore &+= UInt64(truncatingIfNeeded: consumedInRound)
        consumedInRound = 0
        let clock = TCPSentTimes.clock(now)
        let took = UInt64(clock &- growthAt) << 10
        growthAt = clock
        guard !context.isShortOfMemory, receiveRing.count <= receiveLimit / 4,
            // Ten milliseconds are for a reader who has other things to do.
            roundTrip.smoothed == 0 || took <= 4 &* roundTrip.smoothed &+ 10_000_000
        else { return }
        receiveLimit = min(
            receiveLimit &* 2, context.configuration.maximumReceiveBuffer,
            0xFFFF << Int(receiveShift))
    }
}

extension TCP {
    /// True if octets or a FIN of any connection, also of a released one, wait for the peer's word:
    /// a machine that ended now could not send them again.
    public var hasUndelivered: Bool {
        for index in 0..<connections.endIndex where connections.contains(index) {
            if connections[index].maySend, connections[index].sendsStill { return true }
        }
        return false
    }
}

extension TCPControlBlock {
    fileprivate var sendsStill: Bool {
        sendRing.count > 0 || inFlight > 0
            || flags.contains(.finQueued) && !flags.contains(.finSent)
    }
}
