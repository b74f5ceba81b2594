// IPv6's way in (RFC 8200): the usual segment first, then headers, extensions, fragments, groups.

extension NetworkStack where Device: ~Copyable {
    /// As `receiveSegment`, for IPv6: a whole TCP segment without extension headers, to the address of
    /// ours that packets last came to.
    ///
    /// - Returns: false if the frame is another, or bad; nothing was done.
    @inline(__always) mutating func receiveSegmentIPv6(
        _ frame: RawSpan, checksumVerified: Bool, now: Instant
    ) -> Bool {
        let headers = Ethernet.headerLength &+ IPv6Header.length
        guard frame.byteCount >= headers else { return false }
        // Octets 12 to 21: type, version, traffic class, flow label, length; next header, hop limit.
        let start = frame.number64(at: 12)
        let own = interface.ipv6.lastLocal
        let source = frame.address(at: 22)
        let length = Int(truncatingIfNeeded: start & 0xFFFF)
        guard start >> 44 == 0x8_6DD6, start >> 36 & 3 != 3,
            frame.number64(at: 0) >> 16 == interface.hardwareAddress,
            frame.octet(at: 20) == IPProtocol.tcp, frame.number64(at: 46) == own.low,
            frame.number64(at: 38) == own.high, own.high != 0, source.high != 0,
            source.high >> 56 != 0xFF, source != own, length <= frame.byteCount &- headers,
            checksumVerified
        else { return false }
        tcp.receive(
            frame.extracting(headers..<headers &+ length), from: source, to: own, now: now,
            output: &interface)
        return true
    }

    /// Takes a packet; `isOurs`: the frame is one that this station sent itself.
    @inline(never) mutating func receiveIPv6(
        _ packet: RawSpan, isGroup: Bool, isOurs: Bool, checksumVerified: Bool, now: Instant
    ) {
        // Who has our address too says so from it (RFC 4862 §5.4.4); else nobody sends in our name.
        guard let header = IPv6Header(packet), !isOurs,
            !interface.ipv6.isUsable(header.source)
                || header.nextHeader == IPProtocol.icmpV6 && header.payloadLength > 0
                    && packet.octet(at: IPv6Header.length)
                        == NeighbourDiscovery.neighbourAdvertisement
        else {
            interface.statistics.droppedIPv6Headers &+= 1
            return
        }
        let isListened =
            header.destination.isMulticast
            && isGroup && interface.ipv6.isListening(to: header.destination)
        let isUnicast = !isGroup && interface.ipv6.isUsable(header.destination)
        guard isUnicast || isListened else {
            interface.statistics.droppedNotForUs &+= 1
            return
        }
        let whole = packet.extracting(first: header.totalLength)
        if isUnicast { interface.ipv6.lastLocal = header.destination }
        switch IPv6Walk.walk(whole, header) {
        case .payload(let protocolNumber, let offset):
            // Who has no address yet asks for neighbours and tells of groups; nothing can be answered
            // (RFC 4291 §2.5.2, RFC 4443 §2.4 (e)).
            guard
                header.source != .unspecified
                    || protocolNumber == IPProtocol.icmpV6 && offset < whole.byteCount
                        && whole.octet(at: offset) != ICMPv6.echo
            else {
                interface.statistics.droppedIPv6Headers &+= 1
                return
            }
            let packet = ReceivedPacket(
                header, protocolNumber: protocolNumber, headerLength: offset, isUnicast: isUnicast,
                checksumVerified: checksumVerified)
            deliver(whole, packet, now: now)
        case .fragment(let fragment):
            let payload = whole.extracting(fragment.payloadOffset..<whole.byteCount)
            reassemble(Fragment(header, fragment), payload, isUnicast: isUnicast, now: now)
        case .problem(let code, let pointer, let alsoGroup):
            interface.statistics.droppedIPv6Headers &+= 1
            guard isUnicast || alsoGroup else { return }
            let packet = ReceivedPacket(
                header, protocolNumber: header.nextHeader, headerLength: IPv6Header.length,
                isUnicast: isUnicast, checksumVerified: checksumVerified)
            sendError(
                ICMPv6.parameterProblem, code, word: UInt32(truncatingIfNeeded: pointer),
                about: whole, packet, now: now)
        case .dropped:
            interface.statistics.droppedIPv6Headers &+= 1
        }
    }

    @inline(never) mutating func receiveICMPv6(
        _ message: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        var packet = packet
        // The card vouches for others only.
        packet.checksumVerified = false
        guard message.byteCount >= ICMP.headerLength, packet.checksumHolds(message) else {
            interface.statistics.droppedChecksums &+= 1
            return
        }
        switch message.octet(at: 0) {
        case ICMPv6.echo:
            if packet.isUnicast, packet.source != .unspecified {
                answerEcho(message, packet, ICMPv6.echoReply, now: now)
            }
        case NeighbourDiscovery.routerSolicitation...NeighbourDiscovery.redirect:
            receiveNeighbour(message, packet, now: now)
        case MulticastListening.query:
            // Only from the link itself (RFC 3810 §6.2).
            guard packet.source.isLinkLocal, packet.hopLimit == 1,
                let delay = MulticastListening.maximumDelay(message)
            else { return }
            interface.ipv6.receiveQuery(maximumDelay: delay, now: now)
        default:
            if let error = ICMPError(version6: message) {
                receiveError(error, now: now)
            } else {
                interface.statistics.droppedProtocols &+= 1
            }
        }
    }

