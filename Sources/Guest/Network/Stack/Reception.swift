// The way in: frame, packet, segment, in a straight line without copies or allocations.

extension NetworkStack where Device: ~Copyable {
    /// Takes one received Ethernet frame, without FCS. Anything may be in it.
    ///
    /// - Parameter checksumVerified: the card vouches for the TCP or UDP checksum.
    @_optimize(speed)
    public mutating func receive(_ frame: RawSpan, checksumVerified: Bool, now: Instant) {
        interface.now = now
        interface.statistics.framesReceived &+= 1
        if !receiveSegment(frame, checksumVerified: checksumVerified, now: now) {
            receiveAny(frame, checksumVerified: checksumVerified, now: now)
        }
    }

    /// The usual frame: a whole TCP segment to our address, without IP options. All that
    /// `receiveAny` checks is checked here too, on a few words that are loaded once.
    ///
    /// - Returns: false if the frame is another, or bad; nothing was done.
    @inline(__always) private mutating func receiveSegment(
        _ frame: RawSpan, checksumVerified: Bool, now: Instant
    ) -> Bool {
        let headers = Ethernet.headerLength &+ IPv4Header.length
        guard frame.byteCount >= headers, let own = interface.configuration?.address else {
            return false
        }
        // Octets 12 to 19: type, version and header length, service, total length, identification.
        let start = frame.number64(at: 12)
        let fragment = UInt64(frame.number16(at: 20))
        let lifetime = UInt64(frame.number16(at: 22))
        let checksum = UInt64(frame.number16(at: 24))
        let source = IPv4Address(bits: frame.number32(at: 26))
        let destination = frame.number32(at: 30)
        let length = Int(truncatingIfNeeded: start >> 16 & 0xFFFF)
        // The sum of all words, the checksum's included, is 0xFFFF (RFC 1071 §1 (3)).
        var sum = (start >> 32 & 0xFFFF) &+ (start & 0xFFFF_FFFF) &+ fragment &+ lifetime
        sum = sum &+ checksum &+ UInt64(source.bits) &+ UInt64(destination)
        sum = (sum >> 16) &+ (sum & 0xFFFF)
        sum = (sum >> 16) &+ (sum & 0xFFFF)
        sum = (sum >> 16) &+ (sum & 0xFFFF)
        guard frame.number64(at: 0) >> 16 == interface.hardwareAddress, start >> 40 == 0x08_0045,
            start >> 32 & 3 != 3,  // marked by a router: TCP is to know
            fragment & 0x3FFF == 0, UInt8(truncatingIfNeeded: lifetime) == IPProtocol.tcp,
            destination == own.bits, sum == 0xFFFF, length >= IPv4Header.length,
            length <= frame.byteCount &- Ethernet.headerLength, !source.isInvalidSource,
            !source.isLoopback, source != own, source != interface.directedBroadcast,
            checksumVerified
        else { return false }
        let end = Ethernet.headerLength &+ length
        tcp.receive(
            frame.extracting(headers..<end), from: IPAddress(source),
            to: IPAddress(IPv4Address(bits: destination)), now: now, output: &interface)
        return true
    }

    @inline(never) private mutating func receiveAny(
        _ frame: RawSpan, checksumVerified: Bool, now: Instant
    ) {
        if Features.ipv6,
            receiveSegmentIPv6(frame, checksumVerified: checksumVerified, now: now)
        {
            return
        }
        receiveUnusual(frame, checksumVerified: checksumVerified, now: now)
        updateDeadline()
    }

    @inline(never) private mutating func receiveUnusual(
        _ frame: RawSpan, checksumVerified: Bool, now: Instant
    ) {
        guard frame.byteCount >= Ethernet.headerLength else {
            interface.statistics.droppedFrames &+= 1
            return
        }
        let destination = frame.number64(at: 0) >> 16
        let isGroup = destination & Ethernet.groupBit != 0
        guard destination == interface.hardwareAddress || isGroup else {
            interface.statistics.droppedNotForUs &+= 1
            return
        }
        let payload = frame.extracting(Ethernet.headerLength..<frame.byteCount)
        let type = frame.number16(at: 12)
        if type == Ethernet.typeIPv4 {
            receiveIPv4(
                payload, isGroup: isGroup, checksumVerified: checksumVerified, now: now)
        } else if type == Ethernet.typeARP {
            receiveARP(payload, now: now)
        } else if Features.ipv6, type == Ethernet.typeIPv6, interface.ipv6.isActive {
            let isOurs = frame.number48(at: 6) == interface.hardwareAddress
            receiveIPv6(
                payload, isGroup: isGroup, isOurs: isOurs, checksumVerified: checksumVerified,
                now: now)
        } else {
            interface.statistics.droppedFrames &+= 1
        }
    }

