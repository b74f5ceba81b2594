// Where a packet goes next: the link's own network, the default gateway, everyone, or ourselves.

/// An interface's address, network and default gateway.
public struct IPv4Configuration: Equatable, Sendable {
    public var network: IPv4Network
    /// The default gateway. It counts as on the link even if the prefix does not cover it, as
    /// clouds hand out /32 addresses.
    public var gateway: IPv4Address?

    public init(_ network: IPv4Network, gateway: IPv4Address?) {
        self.network = network
        self.gateway = gateway
    }

    /// The interface's own address.
    public var address: IPv4Address { network.address }
}

/// The next step of a packet's way.
enum Route: Equatable {
    /// To this machine.
    case loopback
    /// To a neighbour on the link, the destination itself or the gateway.
    case link(IPv4Address)
    /// To all or a group of the link's stations, by hardware address.
    case group(UInt64)
    case unreachable
}

extension Route {
    /// The route to `destination` (RFC 1122 §3.3.1.1) for an interface that has `configuration`,
    /// or none yet.
    static func find(
        to destination: IPv4Address, configuration: IPv4Configuration?
    ) -> Route {
        if destination.isLoopback { return .loopback }
        if destination == .broadcast { return .group(Ethernet.broadcast) }
        guard let configuration, destination.bits != 0 else { return .unreachable }
        if destination == configuration.address { return .loopback }
        if destination.isMulticast { return .group(Ethernet.group(for: destination)) }
        if configuration.network.contains(destination) {
            return destination == configuration.network.broadcast
                ? .group(Ethernet.broadcast) : .link(destination)
        }
        if let gateway = configuration.gateway { return .link(gateway) }
        return .unreachable
    }
}
