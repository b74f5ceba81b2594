// What the protocols above IP want to know of the packet that brought them something.

/// A received packet of either version whose header has been checked.
struct ReceivedPacket {
    var source: IPAddress
    var destination: IPAddress
    var protocolNumber: UInt8
    /// As received; 0 if the packet came in fragments or from ourselves: neighbour discovery, which
    /// wants 255, takes neither (RFC 4861 §7.1, RFC 6980 §5).
    var hopLimit: UInt8 = 0
    /// To an address of ours, in a frame for us alone.
    var isUnicast: Bool
    /// A router marked it: CE of RFC 3168 §5.
    var isMarked = false
    /// The card vouches for TCP's or UDP's checksum.
    var checksumVerified: Bool
    /// Where the payload begins.
    var headerLength: Int

    init(_ header: IPv4Header, isUnicast: Bool, checksumVerified: Bool) {
        source = IPAddress(header.source)
        destination = IPAddress(header.destination)
        protocolNumber = header.protocolNumber
        isMarked = header.isMarked
        headerLength = header.headerLength
        self.isUnicast = isUnicast
        self.checksumVerified = checksumVerified
    }

    init(
        _ header: IPv6Header, protocolNumber: UInt8, headerLength: Int, isUnicast: Bool,
        checksumVerified: Bool
    ) {
        source = header.source
        destination = header.destination
        self.protocolNumber = protocolNumber
        hopLimit = header.hopLimit
        isMarked = header.isMarked
        self.headerLength = headerLength
        self.isUnicast = isUnicast
        self.checksumVerified = checksumVerified
    }

    /// Verifies the checksum over the pseudo-header and `payload`, unless the card has.
    @inline(never) func checksumHolds(_ payload: RawSpan) -> Bool {
        if checksumVerified { return true }
        var sum = InternetChecksum()
        sum.addPseudoHeader(
            from: source, to: destination, protocol: protocolNumber, length: payload.byteCount)
        sum.add(payload)
        return sum.folded == 0xFFFF
    }
}
