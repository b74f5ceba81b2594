// ICMP messages (RFC 792, RFC 4443): echo, and errors with the head of the packet that caused them.

/// Types and codes of the messages that the stack sends or understands.
enum ICMP {
    static var headerLength: Int { 8 }
    static var echoReply: UInt8 { 0 }
    static var destinationUnreachable: UInt8 { 3 }
    static var echo: UInt8 { 8 }
    static var timeExceeded: UInt8 { 11 }
    static var parameterProblem: UInt8 { 12 }

    /// Codes of "destination unreachable".
    static var protocolUnreachable: UInt8 { 2 }
    static var portUnreachable: UInt8 { 3 }
    static var fragmentationNeeded: UInt8 { 4 }

    /// True for messages that report an error: none may be sent about them (RFC 1122 §3.2.2).
    static func isError(_ type: UInt8) -> Bool {
        type == destinationUnreachable || type == 4 || type == 5 || type == timeExceeded
            || type == parameterProblem
    }
}

/// An error that a router or host reported about a packet of ours, of either version.
struct ICMPError {
    enum Kind {
        /// The destination's own host says that nobody is there (RFC 1122 §4.2.3.9).
        case refused
        /// A router found no way, or the way was too long, or the header wrong.
        case lost
        /// The packet was too long for a link that it may not be fragmented on.
        case tooBig
        /// Source quench (RFC 6633) and redirect: nothing was lost.
        case other
    }

    var kind: Kind
    /// The protocol says that its socket is to be told: "destination unreachable".
    var isUnreachable: Bool
    /// The next hop's MTU, of `tooBig` (RFC 1191 §4); 0 from old routers.
    var nextHopMTU: Int
    /// What our packet was.
    var protocolNumber: UInt8
    var source: IPAddress
    var destination: IPAddress
    /// Octets of our packet, as its header said.
    var totalLength: Int
    /// The first eight octets of its payload: TCP's or UDP's ports and TCP's sequence number.
    var sourcePort: UInt16
    var destinationPort: UInt16
    var sequenceNumber: UInt32

    /// Reads an error message of IPv4 whose checksum has been verified; nil if the quoted packet is
    /// not whole enough. Its header checksum is not looked at: routers change and truncate it.
    init?(_ message: RawSpan) {
        let start = ICMP.headerLength
        guard message.byteCount >= start + IPv4Header.length + 8,
            ICMP.isError(message.octet(at: 0))
        else { return nil }
        let versionAndLength = message.octet(at: start)
        let headerLength = Int(versionAndLength & 0x0F) * 4
        guard versionAndLength >> 4 == 4, headerLength >= IPv4Header.length,
            message.byteCount >= start + headerLength + 8,
            // A later fragment has no ports to quote.
            message.number16(at: start + 6) & 0x1FFF == 0
        else { return nil }
        let type = message.octet(at: 0)
        let code = message.octet(at: 1)
        isUnreachable = type == ICMP.destinationUnreachable
        switch (type, code) {
        case (ICMP.destinationUnreachable, ICMP.fragmentationNeeded): kind = .tooBig
        case (ICMP.destinationUnreachable, ICMP.protocolUnreachable),
            (ICMP.destinationUnreachable, ICMP.portUnreachable):
            kind = .refused
        case (ICMP.destinationUnreachable, _), (ICMP.timeExceeded, _), (ICMP.parameterProblem, _):
            kind = .lost
        default: kind = .other
        }
        nextHopMTU = Int(message.number16(at: 6))
        totalLength = Int(message.number16(at: start + 2))
        protocolNumber = message.octet(at: start + 9)
        source = IPAddress(IPv4Address(bits: message.number32(at: start + 12)))
        destination = IPAddress(IPv4Address(bits: message.number32(at: start + 16)))
        sourcePort = message.number16(at: start + headerLength)
        destinationPort = message.number16(at: start + headerLength + 2)
        sequenceNumber = message.number32(at: start + headerLength + 4)
    }

    /// Reads one of ICMPv6's. Our own packets have no extension headers, so none are looked for.
    init?(version6 message: RawSpan) {
        let start = ICMP.headerLength
        guard message.byteCount >= start + IPv6Header.length + 8,
            message.octet(at: start) >> 4 == 6
        else { return nil }
        let type = message.octet(at: 0)
        isUnreachable = type == ICMPv6.destinationUnreachable
        switch type {
        case ICMPv6.packetTooBig: kind = .tooBig
        case ICMPv6.destinationUnreachable where message.octet(at: 1) == ICMPv6.portUnreachable:
            kind = .refused
        case ICMPv6.parameterProblem where message.octet(at: 1) == ICMPv6.unknownHeader:
            kind = .refused
        case ICMPv6.destinationUnreachable, ICMPv6.timeExceeded, ICMPv6.parameterProblem:
            kind = .lost
        default: return nil
        }
        nextHopMTU = Int(min(message.number32(at: 4), 65_535))
        totalLength = IPv6Header.length + Int(message.number16(at: start + 4))
        protocolNumber = message.octet(at: start + 6)
        source = message.address(at: start + 8)
        destination = message.address(at: start + 24)
        sourcePort = message.number16(at: start + 40)
        destinationPort = message.number16(at: start + 42)
        sequenceNumber = message.number32(at: start + 44)
    }
}
