// DHCP in the stack: its datagrams come before there is an address, and go out without one.

extension NetworkStack where Device: ~Copyable {
    /// What the DHCP server lent, while it is in use; its name servers are here.
    public var lease: DHCPLease? { dhcp.lease }

    mutating func pollDHCP(now: Instant) {
        while let action = dhcp.nextAction(now: now) {
            switch action {
            case .send(let message): send(message)
            case .lost: unconfigure()
            }
        }
    }

    @inline(never) private mutating func send(_ message: DHCPTransmission) {
        var octets = [UInt8](repeating: 0, count: DHCPTransmission.length)
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        message.write(
            into: &bytes, hardwareAddress: dhcp.hardwareAddress, hostName: dhcp.hostName)
        // Lost or not: the client's own timers send it again.
        _ = interface.sendPacket(
            protocolNumber: IPProtocol.udp, from: IPAddress(message.clientAddress),
            to: IPAddress(message.destination),
            head: UDP.header(
                from: DHCPMessage.clientPort, to: DHCPMessage.serverPort,
                payload: DHCPTransmission.length), octets.span.bytes, waits: true)
    }

    /// Takes a packet to whatever address if it is for the DHCP client: servers send to the
    /// address that we do not have yet (RFC 2131 §4.1).
    ///
    /// - Returns: false if it is something else.
    mutating func receiveDHCP(
        _ packet: RawSpan, _ header: IPv4Header, now: Instant
    ) -> Bool {
        let payload = packet.extracting(header.headerLength..<header.totalLength)
        guard payload.byteCount >= UDP.headerLength,
            payload.number16(at: 2) == DHCPMessage.clientPort
        else { return false }
        let packet = ReceivedPacket(header, isUnicast: false, checksumVerified: false)
        guard let datagram = UDPDatagram(payload, packet) else {
            interface.statistics.droppedChecksums &+= 1
            return true
        }
        receiveDHCP(payload.extracting(UDP.headerLength..<datagram.length), now: now)
        return true
    }

    mutating func receiveDHCP(_ message: RawSpan, now: Instant) {
        if let lease = dhcp.receive(message, now: now) {
            if interface.configuration != lease.configuration {
                if interface.configuration != nil { unconfigure() }
                begin(lease.configuration, now: now)
                pollDefence(now: now)
            }
        }
        if dhcp.nextDeadline <= now { pollDHCP(now: now) }
    }
}
