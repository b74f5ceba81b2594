// Ethernet II frames: destination, source, type (RFC 894). No VLAN tags, no 802.3 lengths.

/// The header's layout and the types that the stack speaks.
enum Ethernet {
    /// Octets of header before the payload.
    static var headerLength: Int { 14 }
    /// EtherTypes (IEEE 802 numbers).
    static var typeIPv4: UInt16 { 0x0800 }
    static var typeARP: UInt16 { 0x0806 }
    static var typeIPv6: UInt16 { 0x86DD }
    /// The address of every station, and the bit that marks a group of them.
    static var broadcast: UInt64 { 0xFFFF_FFFF_FFFF }
    static var groupBit: UInt64 { 0x0100_0000_0000 }

    /// The group address for an IPv4 multicast address (RFC 1112 §6.4).
    static func group(for address: IPv4Address) -> UInt64 {
        0x0100_5E00_0000 | UInt64(address.bits & 0x7F_FFFF)
    }

    /// Writes a header at the start of `frame`.
    @inline(__always) @_lifetime(frame: copy frame)
    static func writeHeader(
        to destination: UInt64, from source: UInt64, type: UInt16,
        into frame: inout MutableRawSpan
    ) {
        frame.store(destination << 16 | source >> 32, at: 0)
        frame.store(UInt32(truncatingIfNeeded: source), at: 8)
        frame.store(type, at: 12)
    }
}
