// Kinds of IPv6 addresses (RFC 4291), and the groups that a host belongs to.

extension IPAddress {
    /// `::`: no address, the source of who has none yet (RFC 4291 §2.5.2).
    @inlinable public static var unspecified: IPAddress { IPAddress(high: 0, low: 0) }
    /// `::1` (§2.5.3).
    @inlinable public static var loopback: IPAddress { IPAddress(high: 0, low: 1) }

    /// All hosts and all routers of the link (§2.7.1), and who listens to reports (RFC 3810 §5.2.14).
    static var allNodes: IPAddress { IPAddress(high: 0xFF02 << 48, low: 1) }
    static var allRouters: IPAddress { IPAddress(high: 0xFF02 << 48, low: 2) }
    static var allReporters: IPAddress { IPAddress(high: 0xFF02 << 48, low: 0x16) }

    /// True for an address of IPv4 in its mapped form; always true without IPv6.
    @_transparent var isV4: Bool { !Features.ipv6 || high == 0 && low &>> 32 == 0xFFFF }

    /// fe80::/10 (§2.5.6).
    @inlinable public var isLinkLocal: Bool { high >> 54 == 0x3FA }
    /// fec0::/10, which RFC 3879 has deprecated, and user networks of virtual machines use.
    @inlinable public var isSiteLocal: Bool { high >> 54 == 0x3FB }
    /// ff00::/8, or a group of IPv4's.
    @inlinable public var isMulticast: Bool {
        high >> 56 == 0xFF || high == 0 && low >> 28 == 0xFFFFE
    }

    /// 0.0.0.0 or `::`: of a socket, all local addresses of this version.
    @inlinable public var isWildcard: Bool {
        high == 0 && (low == 0 || low == 0xFFFF_0000_0000)
    }

    /// True if a socket that is bound to this takes what comes to `local`.
    func covers(_ local: IPAddress) -> Bool {
        self == local || isWildcard && isV4 == local.isV4
    }

    /// The group in which the owner of this address is asked for (§2.7.1).
    var solicitedNode: IPAddress {
        IPAddress(high: 0xFF02 << 48, low: 0x1_FF00_0000 | low & 0xFF_FFFF)
    }

    /// The Ethernet address of this group (RFC 2464 §7).
    var groupHardware: UInt64 { 0x3333_0000_0000 | low & 0xFFFF_FFFF }

    /// True for what must not stand in a packet of IPv6: IPv4's addresses in their mapped or
    /// compatible form, which would pass for packets of IPv4's (RFC 4942 §2.2), and the loopback's.
    var isForeignToWire: Bool { high == 0 && low != 0 }

    /// True if the first `length` bits are those of `other`.
    func matches(_ other: IPAddress, length: UInt8) -> Bool { commonBits(other) >= Int(length) }

    /// How many bits both have in common, from the first on (RFC 6724 §2.2).
    func commonBits(_ other: IPAddress) -> Int {
        let difference = high ^ other.high
        return difference != 0
            ? difference.leadingZeroBitCount : 64 + (low ^ other.low).leadingZeroBitCount
    }
}
