// ICMP messages (RFC 792): echo, and errors with the head of the packet that caused them.

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

/// An error that a router or host reported about a packet of ours.
struct ICMPError {
    /// Type and code, as received.
    var type: UInt8
    var code: UInt8
    /// The next hop's MTU, of "fragmentation needed" (RFC 1191 §4); 0 from old routers.
    var nextHopMTU: Int
    /// What our packet was.
    var protocolNumber: UInt8
    var source: IPv4Address
    var destination: IPv4Address
    /// Octets of our packet, as its header said.
    var totalLength: Int
    /// The first eight octets of its payload: TCP's or UDP's ports and TCP's sequence number.
    var sourcePort: UInt16
    var destinationPort: UInt16
    var sequenceNumber: UInt32

    /// Reads an error message whose checksum has been verified; nil if the quoted packet is not
    /// whole enough. Its header checksum is not looked at: routers change and truncate it.
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
        type = message.octet(at: 0)
        code = message.octet(at: 1)
        nextHopMTU = Int(message.number16(at: 6))
        totalLength = Int(message.number16(at: start + 2))
        protocolNumber = message.octet(at: start + 9)
        source = IPv4Address(bits: message.number32(at: start + 12))
        destination = IPv4Address(bits: message.number32(at: start + 16))
        sourcePort = message.number16(at: start + headerLength)
        destinationPort = message.number16(at: start + headerLength + 2)
        sequenceNumber = message.number32(at: start + headerLength + 4)
    }

    /// True if the packet was too long for a link that it may not be fragmented on.
    var isPacketTooBig: Bool {
        type == ICMP.destinationUnreachable && code == ICMP.fragmentationNeeded
    }

    /// True if the destination itself reported that nobody is there (RFC 1122 §4.2.3.9).
    var isHard: Bool {
        type == ICMP.destinationUnreachable
            && (code == ICMP.protocolUnreachable || code == ICMP.portUnreachable)
    }

    /// True if it says that a packet did not arrive; source quench (RFC 6633) and redirect do not.
    var isLoss: Bool {
        type == ICMP.destinationUnreachable || type == ICMP.timeExceeded
            || type == ICMP.parameterProblem
    }
}
