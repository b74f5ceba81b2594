// ICMP in the stack (RFC 792, RFC 1122 §3.2.2): echo, errors received, errors sent.

extension NetworkStack where Device: ~Copyable {
    mutating func receiveICMP(
        _ message: RawSpan, _ header: IPv4Header, isUnicast: Bool, now: Instant
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
            if isUnicast { answerEcho(message, header, now: now) }
        } else if let error = ICMPError(message) {
            receiveError(error, now: now)
        } else {
            interface.statistics.droppedProtocols &+= 1
        }
    }

    private mutating func answerEcho(_ message: RawSpan, _ header: IPv4Header, now: Instant) {
        guard echoLimit.allows(now: now) else {
            interface.statistics.droppedRateLimited &+= 1
            return
        }
        // A request that came in fragments may be longer than a reply that has to be whole: such a
        // reply is cut (RFC 1122 §3.2.2.6).
        let part = message.extracting(first: interface.linkMTU &- IPv4Header.length)
        let result = interface.sendPacket(
            protocolNumber: IPProtocol.icmp, from: header.destination, to: header.source,
            length: part.byteCount, checksumOffset: nil
        ) { reply in
            reply.copy(part, to: 0)
            // Only the type changes, from 8 to 0, and the octets under the checksum may be fewer.
            reply.store(UInt16(0), at: 0)
            reply.store(UInt16(0), at: 2)
            var sum = InternetChecksum()
            sum.add(reply.bytes)
            reply.store(sum.checksum, at: 2)
        }
        if result == .sent || result == .waiting { interface.statistics.echoRepliesSent &+= 1 }
    }

    private mutating func receiveError(_ error: ICMPError, now: Instant) {
        // Only what we can have sent ourselves.
        guard let own = interface.configuration?.address, error.source == own else {
            interface.statistics.droppedNotForUs &+= 1
            return
        }
        interface.statistics.errorsReceived &+= 1
        let remote = SocketAddress(IPAddress(error.destination), port: error.destinationPort)
        if error.protocolNumber == IPProtocol.udp {
            if error.type == ICMP.destinationUnreachable, !error.isPacketTooBig {
                udp.deliverError(port: error.sourcePort, at: own, remote: remote)
            }
        } else if error.protocolNumber == IPProtocol.tcp {
            receiveErrorForTCP(error, remote: remote, now: now)
        }
    }

    private mutating func receiveErrorForTCP(
        _ error: ICMPError, remote: SocketAddress, now: Instant
    ) {
        let tuple = TCPTuple(
            local: IPAddress(error.source), remote: remote.address, localPort: error.sourcePort,
            remotePort: remote.port)
        guard
            let connection = tcp.connection(
                tuple, inFlight: SequenceNumber(error.sequenceNumber))
        else { return }
        if error.isPacketTooBig {
            _ = interface.pathMTU.reduce(
                to: error.destination, reported: error.nextHopMTU, length: error.totalLength,
                link: interface.linkMTU, now: now)
            interface.now = now
            tcp.shortenSegments(connection, now: now, output: &interface)
        } else if error.isLoss {
            tcp.noteError(connection, isHard: error.isHard, now: now)
        }
    }

    /// Tells the sender of `packet` that it could not be delivered.
    mutating func sendUnreachable(
        _ code: UInt8, about packet: RawSpan, _ header: IPv4Header, now: Instant
    ) {
        guard errorLimit.allows(now: now) else {
            interface.statistics.droppedRateLimited &+= 1
            return
        }
        let quoted = min(header.headerLength + 8, header.totalLength)
        let length = ICMP.headerLength + quoted
        let quote = packet.extracting(0..<quoted)
        let result = interface.sendPacket(
            protocolNumber: IPProtocol.icmp, from: header.destination, to: header.source,
            length: length, checksumOffset: nil
        ) { message in
            let head = UInt64(ICMP.destinationUnreachable) << 56 | UInt64(code) << 48
            message.store(head, at: 0)
            message.copy(quote, to: ICMP.headerLength)
            var sum = InternetChecksum()
            sum.add(message.bytes)
            message.store(sum.checksum, at: 2)
        }
        if result == .sent || result == .waiting { interface.statistics.errorsSent &+= 1 }
    }
}
