// The IPv6 header (RFC 8200 §3), checked on the way in and written on the way out.

/// A received header whose lengths and addresses make sense.
struct IPv6Header {
    /// Octets behind the header; what follows in the frame is padding.
    var payloadLength: Int
    /// True if a router marked the packet: CE of RFC 3168 §5.
    var isMarked: Bool
    /// The type of what follows: an extension header, or the protocol.
    var nextHeader: UInt8
    var hopLimit: UInt8
    var source: IPAddress
    var destination: IPAddress

    static var length: Int { 40 }
    /// What every link carries (§5): a path MTU is never less.
    static var minimumMTU: Int { 1280 }

    /// Reads the header at the start of `packet`; nil if anything in it is wrong.
    ///
    /// - Parameter isLoopback: the packet was never on a wire, and may be of `::1`.
    init?(_ packet: RawSpan, isLoopback: Bool = false) {
        guard packet.byteCount >= Self.length else { return nil }
        let first = packet.number64(at: 0)
        payloadLength = Int(truncatingIfNeeded: first >> 16 & 0xFFFF)
        guard first >> 60 == 6, payloadLength <= packet.byteCount &- Self.length else { return nil }
        isMarked = first >> 52 & 3 == 3
        nextHeader = UInt8(truncatingIfNeeded: first >> 8)
        hopLimit = UInt8(truncatingIfNeeded: first)
        source = packet.address(at: 8)
        destination = packet.address(at: 24)
        // No packet comes from a group (RFC 4291 §2.7) or goes to nobody (§2.5.2).
        guard source.high >> 56 != 0xFF, destination != .unspecified,
            isLoopback || !source.isForeignToWire && !destination.isForeignToWire
        else { return nil }
    }

    /// Octets of header and payload.
    var totalLength: Int { Self.length &+ payloadLength }

    /// Writes a header at `offset`. The flow label is zero: RFC 6437 §3 allows it.
    ///
    /// - Parameter service: the two bits of ECN.
    @inline(__always) @_lifetime(bytes: copy bytes)
    static func write(
        into bytes: inout MutableRawSpan, at offset: Int, payloadLength: Int, nextHeader: UInt8,
        from source: IPAddress, to destination: IPAddress, hopLimit: UInt8, service: UInt8
    ) {
        let length = UInt64(UInt16(truncatingIfNeeded: payloadLength))
        let first =
            0x6000_0000_0000_0000 | UInt64(service) << 52 | length << 16 | UInt64(nextHeader) << 8
            | UInt64(hopLimit)
        bytes.store(first, at: offset)
        bytes.store(source, at: offset &+ 8)
        bytes.store(destination, at: offset &+ 24)
    }
}

extension RawSpan {
    /// The IPv6 address at `offset`.
    @inline(__always) func address(at offset: Int) -> IPAddress {
        IPAddress(high: number64(at: offset), low: number64(at: offset &+ 8))
    }
}

extension MutableRawSpan {
    @inline(__always) @_lifetime(self: copy self)
    mutating func store(_ address: IPAddress, at offset: Int) {
        store(address.high, at: offset)
        store(address.low, at: offset &+ 8)
    }
}
