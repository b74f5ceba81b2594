// ICMP in the stack (RFC 792, RFC 1122 §3.2.2, RFC 4443): echo, errors received, errors sent.

extension NetworkStack where Device: ~Copyable {
    mutating func receiveICMP(
        _ message: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        guard message.byteCount >= ICMP.headerLength else {
            interface.statistics.droppedChecksums &+= 1
            return
        }
        var sum = InternetChecksum()
        sum.add(message)
        guard sum.folded == 0xFFFF else {
            interface.statistics.droppedChecksums &+= 1
            return
        }
        if message.octet(at: 0) == ICMP.echo, message.octet(at: 1) == 0 {
            // Echoes to groups may be ignored, and are: they are how smurfs work
            // (RFC 1122 §3.2.2.6).
            if packet.isUnicast { answerEcho(message, packet, ICMP.echoReply, now: now) }
        } else if let error = ICMPError(message) {
            receiveError(error, now: now)
        } else {
            interface.statistics.droppedProtocols &+= 1
        }
    }

    @inline(never) mutating func answerEcho(
        _ message: RawSpan, _ packet: ReceivedPacket, _ type: UInt8, now: Instant
    ) {
        guard echoLimit.allows(now: now) else {
            interface.statistics.droppedRateLimited &+= 1
            return
        }
        // A request that came in fragments may be longer than a reply that has to be whole: such a
        // reply is cut (RFC 1122 §3.2.2.6).
        let headerLength = packet.source.isV4 ? IPv4Header.length : IPv6Header.length
        let most = interface.mtu(to: packet.source) - headerLength
        let body = message.extracting(ICMP.headerLength..<min(message.byteCount, most))
        // Only the type changes, and the octets under the checksum may be fewer.
        let head = UInt64(type) << 56 | message.number64(at: 0) & 0xFFFF_FFFF
        let result = interface.sendPacket(
            protocolNumber: packet.protocolNumber, from: packet.destination, to: packet.source,
            head: head, body, waits: true)
        if result == .sent || result == .waiting { interface.statistics.echoRepliesSent &+= 1 }
    }

    @inline(never) mutating func receiveError(_ error: ICMPError, now: Instant) {
        // Only what we can have sent ourselves.
        guard isOwn(error.source) else {
            interface.statistics.droppedNotForUs &+= 1
            return
        }
        interface.statistics.errorsReceived &+= 1
        let remote = SocketAddress(error.destination, port: error.destinationPort)
        if error.protocolNumber == IPProtocol.udp {
            if error.kind == .tooBig {
                reducePathMTU(error, now: now)
            } else if error.isUnreachable {
                udp.deliverError(port: error.sourcePort, at: error.source, remote: remote)
            }
        } else if error.protocolNumber == IPProtocol.tcp {
            receiveErrorForTCP(error, remote: remote, now: now)
        }
    }

    /// True for an address that packets of ours may come from.
    private func isOwn(_ address: IPAddress) -> Bool {
        guard let address = address.v4 else {
            return Features.ipv6 && interface.ipv6.isUsable(address)
        }
        return interface.configuration?.address == address
    }

    private mutating func receiveErrorForTCP(
        _ error: ICMPError, remote: SocketAddress, now: Instant
    ) {
        let tuple = TCPTuple(
            local: error.source, remote: remote.address, localPort: error.sourcePort,
            remotePort: remote.port)
        guard
            let connection = tcp.connection(
                tuple, inFlight: SequenceNumber(error.sequenceNumber))
        else { return }
        if error.kind == .tooBig {
            reducePathMTU(error, now: now)
            interface.now = now
            tcp.shortenSegments(connection, now: now, output: &interface)
        } else if error.kind != .other {
            tcp.noteError(connection, isHard: error.kind == .refused, now: now)
        }
    }

    /// Heeds a report of a packet that was too long. Datagrams of IPv4 may be fragmented on the way,
    /// so only TCP's segments, whose numbers were checked, are believed there.
    private mutating func reducePathMTU(_ error: ICMPError, now: Instant) {
        if error.protocolNumber == IPProtocol.udp, error.source.isV4 { return }
        _ = interface.pathMTU.reduce(
            to: error.destination, reported: error.nextHopMTU, length: error.totalLength,
            link: interface.linkMTU, now: now)
    }

    /// Tells the sender of `whole` that it could not be delivered, and why: by the code of ICMP for
    /// IPv4, or for IPv6.
    mutating func sendUnreachable(
        _ code: UInt8, _ code6: UInt8, about whole: RawSpan, _ packet: ReceivedPacket,
        now: Instant
    ) {
        let isV4 = packet.source.isV4
        sendError(
            isV4 ? ICMP.destinationUnreachable : ICMPv6.destinationUnreachable,
            isV4 ? code : code6, word: 0, about: whole, packet, now: now)
    }

    /// Tells the sender of a datagram that fragments of it did not come (RFC 1122 §3.3.2, RFC 4443 §3.3).
    mutating func sendExpired(_ whole: RawSpan, _ packet: ReceivedPacket, now: Instant) {
        let isV4 = packet.source.isV4
        let isICMP = packet.protocolNumber == (isV4 ? IPProtocol.icmp : IPProtocol.icmpV6)
        // Not to groups, and not about errors; of ICMP the one question alone is surely none.
        guard isOwn(packet.destination),
            !isICMP || whole.octet(at: packet.headerLength) == (isV4 ? ICMP.echo : ICMPv6.echo)
        else { return }
        sendError(
            isV4 ? ICMP.timeExceeded : ICMPv6.timeExceeded, 1, word: 0, about: whole, packet,
            now: now)
    }

    /// Sends an error about a packet, with as much of that as is asked for: of IPv4 eight octets of
    /// payload (RFC 792), of IPv6 as much as fits everywhere (RFC 4443 §2.4 (c)).
    @inline(never) mutating func sendError(
        _ type: UInt8, _ code: UInt8, word: UInt32, about whole: RawSpan,
        _ packet: ReceivedPacket, now: Instant
    ) {
        // Who has no address is told nothing (RFC 4443 §2.4 (e)).
        guard packet.source != .unspecified else { return }
        guard errorLimit.allows(now: now) else {
            interface.statistics.droppedRateLimited &+= 1
            return
        }
        let isV4 = packet.source.isV4
        let most =
            isV4
            ? packet.headerLength + 8
            : IPv6Header.minimumMTU - IPv6Header.length - ICMP.headerLength
        let quote = whole.extracting(first: min(most, whole.byteCount))
        let source =
            packet.destination.isMulticast
            ? interface.sourceAddress(for: packet.source) : packet.destination
        guard let source else { return }
        let result = interface.sendPacket(
            protocolNumber: isV4 ? IPProtocol.icmp : IPProtocol.icmpV6, from: source,
            to: packet.source, head: UInt64(type) << 56 | UInt64(code) << 48 | UInt64(word), quote,
            waits: true)
        if result == .sent || result == .waiting { interface.statistics.errorsSent &+= 1 }
    }
}
