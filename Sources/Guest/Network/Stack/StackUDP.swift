// UDP sockets as the stack offers them (RFC 768, RFC 1122 §4.1).

extension NetworkStack where Device: ~Copyable {
    /// Opens a socket.
    ///
    /// - Parameters:
    ///   - address: the local address to receive on and send from; a wildcard: whichever there is of
    ///     its version; nil: whichever there is.
    ///   - port: 0 picks a free one.
    public mutating func bindUDP(
        address: IPAddress? = nil, port: UInt16
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
        var bound = binding.address
        if let address = bound, address.isWildcard, address.covers(remote.address) { bound = nil }
        guard remote.port != 0,
            let source = bound ?? interface.sourceAddress(for: remote.address),
            source.isV4 == remote.address.isV4
        else { throw .unreachable }
        let length = UDP.headerLength + bytes.byteCount
        // Fragments are not sent, so IPv6's paths count too (RFC 8200 §5); routers of IPv4 make them.
        let mtu =
            remote.address.isV4 ? interface.linkMTU : interface.mtu(to: remote.address)
        guard length + (source.isV4 ? IPv4Header.length : IPv6Header.length) <= mtu else {
            throw .tooLong
        }
        let result = interface.sendPacket(
            protocolNumber: IPProtocol.udp, from: source, to: remote.address,
            head: UDP.header(from: binding.port, to: remote.port, payload: bytes.byteCount),
            bytes, waits: true)
        switch result {
        case .sent, .waiting: return
        case .busy: throw .busy
        case .unreachable: throw .unreachable
        }
    }

    mutating func receiveUDP(
        _ whole: RawSpan, _ payload: RawSpan, _ packet: ReceivedPacket, now: Instant
    ) {
        guard let datagram = UDPDatagram(payload, packet) else {
            interface.statistics.droppedChecksums &+= 1
            return
        }
        let content = payload.extracting(UDP.headerLength..<datagram.length)
        if dhcp.isActive, datagram.destinationPort == DHCPMessage.clientPort,
            packet.source.isV4
        {
            receiveDHCP(content, now: now)
            return
        }
        let remote = SocketAddress(packet.source, port: datagram.sourcePort)
        let isTaken = udp.deliver(
            content, to: datagram.destinationPort, at: packet.destination, from: remote)
        guard !isTaken else { return }
        interface.statistics.droppedClosedPorts &+= 1
        if packet.isUnicast {
            sendUnreachable(
                ICMP.portUnreachable, ICMPv6.portUnreachable, about: whole, packet, now: now)
        }
    }
}

/// A UDP header whose length and checksum held.
struct UDPDatagram {
    var sourcePort: UInt16
    var destinationPort: UInt16
    /// Octets of header and payload; more may follow in the packet.
    var length: Int

    init?(_ payload: RawSpan, _ packet: ReceivedPacket) {
        guard payload.byteCount >= UDP.headerLength else { return nil }
        sourcePort = payload.number16(at: 0)
        destinationPort = payload.number16(at: 2)
        length = Int(payload.number16(at: 4))
        guard length >= UDP.headerLength, length <= payload.byteCount, destinationPort != 0 else {
            return nil
        }
        // None at all is allowed to IPv4 alone (RFC 8200 §8.1).
        if payload.number16(at: 6) == 0 {
            guard packet.source.isV4 else { return nil }
            return
        }
        guard packet.checksumHolds(payload.extracting(0..<length)) else { return nil }
    }
}

extension UDP {
    /// A header with checksum zero, for `payload` octets of data.
    static func header(from source: UInt16, to destination: UInt16, payload: Int) -> UInt64 {
        UInt64(source) << 48 | UInt64(destination) << 32
            | UInt64(UInt16(truncatingIfNeeded: headerLength + payload)) << 16
    }
}