    // MARK: Neighbour discovery (RFC 4861)

    private mutating func receiveNeighbour(
        _ message: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        let type = message.octet(at: 0)
        let isRouters = type == NeighbourDiscovery.routerAdvertisement
        let fixed =
            isRouters ? RouterAdvertisement.fixedLength : NeighbourDiscovery.fixedLength
        // A hop limit of 255 proves that no router passed it on (§6.1, §7.1).
        guard packet.hopLimit == 255, message.octet(at: 1) == 0, message.byteCount >= fixed,
            NeighbourDiscovery.optionsAreSound(message, from: fixed)
        else {
            interface.statistics.droppedNeighbours &+= 1
            return
        }
        switch type {
        case NeighbourDiscovery.neighbourSolicitation:
            receiveSolicitation(message, packet, now: now)
        case NeighbourDiscovery.neighbourAdvertisement:
            receiveAdvertisement(message, packet, now: now)
        case NeighbourDiscovery.routerAdvertisement where packet.source.isLinkLocal:
            receiveRouter(RouterAdvertisement(message), message, packet, now: now)
        default:
            // Redirects are not heeded: with one router they say nothing, and who sends a false one
            // gets our packets. Solicitations of routers are for those.
            interface.statistics.droppedNeighbours &+= 1
        }
        interface.dropChangedHop()
        tellAddressesIPv6()
    }

    private mutating func receiveSolicitation(
        _ message: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        let target = message.address(at: 8)
        let hardware = NeighbourDiscovery.hardware(
            NeighbourDiscovery.sourceHardware, in: message, from: NeighbourDiscovery.fixedLength)
        guard let index = interface.ipv6.index(of: target) else { return }
        if packet.source == .unspecified {
            // Somebody checks whether the address is free (RFC 4862 §5.4.3).
            guard hardware == nil, packet.destination == target.solicitedNode else {
                interface.statistics.droppedNeighbours &+= 1
                return
            }
            if conflict(index, now: now) { return }
            interface.advertise(target, to: .unspecified, hardware: nil)
            return
        }
        guard interface.ipv6.addresses[index].state != .tentative else { return }
        if let hardware,
            interface.neighbours.note(packet.source, hardware: hardware, isRouter: false)
        {
            resolved(packet.source, hardware: hardware, now: now)
        }
        interface.advertise(target, to: packet.source, hardware: hardware)
    }

    private mutating func receiveAdvertisement(
        _ message: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        let target = message.address(at: 8)
        let flags = message.number32(at: 4)
        let isSolicited = flags & NeighbourDiscovery.isSolicited != 0
        guard !target.isMulticast, !packet.destination.isMulticast || !isSolicited else {
            interface.statistics.droppedNeighbours &+= 1
            return
        }
        if let index = interface.ipv6.index(of: target) {
            _ = conflict(index, now: now)
            return
        }
        let hardware = NeighbourDiscovery.hardware(
            NeighbourDiscovery.targetHardware, in: message, from: NeighbourDiscovery.fixedLength)
        let advertisement = NeighbourCache.Advertisement(
            hardware: hardware, isSolicited: isSolicited,
            overrides: flags & NeighbourDiscovery.overrides != 0,
            isRouter: flags & NeighbourDiscovery.isRouter != 0)
        let (wasAwaited, isNoRouter) = interface.neighbours.receive(
            advertisement, from: target, now: now)
        if isNoRouter { interface.ipv6.forget(router: target) }
        interface.dropChangedHop()
        if wasAwaited, let hardware { resolved(target, hardware: hardware, now: now) }
    }

    private mutating func receiveRouter(
        _ advertisement: RouterAdvertisement, _ message: RawSpan, _ packet: ReceivedPacket,
        now: Instant
    ) {
        interface.ipv6.receive(advertisement, message, from: packet.source, now: now)
        // Within what makes sense: an hour at most (RFC 4861 §6.2.1), and no storms of ours.
        let millisecond: UInt64 = 1_000_000
        if advertisement.reachableTime != 0 {
            let time = min(max(advertisement.reachableTime, 1_000), 3_600_000)
            interface.neighbours.reachableTime = UInt64(time) * millisecond
        }
        if advertisement.retransmitTime != 0 {
            let time = min(max(advertisement.retransmitTime, 100), 60_000)
            interface.neighbours.retransmitTime = UInt64(time) * millisecond
        }
        if let hardware = advertisement.hardware,
            interface.neighbours.note(packet.source, hardware: hardware, isRouter: true)
        {
            resolved(packet.source, hardware: hardware, now: now)
        }
    }

    /// Somebody else has an address of ours, or is about to take it.
    ///
    /// - Returns: true if it was given up.
    private mutating func conflict(_ index: Int, now: Instant) -> Bool {
        let isGivenUp = interface.ipv6.conflict(index, now: now)
        if isGivenUp {
            interface.statistics.addressConflicts &+= 1
            addressConflict = true
        }
        return isGivenUp
    }
}
