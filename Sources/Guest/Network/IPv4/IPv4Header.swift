// The IPv4 header (RFC 791 §3.1), checked on the way in and written on the way out.

/// Numbers of the protocols above IP (IANA).
enum IPProtocol {
    static var icmp: UInt8 { 1 }
    static var tcp: UInt8 { 6 }
    static var udp: UInt8 { 17 }
    static var icmpV6: UInt8 { 58 }
}

/// A received header whose every length, option and checksum held.
struct IPv4Header {
    /// Octets of header, options included: 20 to 60.
    var headerLength: Int
    /// Octets of the whole packet; what follows in the frame is padding.
    var totalLength: Int
    var identification: UInt16
    var dontFragment: Bool
    var moreFragments: Bool
    /// Octets before this fragment's payload in the datagram: a multiple of 8.
    var fragmentOffset: Int
    /// True if a router marked the packet, as it was about to drop some: CE of RFC 3168 §5.
    var isMarked: Bool
    var timeToLive: UInt8
    var protocolNumber: UInt8
    var source: IPv4Address
    var destination: IPv4Address

    static var length: Int { 20 }
    /// The type of service whose packets routers may mark: ECT(0) of RFC 3168 §5.
    static var capableOfMarks: UInt8 { 2 }
    /// What every link carries whole or in fragments (RFC 791 §3.1: "module of 576 octets").
    static var minimumReassembly: Int { 576 }

    @inline(__always) var isFragment: Bool { moreFragments || fragmentOffset != 0 }

    /// Reads the header at the start of `packet`; nil if anything in it is wrong (RFC 1122 §3.2.1).
    init?(_ packet: RawSpan) {
        guard packet.byteCount >= Self.length else { return nil }
        let first = packet.number64(at: 0)
        let second = packet.number64(at: 8)
        let third = packet.number32(at: 16)
        headerLength = Int(truncatingIfNeeded: first >> 56 & 0x0F) &* 4
        totalLength = Int(truncatingIfNeeded: first >> 32 & 0xFFFF)
        guard first >> 60 == 4, totalLength <= packet.byteCount, headerLength <= totalLength
        else { return nil }
        if headerLength == Self.length {
            // The sum of all words, the checksum's included, is 0xFFFF (RFC 1071 §1 (3)).
            var sum = (first >> 32) &+ (first & 0xFFFF_FFFF) &+ (second >> 32)
            sum = sum &+ (second & 0xFFFF_FFFF) &+ UInt64(third)
            sum = (sum >> 32) &+ (sum & 0xFFFF_FFFF)
            sum = (sum >> 16) &+ (sum & 0xFFFF)
            sum = (sum >> 16) &+ (sum & 0xFFFF)
            guard (sum >> 16) &+ (sum & 0xFFFF) == 0xFFFF else { return nil }
        } else {
            guard headerLength > Self.length,
                Self.optionsAreSound(packet.extracting(0..<headerLength))
            else { return nil }
        }
        identification = UInt16(truncatingIfNeeded: first >> 16)
        isMarked = first >> 48 & 3 == 3
        dontFragment = first & 0x4000 != 0
        moreFragments = first & 0x2000 != 0
        fragmentOffset = Int(truncatingIfNeeded: first & 0x1FFF) &* 8
        timeToLive = UInt8(truncatingIfNeeded: second >> 56)
        protocolNumber = UInt8(truncatingIfNeeded: second >> 48)
        source = IPv4Address(bits: UInt32(truncatingIfNeeded: second))
        destination = IPv4Address(bits: third)
    }

    /// Checks the checksum and the options' lengths of a header that has options, and refuses
    /// source routes: a host that does not forward has no use for them, an attacker has (RFC 7126 §4).
    @inline(never) private static func optionsAreSound(_ header: RawSpan) -> Bool {
        var sum = InternetChecksum()
        sum.add(header)
        guard sum.folded == 0xFFFF else { return false }
        var offset = length
        while offset < header.byteCount {
            let kind = header.octet(at: offset)
            if kind == 0 { return true }
            if kind == 1 {
                offset += 1
                continue
            }
            let isSourceRoute = kind == 131 || kind == 137
            guard !isSourceRoute, offset + 1 < header.byteCount else { return false }
            let optionLength = Int(header.octet(at: offset + 1))
            guard optionLength >= 2, offset + optionLength <= header.byteCount else {
                return false
            }
            offset += optionLength
        }
        return true
    }

    /// Writes a header without options at `offset`.
    ///
    /// - Parameter fragment: flags and offset, as in the header: 0x4000 is "don't fragment".
    @inline(__always) @_lifetime(bytes: copy bytes)
    static func write(
        into bytes: inout MutableRawSpan, at offset: Int, totalLength: Int, protocolNumber: UInt8,
        from source: IPv4Address, to destination: IPv4Address, timeToLive: UInt8 = 64,
        identification: UInt16 = 0, service: UInt8 = 0, fragment: UInt16
    ) {
        let length = UInt16(truncatingIfNeeded: totalLength)
        let first =
            0x4500_0000_0000_0000 | UInt64(service) << 48 | UInt64(length) << 32
            | UInt64(identification) << 16 | UInt64(fragment)
        let second = UInt32(timeToLive) << 24 | UInt32(protocolNumber) << 16
        var sum = (first >> 32) &+ (first & 0xFFFF_FFFF) &+ UInt64(second)
        sum = sum &+ UInt64(source.bits) &+ UInt64(destination.bits)
        sum = (sum >> 32) &+ (sum & 0xFFFF_FFFF)
        sum = (sum >> 16) &+ (sum & 0xFFFF)
        sum = (sum >> 16) &+ (sum & 0xFFFF)
        sum = (sum >> 16) &+ (sum & 0xFFFF)
        bytes.store(first, at: offset)
        bytes.store(second | UInt32(truncatingIfNeeded: ~sum & 0xFFFF), at: offset &+ 8)
        bytes.store(source.bits, at: offset &+ 12)
        bytes.store(destination.bits, at: offset &+ 16)
    }
}

extension IPv4Address {
    /// 127.0.0.0/8 (RFC 1122 §3.2.1.3 (g)).
    var isLoopback: Bool { bits >> 24 == 127 }
    /// 224.0.0.0/4.
    var isMulticast: Bool { bits >> 28 == 0xE }
    /// No single host: 0.0.0.0/8, multicast, 240.0.0.0/4 and broadcast.
    var isInvalidSource: Bool { bits >> 24 == 0 || bits >> 29 == 7 }
}
