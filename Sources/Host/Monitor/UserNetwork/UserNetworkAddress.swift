// Who is on the user network; the same as in QEMU's user-mode network.

/// Addresses of the user network, and what they are on the host.
enum UserNetworkAddress {
    static let guest: UInt32 = 0x0A00_020F
    /// The host, and the way to everything else.
    static let gateway: UInt32 = 0x0A00_0202
    /// The host's name server, at port 53 and no other.
    static let nameServer: UInt32 = 0x0A00_0203
    static let namePort: UInt16 = 53
    static let hardware: [UInt8] = [0x52, 0x55, 0x0A, 0, 2, 2]

    /// The upper half of what the guest makes its addresses of IPv6 with, by autoconfiguration:
    /// fec0::/64.
    static let prefix: UInt64 = 0xFEC0 << 48
    /// fec0::2, the host.
    static let gatewayV6 = NetworkAddress(high: prefix, low: 2)
    /// fec0::3, its name server.
    static let nameServerV6 = NetworkAddress(high: prefix, low: 3)
    /// fe80::2, which advertises.
    static let router = NetworkAddress(high: 0xFE80 << 48, low: 2)
    /// ff02::1
    static let allNodes = NetworkAddress(high: 0xFF02 << 48, low: 1)

    static func isLocal(_ address: UInt32) -> Bool { address >> 8 == gateway >> 8 }

    static func isLoopback(_ address: UInt32) -> Bool { address >> 24 == 127 }

    /// fe80::/10, which means nothing without an interface.
    static func isOfLink(_ address: NetworkAddress) -> Bool { address.high >> 54 == 0xFE80 >> 6 }

    static func isNameServer(_ address: NetworkAddress) -> Bool {
        address == NetworkAddress(nameServer) || address == nameServerV6
    }

    /// Whether a guest may have made the address for itself.
    static func isGuest(_ address: NetworkAddress) -> Bool {
        guard !address.isV4 else { return address.v4 == guest }
        return address.high == prefix && address != gatewayV6 && address != nameServerV6
    }

    /// Where the host finds what the guest calls `address`; nil if that is nobody.
    static func onHost(_ address: NetworkAddress) -> NetworkAddress? {
        if let v4 = address.v4 { return onHost(v4).map { NetworkAddress($0) } }
        if address == gatewayV6 { return .loopback }
        // Nothing else is on this network; what has an address of IPv4 in it or none, the link, groups.
        if address.high == prefix || address.high == 0 || isOfLink(address)
            || address.high >> 56 == 0xFF
        {
            return nil
        }
        return address
    }

    private static func onHost(_ address: UInt32) -> UInt32? {
        if address == gateway { return 0x7F00_0001 }
        // Nothing else is on this network; this network, loopback, groups and classes beyond.
        if isLocal(address) || address >> 24 == 0 || isLoopback(address) || address >> 28 >= 14 {
            return nil
        }
        return address
    }

    /// What the guest calls who came from the host's `address`. Published ports lead to the guest's
    /// IPv4, so whoever comes over IPv6 comes from the gateway.
    static func inGuest(_ address: NetworkAddress) -> NetworkAddress {
        guard let v4 = address.v4, !isLoopback(v4), v4 != guest else {
            return NetworkAddress(gateway)
        }
        return address
    }
}