    // MARK: ARP

    @inline(never) private mutating func receiveARP(_ bytes: RawSpan, now: Instant) {
        guard let packet = ARPPacket(bytes) else {
            interface.statistics.droppedARP &+= 1
            return
        }
        let isForeign = packet.senderHardware != interface.hardwareAddress
        if let candidate, isForeign {
            // Someone has our address, or probes for the one that we are probing for
            // (RFC 5227 §2.1.1).
            let isProbe = packet.operation == .request && packet.sender == .any
            if packet.sender == candidate.address
                || isProbe && packet.target == candidate.address && defence.isTentative
            {
                handleConflict(now: now)
                return
            }
        }
        guard let configuration = interface.configuration, isForeign else { return }
        let sender = packet.sender
        let isNeighbour = configuration.network.contains(sender) || sender == configuration.gateway
        let isForUs = packet.target == configuration.address
        if isNeighbour, sender.bits != 0, sender != configuration.network.broadcast {
            let wasAwaited = interface.arp.learn(
                sender, hardware: packet.senderHardware,
                create: isForUs && packet.operation == .request, now: now)
            if wasAwaited {
                resolved(IPAddress(sender), hardware: packet.senderHardware, now: now)
            }
        }
        if isForUs, packet.operation == .request {
            let reply = ARPPacket(
                .reply, senderHardware: interface.hardwareAddress, sender: configuration.address,
                targetHardware: packet.senderHardware, target: sender)
            interface.sendARP(reply, to: packet.senderHardware)
        }
    }

    /// Sends what waited for a neighbour. TCP's own timers bring its segments again.
    mutating func resolved(_ neighbour: IPAddress, hardware: UInt64, now: Instant) {
        interface.sendWaiting(for: neighbour, hardware: hardware)
        tcp.poll(now: now, output: &interface)
    }

    // MARK: IPv4

    @inline(never) private mutating func receiveIPv4(
        _ packet: RawSpan, isGroup: Bool, checksumVerified: Bool, now: Instant
    ) {
        guard let header = IPv4Header(packet), !header.source.isInvalidSource,
            !header.source.isLoopback
        else {
            interface.statistics.droppedIPv4Headers &+= 1
            return
        }
        guard let configuration = interface.configuration,
            header.destination == configuration.address, !isGroup, !header.isFragment,
            header.source != configuration.address, header.source != interface.directedBroadcast
        else {
            receiveUncommon(
                packet, header, isGroup: isGroup, checksumVerified: checksumVerified, now: now)
            return
        }
        deliver(
            packet.extracting(first: header.totalLength),
            ReceivedPacket(header, isUnicast: true, checksumVerified: checksumVerified), now: now)
    }

    /// Packets to groups, fragments, and what comes before there is an address.
    @inline(never) private mutating func receiveUncommon(
        _ packet: RawSpan, _ header: IPv4Header, isGroup: Bool, checksumVerified: Bool,
        now: Instant
    ) {
        if dhcp.isActive, header.protocolNumber == IPProtocol.udp, !header.isFragment,
            receiveDHCP(packet, header, now: now)
        {
            return
        }
        guard let configuration = interface.configuration else {
            interface.statistics.droppedNotForUs &+= 1
            return
        }
        guard header.source != configuration.address,
            header.source != interface.directedBroadcast
        else {
            interface.statistics.droppedIPv4Headers &+= 1
            return
        }
        let isBroadcast =
            header.destination == .broadcast
            || header.destination == interface.directedBroadcast
        // A unicast address in a group's frame is a trick or a mistake (RFC 1122 §3.3.6).
        let isUnicast = header.destination == configuration.address && !isGroup
        guard isUnicast || isBroadcast || header.destination.isMulticast && isGroup else {
            interface.statistics.droppedNotForUs &+= 1
            return
        }
        guard header.isFragment else {
            deliver(
                packet.extracting(first: header.totalLength),
                ReceivedPacket(
                    header, isUnicast: isUnicast, checksumVerified: checksumVerified), now: now)
            return
        }
        let payload = packet.extracting(header.headerLength..<header.totalLength)
        reassemble(Fragment(header), payload, isUnicast: isUnicast, now: now)
    }

