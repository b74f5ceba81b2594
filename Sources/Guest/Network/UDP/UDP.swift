// UDP (RFC 768): the table of sockets and their queues. Checksums and addresses are the stack's.

/// All UDP sockets of one stack.
struct UDP: ~Copyable {
    static var headerLength: Int { 8 }
    /// Ephemeral ports (RFC 6335 §6).
    private static var firstEphemeral: UInt16 { 49_152 }

    private struct Socket {
        var generation: UInt32
        var port: UInt16
        var address: IPAddress?
        var isOpen = true
        var eventIsQueued = false
        /// A port or host that this socket sent to was reported unreachable (RFC 1122 §4.1.3.3).
        var unreachable: SocketAddress?
        var queue: DatagramQueue
    }

    let configuration: UDPConfiguration
    private var sockets: [Socket] = []
    private var events: [UDPSocketID] = []
    private var nextEventIndex = 0
    /// State of the generator that picks ephemeral ports (RFC 6056: not guessable in sequence).
    private var random: UInt64
    /// Datagrams lost because a queue was full.
    private(set) var overflows: UInt64 = 0
    /// What is done for sockets; nil before there is one. Called this way, because an image whose
    /// application has none then holds none of it.
    private var service: Service?

    private struct Service {
        var deliver:
            (inout UDP, RawSpan, _ port: UInt16, _ local: IPAddress, _ remote: SocketAddress)
                -> Bool
        var deliverError:
            (inout UDP, _ port: UInt16, _ local: IPAddress, _ remote: SocketAddress) -> Void
        var nextEvent: (inout UDP) -> UDPEvent?
    }

    init(configuration: UDPConfiguration, secret: UInt64) {
        self.configuration = configuration
        random = secret | 1
    }

    /// Octets of buffer that all sockets hold.
    var memory: Int {
        var total = 0
        for index in sockets.indices { total += sockets[index].queue.memory }
        return total
    }

    /// Opens a socket on `port`; 0 picks a free one.
    mutating func bind(address: IPAddress?, port: UInt16) throws(UDPError) -> UDPSocketID {
        service = Service(
            deliver: { $0.deliverToSocket($1, to: $2, at: $3, from: $4) },
            deliverError: { $0.deliverErrorToSocket(port: $1, at: $2, remote: $3) },
            nextEvent: { $0.takeEvent() })
        var port = port
        if port == 0 {
            port = try ephemeralPort(address)
        } else if isTaken(port, address) {
            throw .addressInUse
        }
        var place: Int?
        for index in sockets.indices where !sockets[index].isOpen {
            place = index
            break
        }
        guard place != nil || sockets.count < configuration.maximumSockets else {
            throw .tooManySockets
        }
        let queue = DatagramQueue(
            maximumOctets: configuration.queueOctets, maximumCount: configuration.queueDatagrams)
        let generation = place.map { sockets[$0].generation &+ 1 } ?? 1
        let socket = Socket(generation: generation, port: port, address: address, queue: queue)
        if let place {
            sockets[place] = socket
        } else {
            sockets.append(socket)
        }
        return UDPSocketID(
            index: UInt32(truncatingIfNeeded: place ?? sockets.count - 1), generation: generation)
    }

    mutating func close(_ id: UDPSocketID) {
        guard let index = index(of: id) else { return }
        sockets[index].isOpen = false
        sockets[index].queue = DatagramQueue(maximumOctets: 0, maximumCount: 0)
    }

    /// The port and address that a socket is bound to; nil if it is closed.
    func binding(_ id: UDPSocketID) -> (port: UInt16, address: IPAddress?)? {
        guard let index = index(of: id) else { return nil }
        return (sockets[index].port, sockets[index].address)
    }

    /// Datagrams that wait.
    func count(_ id: UDPSocketID) -> Int {
        guard let index = index(of: id) else { return 0 }
        return sockets[index].queue.count
    }

    mutating func receive<R>(
        _ id: UDPSocketID, _ body: (RawSpan, UDPEndpoints) -> R
    ) -> R? {
        guard let index = index(of: id) else { return nil }
        return sockets[index].queue.takeFirst(body)
    }

