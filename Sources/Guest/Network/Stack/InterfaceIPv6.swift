// IPv6 on the interface: the next hop, and the messages that neighbours send each other.

extension NetworkInterface where Device: ~Copyable {
    var deadlineIPv6: Instant { min(ipv6.nextDeadline, neighbours.nextDeadline) }

    /// True if packets to `destination` would be sent.
    func hasRoute(to destination: IPAddress) -> Bool {
        guard let destination = destination.v4 else {
            return Features.ipv6
                && (destination == .loopback || ipv6.isUsable(destination)
                    || ipv6.nextHop(to: destination) != nil)
        }
        return Route.find(to: destination, configuration: configuration) != .unreachable
    }

    /// As `findHop`, for IPv6.
    @inline(never) mutating func findHopIPv6(to destination: IPAddress) -> Hop {
        if destination == .loopback || ipv6.isUsable(destination) { return .loopback }
        if destination.isMulticast { return .hardware(destination.groupHardware) }
        guard ipv6.isActive, let neighbour = ipv6.nextHop(to: destination) else {
            statistics.droppedUnreachable &+= 1
            return .unreachable
        }
        let found = neighbours.resolve(
            neighbour, isRouter: neighbour != destination, now: now)
        otherDeadline = min(otherDeadline, neighbours.nextDeadline)
        dropChangedHop()
        switch found {
        case .known(let hardware):
            remember(destination, by: neighbour, hardware)
            return .hardware(hardware)
        case .solicit:
            solicit(neighbour, from: ipv6.source(for: destination, now: now), to: nil)
            return .waits(neighbour)
        case .pending:
            return .waits(neighbour)
        case .refused:
            return .busy
        }
    }

    /// After anything that may have changed a route or a neighbour.
    mutating func dropChangedHop() {
        if neighbours.hasChanged || ipv6.hasChanged { forgetLastHop() }
        neighbours.hasChanged = false
        ipv6.hasChanged = false
    }

    /// True for an address that is ours beyond doubt. One that is still checked must not be put into
    /// others' caches (RFC 4429 §2.1).
    private func isCertain(_ address: IPAddress) -> Bool {
        guard let index = ipv6.index(of: address) else { return false }
        return ipv6.addresses[index].state == .valid
    }

    /// Asks for a neighbour's hardware address (RFC 4861 §7.2.2); that station alone, if it is known
    /// and only to be confirmed.
    @inline(never) mutating func solicit(
        _ target: IPAddress, from source: IPAddress?, to known: UInt64?
    ) {
        guard let source = source ?? ipv6.source(for: target, now: now) else { return }
        send(
            NeighbourDiscovery.neighbourSolicitation, word: 0, target,
            option: NeighbourDiscovery.sourceHardware, from: source,
            to: known == nil ? target.solicitedNode : target, known)
    }

    /// Asks whether anybody has an address that is about to be ours (RFC 4862 §5.4.2).
    mutating func probe(_ address: IPAddress) {
        send(
            NeighbourDiscovery.neighbourSolicitation, word: 0, address, option: 0,
            from: .unspecified, to: address.solicitedNode, nil)
    }

    mutating func solicitRouters() {
        guard let source = ipv6.source(for: .allRouters, now: now) else { return }
        send(
            NeighbourDiscovery.routerSolicitation, word: 0, nil,
            option: NeighbourDiscovery.sourceHardware, from: source, to: .allRouters, nil)
    }

    /// Says that an address is ours: to who asked, or (RFC 4861 §7.2.4) to all if it had no address.
    mutating func advertise(_ address: IPAddress, to asker: IPAddress, hardware: UInt64?) {
        let isAnswer = asker != .unspecified
        let word =
            (isAnswer ? NeighbourDiscovery.isSolicited : 0)
            | (isCertain(address) ? NeighbourDiscovery.overrides : 0)
        send(
            NeighbourDiscovery.neighbourAdvertisement, word: word, address,
            option: NeighbourDiscovery.targetHardware, from: address,
            to: isAnswer ? asker : .allNodes, hardware)
    }

    /// Tells of the groups that this host listens to.
    mutating func report(isNew: Bool) {
        let message = ipv6.makeReport(isNew: isNew)
        // Who has no address yet reports without one (RFC 3590 §3).
        let packet = NeighbourDiscovery.packet(
            message, from: ipv6.source(for: .allReporters, now: now) ?? .unspecified,
            to: .allReporters, alertsRouters: true)
        _ = sendFrame(
            packet, type: Ethernet.typeIPv6, to: IPAddress.allReporters.groupHardware)
    }

    /// Sends a message to the link; lost if the card has no room, as any frame may be. To a host whose
    /// hardware address nobody has told it goes the way of all packets.
    ///
    /// - Parameter option: what names this station's hardware address; the source's is left out while
    ///   its address may still be somebody else's.
    @inline(never) private mutating func send(
        _ type: UInt8, word: UInt32, _ target: IPAddress?, option: UInt8, from source: IPAddress,
        to destination: IPAddress, _ known: UInt64?
    ) {
        let isLeftOut = option == NeighbourDiscovery.sourceHardware && !isCertain(source)
        let message = NeighbourDiscovery.message(
            type, word: word, target: target, option: isLeftOut ? 0 : option,
            hardware: hardwareAddress)
        let packet = NeighbourDiscovery.packet(message, from: source, to: destination)
        if let known {
            _ = sendFrame(packet, type: Ethernet.typeIPv6, to: known)
            return
        }
        switch findHopIPv6(to: destination) {
        case .hardware(let hardware):
            _ = sendFrame(packet, type: Ethernet.typeIPv6, to: hardware)
        case .waits(let neighbour): _ = keepWaiting(packet, for: neighbour)
        case .loopback, .busy, .unreachable: break
        }
    }
}
