// What one connection has done and how it stands: for those who ask, and for nobody else's image.

/// Figures of one connection since it was opened.
public struct TCPConnectionStatistics: Equatable, Sendable {
    /// Octets that the peer has acknowledged.
    public var octetsSent: UInt64 = 0
    /// Octets received in order, read or not.
    public var octetsReceived: UInt64 = 0
    /// Octets that wait to be sent, or to be acknowledged.
    public var octetsQueued = 0
    /// Segments sent again.
    public var retransmissions: UInt32 = 0
    /// Smoothed round-trip time and the shortest measured, in nanoseconds; 0: none yet (RFC 6298).
    public var roundTripNanoseconds: UInt64 = 0
    public var leastRoundTripNanoseconds: UInt64 = 0
    /// How long an acknowledgement may take until octets are sent again, in nanoseconds.
    public var retransmissionTimeoutNanoseconds: UInt64 = 0
    /// Congestion window, and the window at which slow start ends, in octets; the second is 2^30
    /// while that is not known (RFC 9438).
    public var congestionWindow = 0
    public var slowStartThreshold = 0
    /// What the peer's window has room for, and what this side's may have at most, in octets.
    public var peerWindow = 0
    public var receiveWindow = 0
    /// Maximum payload of a segment towards the peer, in octets.
    public var maximumSegmentSize = 0
    /// What both sides agreed on: RFC 2018, RFC 7323, RFC 3168.
    public var usesSelectiveAcknowledgements = false
    public var usesTimestamps = false
    public var usesCongestionNotification = false

    public init() {}
}

extension TCP {
    /// The figures of a connection. Of an id that was released: all zero.
    public func connectionStatistics(_ id: TCPConnectionID) -> TCPConnectionStatistics {
        guard let index = live(id) else { return TCPConnectionStatistics() }
        return connections[index].statistics(configuration)
    }
}

extension TCPControlBlock {
    borrowing func statistics(
        _ configuration: borrowing TCPConfiguration
    ) -> TCPConnectionStatistics {
        var statistics = TCPConnectionStatistics()
        // The FIN has a number, and is no octet.
        let finIsAcknowledged = flags.contains(.finSent) && sndUna == sndNxt
        statistics.octetsSent = acknowledgedOctets &- (finIsAcknowledged ? 1 : 0)
        statistics.octetsReceived =
            consumedBefore &+ UInt64(truncatingIfNeeded: consumedInRound &+ receiveRing.count)
        statistics.octetsQueued = sendRing.count
        statistics.retransmissions = retransmissions
        statistics.roundTripNanoseconds = roundTrip.smoothed
        statistics.leastRoundTripNanoseconds = roundTrip.smoothed == 0 ? 0 : roundTrip.least
        statistics.retransmissionTimeoutNanoseconds = roundTrip.timeout(configuration)
        statistics.congestionWindow = congestion.window
        statistics.slowStartThreshold = congestion.slowStartThreshold
        statistics.peerWindow = sndWnd
        statistics.receiveWindow = receiveLimit
        statistics.maximumSegmentSize = mss
        statistics.usesSelectiveAcknowledgements = flags.contains(.sackPermitted)
        statistics.usesTimestamps = flags.contains(.timestamps)
        statistics.usesCongestionNotification = flags.contains(.heedsMarks)
        return statistics
    }
}