    /// The destination that was last reported unreachable, told once.
    mutating func takeUnreachable(_ id: UDPSocketID) -> SocketAddress? {
        guard let index = index(of: id), let address = sockets[index].unreachable else {
            return nil
        }
        sockets[index].unreachable = nil
        return address
    }

    @inline(__always) var hasEvents: Bool { !events.isEmpty }

    mutating func nextEvent() -> UDPEvent? { service?.nextEvent(&self) }

    private mutating func takeEvent() -> UDPEvent? {
        while nextEventIndex < events.count {
            let id = events[nextEventIndex]
            nextEventIndex += 1
            if let index = index(of: id) {
                sockets[index].eventIsQueued = false
                return .readable(id)
            }
        }
        events.removeAll(keepingCapacity: true)
        nextEventIndex = 0
        return nil
    }

    /// Takes a datagram whose checksum has been verified.
    ///
    /// - Returns: false if no socket listens there: the sender is to be told (RFC 1122 §4.1.3.1).
    mutating func deliver(
        _ payload: RawSpan, to port: UInt16, at local: IPAddress, from remote: SocketAddress
    ) -> Bool {
        service?.deliver(&self, payload, port, local, remote) ?? false
    }

    private mutating func deliverToSocket(
        _ payload: RawSpan, to port: UInt16, at local: IPAddress, from remote: SocketAddress
    ) -> Bool {
        guard let index = socket(port: port, address: local) else { return false }
        let endpoints = UDPEndpoints(remote: remote, local: local)
        if sockets[index].queue.append(payload, endpoints: endpoints) {
            announce(index)
        } else {
            overflows &+= 1
        }
        return true
    }

    /// Takes a report that a datagram of ours could not be delivered.
    mutating func deliverError(port: UInt16, at local: IPAddress, remote: SocketAddress) {
        service?.deliverError(&self, port, local, remote)
    }

    private mutating func deliverErrorToSocket(
        port: UInt16, at local: IPAddress, remote: SocketAddress
    ) {
        guard let index = socket(port: port, address: local) else { return }
        sockets[index].unreachable = remote
        announce(index)
    }

    private mutating func announce(_ index: Int) {
        guard !sockets[index].eventIsQueued else { return }
        sockets[index].eventIsQueued = true
        if nextEventIndex == events.count {
            events.removeAll(keepingCapacity: true)
            nextEventIndex = 0
        }
        events.append(
            UDPSocketID(
                index: UInt32(truncatingIfNeeded: index), generation: sockets[index].generation))
    }

    private func index(of id: UDPSocketID) -> Int? {
        let index = Int(id.index)
        guard index < sockets.count, sockets[index].isOpen,
            sockets[index].generation == id.generation
        else { return nil }
        return index
    }

    /// The socket for a datagram: one bound to exactly this address before one bound to all.
    private func socket(port: UInt16, address: IPAddress) -> Int? {
        var found: Int?
        for index in sockets.indices where sockets[index].port == port && sockets[index].isOpen {
            guard let bound = sockets[index].address else {
                found = index
                continue
            }
            if bound == address { return index }
            if bound.covers(address) { found = index }
        }
        return found
    }

    private func isTaken(_ port: UInt16, _ address: IPAddress?) -> Bool {
        for index in sockets.indices where sockets[index].port == port && sockets[index].isOpen {
            let other = sockets[index].address
            if other == address { return true }
            // A socket for all addresses is in the way of those for all of one version.
            if other == nil, address?.isWildcard ?? true { return true }
            if address == nil, other?.isWildcard ?? true { return true }
        }
        return false
    }

    private mutating func ephemeralPort(_ address: IPAddress?) throws(UDPError) -> UInt16 {
        // xorshift64: unpredictable enough given a random secret, and never zero.
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        let span = UInt32(UInt16.max - Self.firstEphemeral) + 1
        let start = UInt32(truncatingIfNeeded: random >> 32) % span
        for step in 0..<span {
            let port = Self.firstEphemeral + UInt16((start + step) % span)
            if !isTaken(port, address) { return port }
        }
        throw .addressInUse
    }
}
