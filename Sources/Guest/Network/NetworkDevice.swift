// What the protocols ask of a network card. The guest's is virtio-net; a test's is a simulated link.

/// Where the device must put the TCP or UDP checksum of an outgoing frame (virtio 1.2 §5.1.6.2,
/// VIRTIO_NET_HDR_F_NEEDS_CSUM). The field at `start + offset` holds the pseudo-header's sum.
public struct ChecksumRequest: Equatable, Sendable {
    /// Octets from the frame's first octet to where summing starts.
    public var start: UInt16
    /// Octets from `start` to the checksum field.
    public var offset: UInt16
    /// If not 0, the frame is a TCP segment for the card to cut into segments with so many octets of
    /// payload each (§5.1.6.2, VIRTIO_NET_HDR_GSO_TCPV4 and TCPV6).
    public var segmentSize: UInt16
    /// Octets of all headers of such a frame.
    public var headerLength: UInt16
    /// Such a segment is one over IPv6.
    public var isIPv6: Bool

    @inlinable public init(
        start: UInt16, offset: UInt16, segmentSize: UInt16 = 0, headerLength: UInt16 = 0,
        isIPv6: Bool = false
    ) {
        self.start = start
        self.offset = offset
        self.segmentSize = segmentSize
        self.headerLength = headerLength
        self.isIPv6 = isIPv6
    }
}

/// A network card: sends Ethernet frames. Received frames are handed to the stack by whoever
/// polls the card, so that the stack itself does no I/O.
public protocol NetworkDevice: ~Copyable {
    /// The card's own address, six octets in the low bits (02:00:00:00:00:01 is 0x0200_0000_0001).
    var hardwareAddress: UInt64 { get }

    /// The longest IP packet that the link carries, in octets.
    var maximumTransmissionUnit: Int { get }

    /// True if the card computes TCP and UDP checksums of outgoing frames.
    var offloadsTransmitChecksum: Bool { get }

    /// The longest IP packet that the card cuts into segments itself, in octets; 0 if it cuts none.
    var longestSegmentedPacket: Int { get }

    /// The same for TCP over IPv6, its header included.
    var longestSegmentedPacketIPv6: Int { get }

    /// Sends one frame of `length` octets (Ethernet header included, no FCS), written in place by `fill`.
    ///
    /// - Returns: false if the card has no room now; `fill` was not called, nothing was sent.
    mutating func transmit(
        length: Int, checksum: ChecksumRequest?, fill: (inout MutableRawSpan) -> Void
    ) -> Bool
}

extension NetworkDevice where Self: ~Copyable {
    public var longestSegmentedPacket: Int { 0 }
    public var longestSegmentedPacketIPv6: Int { 0 }
}
