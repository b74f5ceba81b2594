// A packet of either version before its payload is written: what its header will say.

/// What is known of an outgoing packet.
struct OutgoingPacket {
    var protocolNumber: UInt8
    var source: IPAddress
    var destination: IPAddress
    /// Octets of payload.
    var length: Int
    var identification: UInt16
    /// Of IPv6 alone.
    var hopLimit: UInt8
    /// The first eight octets of payload.
    var head: UInt64

    var headerLength: Int { destination.isV4 ? IPv4Header.length : IPv6Header.length }
    var totalLength: Int { headerLength + length }
    /// The EtherType of a frame that carries it.
    var type: UInt16 { destination.isV4 ? Ethernet.typeIPv4 : Ethernet.typeIPv6 }

    /// Writes header, payload and checksum to a span of just the right length.
    @inline(never) @_lifetime(bytes: copy bytes)
    func write(_ body: RawSpan, into bytes: inout MutableRawSpan) {
        writeHeader(into: &bytes)
        var payload = bytes._mutatingExtracting(headerLength..<totalLength)
        payload.store(head, at: 0)
        payload.copy(body, to: 8)
        writeChecksum(into: &payload)
    }

    @inline(never) @_lifetime(bytes: copy bytes)
    func writeHeader(into bytes: inout MutableRawSpan) {
        if let source = source.v4, let destination = destination.v4 {
            IPv4Header.write(
                into: &bytes, at: 0, totalLength: IPv4Header.length + length,
                protocolNumber: protocolNumber, from: source, to: destination,
                identification: identification, fragment: 0)
        } else if Features.ipv6 {
            IPv6Header.write(
                into: &bytes, at: 0, payloadLength: length, nextHeader: protocolNumber,
                from: source, to: destination, hopLimit: hopLimit, service: 0)
        }
    }

    /// Computes the checksum of the protocol in the payload, whose field is zero now.
    @_lifetime(payload: copy payload)
    private func writeChecksum(into payload: inout MutableRawSpan) {
        var sum = InternetChecksum()
        // ICMP for IPv4 knows no pseudo-header (RFC 792).
        if protocolNumber != IPProtocol.icmp {
            sum.addPseudoHeader(
                from: source, to: destination, protocol: protocolNumber, length: length)
        }
        sum.add(payload.bytes)
        switch protocolNumber {
        case IPProtocol.tcp: payload.store(sum.checksum, at: 16)
        case IPProtocol.udp:
            // UDP sends a sum of zero as its other form: zero means "none" (RFC 768).
            payload.store(sum.checksum == 0 ? 0xFFFF : sum.checksum, at: 6)
        default: payload.store(sum.checksum, at: 2)
        }
    }

    /// The packet in storage of its own.
    func bytes(_ body: RawSpan) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: totalLength)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        write(body, into: &raw)
        return bytes
    }
}
