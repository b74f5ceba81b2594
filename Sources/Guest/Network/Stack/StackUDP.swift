// UDP sockets as the stack offers them (RFC 768, RFC 1122 §4.1).

extension NetworkStack where Device: ~Copyable {
    /// Opens a socket.
    ///
    /// - Parameters:
    ///   - address: the local address to receive on and send from; nil: whichever there is.
    ///   - port: 0 picks a free one.
    public mutating func bindUDP(
        address: IPv4Address? = nil, port: UInt16
    ) throws(UDPError) -> UDPSocketID {
        try udp.bind(address: address, port: port)
    }

    /// Closes a socket and drops what waits in it.
    public mutating func closeUDP(_ id: UDPSocketID) {
        udp.close(id)
    }

    /// The port that a socket is bound to; nil if it is closed.
    public func portUDP(_ id: UDPSocketID) -> UInt16? {
        udp.binding(id)?.port
    }

    /// Datagrams that wait in a socket.
    public func receivedCountUDP(_ id: UDPSocketID) -> Int {
        udp.count(id)
    }

    /// Shows the oldest datagram that waits, and takes it out; nil if there is none.
    public mutating func receiveUDP<R>(
        _ id: UDPSocketID, _ body: (RawSpan, UDPEndpoints) -> R
    ) -> R? {
        udp.receive(id, body)
    }

    /// The destination of an earlier datagram that was reported unreachable, told once.
    public mutating func takeUnreachableUDP(_ id: UDPSocketID) -> SocketAddress? {
        udp.takeUnreachable(id)
    }

    /// Sends one datagram. It may be lost, as any; while a neighbour's hardware address is being
    /// found it waits.
    public mutating func sendUDP(
        _ id: UDPSocketID, _ bytes: RawSpan, to remote: SocketAddress, now: Instant
    ) throws(UDPError) {
        interface.now = now
        guard let binding = udp.binding(id) else { throw .closed }
        guard let destination = remote.address.v4, remote.port != 0,
            let source = binding.address ?? interface.sourceAddress(for: destination)
        else { throw .unreachable }
        let length = UDP.headerLength + bytes.byteCount
        guard length + IPv4Header.length <= interface.linkMTU else { throw .tooLong }
        let result = interface.sendPacket(
            protocolNumber: IPProtocol.udp, from: source, to: destination, length: length,
            checksumOffset: 6
        ) { datagram in
            UDP.writeHeader(
                from: binding.port, to: remote.port, length: length, into: &datagram)
            datagram.copy(bytes, to: UDP.headerLength)
        }
        switch result {
        case .sent, .waiting: return
        case .busy: throw .busy
        case .unreachable: throw .unreachable
        }
    }

    mutating func receiveUDP(
        _ packet: RawSpan, _ payload: RawSpan, _ header: IPv4Header, isUnicast: Bool,
        checksumVerified: Bool, now: Instant
    ) {
        guard let datagram = UDPDatagram(payload, header, checksumVerified: checksumVerified)
        else {
            interface.statistics.droppedChecksums &+= 1
            return
        }
        if dhcp.isActive, datagram.destinationPort == DHCPMessage.clientPort {
            receiveDHCP(payload.extracting(UDP.headerLength..<datagram.length), now: now)
            return
        }
        let remote = SocketAddress(IPAddress(header.source), port: datagram.sourcePort)
        let isTaken = udp.deliver(
            payload.extracting(UDP.headerLength..<datagram.length), to: datagram.destinationPort,
            at: header.destination, from: remote)
        guard !isTaken else { return }
        interface.statistics.droppedClosedPorts &+= 1
        if isUnicast {
            sendUnreachable(ICMP.portUnreachable, about: packet, header, now: now)
        }
    }
}

/// A UDP header whose length and checksum held.
struct UDPDatagram {
    var sourcePort: UInt16
    var destinationPort: UInt16
    /// Octets of header and payload; more may follow in the packet.
    var length: Int

    init?(_ payload: RawSpan, _ header: IPv4Header, checksumVerified: Bool) {
        guard payload.byteCount >= UDP.headerLength else { return nil }
        sourcePort = payload.number16(at: 0)
        destinationPort = payload.number16(at: 2)
        length = Int(payload.number16(at: 4))
        guard length >= UDP.headerLength, length <= payload.byteCount, destinationPort != 0 else {
            return nil
        }
        guard !checksumVerified, payload.number16(at: 6) != 0 else { return }
        var sum = InternetChecksum()
        sum.addPseudoHeader(
            from: header.source, to: header.destination, protocol: IPProtocol.udp, length: length)
        sum.add(payload.extracting(0..<length))
        guard sum.folded == 0xFFFF else { return nil }
    }
}

extension UDP {
    /// Writes a header with checksum zero at the start of `bytes`.
    @_lifetime(bytes: copy bytes)
    static func writeHeader(
        from source: UInt16, to destination: UInt16, length: Int, into bytes: inout MutableRawSpan
    ) {
        bytes.store(source, at: 0)
        bytes.store(destination, at: 2)
        bytes.store(UInt16(truncatingIfNeeded: length), at: 4)
        bytes.store(UInt16(0), at: 6)
    }
}
