// How TCP hands its segments downwards: to the IP layer of the stack, or to a test's wire.

/// What became of a segment.
public enum SegmentResult {
    case sent
    /// No room now; nothing was done. TCP tries again at the next `flush` or `poll`.
    case busy
    /// Nothing was done: only `sendSegment(from:to:_:)` can send this one.
    case indirect
}

/// What TCP needs of the layer below it: somewhere to write a segment, and how long it may be.
public protocol SegmentOutput: ~Copyable {
    /// Sends one TCP segment of `length` octets (TCP header included), written in place by `fill`
    /// with the checksum field zero. The implementer adds the checksum (or asks the device for it),
    /// the IP header and the frame.
    ///
    /// - Parameters:
    ///   - segmentSize: if not 0, the segment is longer than one packet, and is to be cut into
    ///     segments of so much payload: only up to `longestBurst`.
    ///   - marks: routers may mark the packet instead of dropping it, ECT(0) of RFC 3168 §5.
    mutating func sendSegment(
        from: IPAddress, to: IPAddress, length: Int, segmentSize: Int, marks: Bool,
        fill: (inout MutableRawSpan) -> Void
    ) -> SegmentResult

    /// The same for what that one finds to be `indirect`, and is so only because it goes over IPv6.
    mutating func sendSegmentIPv6(
        from: IPAddress, to: IPAddress, length: Int, segmentSize: Int, marks: Bool,
        fill: (inout MutableRawSpan) -> Void
    ) -> SegmentResult

    /// Octets of TCP header and payload that are taken at once to be cut into segments below TCP; 0
    /// if none are now.
    func longestBurst(to: IPAddress) -> Int

    /// Sends a segment that is there as a whole, but for its checksum: what is not data, and what
    /// the other one finds to be `indirect`.
    ///
    /// - Returns: false if there is no room now.
    mutating func sendSegment(from: IPAddress, to: IPAddress, _ segment: RawSpan) -> Bool

    /// Octets of TCP header and payload that fit into one packet towards `to` (the MTU less the IP
    /// header).
    func maximumSegment(to: IPAddress) -> Int

    /// Octets of TCP header and payload that a packet from there may bring: what the link takes,
    /// whatever routers have said of packets to there (RFC 1191 §3.1, RFC 9293 §3.7.1).
    func maximumReceived(from: IPAddress) -> Int
}

extension SegmentOutput where Self: ~Copyable {
    public mutating func sendSegment(
        from: IPAddress, to: IPAddress, _ segment: RawSpan
    ) -> Bool {
        sendSegment(from: from, to: to, length: segment.byteCount, segmentSize: 0, marks: false) {
            $0.copy(segment, to: 0)
        } == .sent
    }

    public mutating func sendSegmentIPv6(
        from: IPAddress, to: IPAddress, length: Int, segmentSize: Int, marks: Bool,
        fill: (inout MutableRawSpan) -> Void
    ) -> SegmentResult { .indirect }

    public func longestBurst(to: IPAddress) -> Int { 0 }

    public func maximumReceived(from: IPAddress) -> Int { maximumSegment(to: from) }
}
