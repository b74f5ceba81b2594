// IPv6 as the stack offers it: where addresses come from, which there are, and what is due.

/// How the interface gets its addresses of IPv6.
public enum IPv6Source: Equatable, Sendable {
    /// None at all: packets of IPv6 are neither taken nor sent.
    case none
    /// The link's own, and what routers advertise (RFC 4862).
    case automatic
    /// The same, and one that somebody has decided on, with the length of its network's prefix.
    case fixed(IPAddress, prefixLength: UInt8, gateway: IPAddress?)
}

/// An address of IPv6 that the interface has.
public struct IPv6InterfaceAddress: Equatable, Sendable {
    public var address: IPAddress
    /// True while nobody has been asked, or had the time to object (RFC 4862 §5.4).
    public var isTentative: Bool
    /// When it is no longer taken for new connections, and when it is given up.
    public var preferredUntil: Instant
    public var validUntil: Instant
}

extension NetworkStack where Device: ~Copyable {
    /// Says where the addresses of IPv6 come from, and starts to get them. Once: they stay until the
    /// stack ends. Without the trait IPv6 this does nothing.
    public mutating func configureIPv6(_ source: IPv6Source, now: Instant) {
        guard Features.ipv6, source != .none, !interface.ipv6.isActive else { return }
        interface.now = now
        interface.ipv6.start(addressCheck, now: now)
        if case .fixed(let address, let prefixLength, let gateway) = source {
            interface.ipv6.addStatic(address, length: prefixLength, gateway: gateway, now: now)
        }
        pollIPv6(now: now)
        updateDeadline()
    }

    /// The addresses of IPv6 that there are now.
    public var addressesIPv6: [IPv6InterfaceAddress] {
        var addresses: [IPv6InterfaceAddress] = []
        for index in 0..<interface.ipv6.addresses.count {
            let own = interface.ipv6.addresses[index]
            addresses.append(
                IPv6InterfaceAddress(
                    address: own.address, isTentative: own.state != .valid,
                    preferredUntil: own.preferredUntil, validUntil: own.validUntil))
        }
        return addresses
    }

    /// True if a router has said that servers of DHCPv6 know more, such as name servers.
    public var hasServersOfDHCPv6: Bool { Features.ipv6 && interface.ipv6.hasServers }

    /// The client of stateless DHCPv6 for this card, for who wants to know them.
    public func makeDHCPv6Client() -> DHCPv6Client {
        DHCPv6Client(hardwareAddress: interface.hardwareAddress)
    }

    /// Servers to ask for names.
    public var nameServers: [IPAddress] { nameServers(stateless: []) }

    /// The same, with those that `DHCPv6Client` has learnt: DHCP's, of either version, come before those
    /// that routers have named (RFC 8106 §5.3.1).
    public func nameServers(stateless: [IPAddress]) -> [IPAddress] {
        var servers: [IPAddress] = []
        if let lease = dhcp.lease {
            for index in lease.nameServers.indices {
                servers.append(IPAddress(lease.nameServers[index]))
            }
        }
        if Features.ipv6 { servers += stateless + interface.ipv6.nameServers }
        return servers
    }

    mutating func pollIPv6(now: Instant) {
        while let action = interface.ipv6.nextAction(now: now) {
            switch action {
            case .probe(let address): interface.probe(address)
            case .solicitRouters: interface.solicitRouters()
            case .report(let isNew): interface.report(isNew: isNew)
            }
        }
        while let due = interface.neighbours.nextDue(now: now) {
            switch due {
            case .solicit(let address, let hardware):
                interface.solicit(address, from: nil, to: hardware)
            case .failed(let address):
                interface.ipv6.demote(address)
                interface.dropWaiting(for: address)
            }
        }
        interface.dropChangedHop()
        tellAddressesIPv6()
    }

    /// Tells of addresses that have come or gone.
    mutating func tellAddressesIPv6() {
        if interface.ipv6.addressesChanged { addressChanged = true }
        interface.ipv6.addressesChanged = false
    }
}