    /// Takes a fragment of either version, and delivers what it completes.
    @inline(never) mutating func reassemble(
        _ fragment: Fragment, _ payload: RawSpan, isUnicast: Bool, now: Instant
    ) {
        switch reassembly.receive(fragment, payload: payload, now: now) {
        case .stored:
            break
        case .dropped:
            interface.statistics.droppedFragments &+= 1
        case .completed:
            interface.statistics.datagramsReassembled &+= 1
            let whole = reassembly.takeCompleted()
            deliverWhole(whole.span.bytes, isUnicast: isUnicast, checksumVerified: false, now: now)
        }
    }

    /// Tells who sent a datagram that it was not whole in time, if its beginning is there.
    mutating func reportExpired(now: Instant) {
        let first = reassembly.takeCompleted()
        deliverWhole(
            first.span.bytes, isUnicast: false, checksumVerified: false, isExpired: true, now: now)
    }

    /// Delivers a packet without options and extensions that this stack has put together; of one that
    /// has `isExpired`, an error goes back.
    @inline(never) private mutating func deliverWhole(
        _ bytes: RawSpan, isUnicast: Bool, checksumVerified: Bool, isExpired: Bool = false,
        now: Instant
    ) {
        var packet: ReceivedPacket
        if let header = IPv4Header(bytes) {
            packet = ReceivedPacket(
                header, isUnicast: isUnicast, checksumVerified: checksumVerified)
        } else if Features.ipv6, let header = IPv6Header(bytes, isLoopback: true) {
            packet = ReceivedPacket(
                header, protocolNumber: header.nextHeader, headerLength: IPv6Header.length,
                isUnicast: isUnicast, checksumVerified: checksumVerified)
            packet.hopLimit = 0
        } else {
            return
        }
        if isExpired {
            sendExpired(bytes, packet, now: now)
        } else {
            deliver(bytes, packet, now: now)
        }
    }

    /// Hands the payload of a whole packet, without padding, to its protocol.
    @inline(never) mutating func deliver(
        _ whole: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        let payload = whole.extracting(packet.headerLength..<whole.byteCount)
        if packet.protocolNumber == IPProtocol.tcp {
            // TCP to a group is silently dropped (RFC 9293 §3.10.7, MUST-57).
            guard packet.isUnicast, packet.checksumHolds(payload) else {
                interface.statistics.droppedChecksums &+= 1
                return
            }
            tcp.receive(
                payload, from: packet.source, to: packet.destination, isMarked: packet.isMarked,
                now: now, output: &interface)
        } else {
            deliverOther(whole, payload, packet, now: now)
        }
    }

    @inline(never) private mutating func deliverOther(
        _ whole: RawSpan, _ payload: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        let isV4 = packet.source.isV4
        if packet.protocolNumber == IPProtocol.udp {
            receiveUDP(whole, payload, packet, now: now)
        } else if packet.protocolNumber == IPProtocol.icmp, isV4 {
            receiveICMP(payload, packet, now: now)
        } else if Features.ipv6, packet.protocolNumber == IPProtocol.icmpV6, !isV4 {
            receiveICMPv6(payload, packet, now: now)
        } else {
            interface.statistics.droppedProtocols &+= 1
            guard packet.isUnicast else { return }
            if isV4 {
                sendUnreachable(ICMP.protocolUnreachable, 0, about: whole, packet, now: now)
            } else {
                // What names the protocol is the first header, if there are no others.
                sendError(
                    ICMPv6.parameterProblem, ICMPv6.unknownHeader, word: 6, about: whole, packet,
                    now: now)
            }
        }
    }

    // MARK: Loopback

    /// Takes in what was sent to ourselves; what that sends in turn comes with the next poll.
    mutating func receiveLoopback(now: Instant) {
        let packets = interface.takeLoopback()
        for index in packets.indices {
            let packet = packets[index]
            deliverWhole(packet.span.bytes, isUnicast: true, checksumVerified: true, now: now)
        }
    }
}
