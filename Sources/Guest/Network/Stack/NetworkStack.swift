// The network stack: Ethernet to TCP in one value that does no I/O and has no clock.
//
// Frames and a time go in; frames (through the card that the stack owns) and a next deadline come
// out. RFC 1122 is the requirement; each protocol's folder names its own specification.

/// How the interface gets its address.
public enum AddressSource: Equatable, Sendable {
    /// No address: nothing but loopback works.
    case none
    case `static`(IPv4Configuration)
    case dhcp
}

/// Bounds and habits of a stack.
public struct NetworkConfiguration: Sendable {
    public var tcp = TCPConfiguration()
    public var udp = UDPConfiguration()
    public var addressCheck = AddressCheck.whileInUse
    /// The host name that DHCP tells the server, in octets; empty: none (RFC 2132 §3.14).
    public var hostName: [UInt8] = []
    /// Echo requests answered in a second, and at once.
    public var echoesPerSecond: UInt64 = 1000
    public var echoBurst: UInt64 = 200
    /// ICMP errors sent in a second, and at once.
    public var errorsPerSecond: UInt64 = 100
    public var errorBurst: UInt64 = 50
    /// Keys the interface identifiers of IPv6 addresses (RFC 7217 §5): to be the same after each start,
    /// and known to nobody else. Where nothing of the kind is kept it stays zero: addresses are then
    /// the same each time too, but who guesses the hardware address can tell that it is this one.
    public var stableKey: (UInt64, UInt64) = (0, 0)

    public init() {}
}

/// What the owner's event loop tells its sleepers.
public enum NetworkEvent: Equatable, Sendable {
    case tcp(TCPEvent)
    case udp(UDPEvent)
    /// The interface has an address, or has lost it: see `configuration`.
    case addressChanged
    /// Another station uses our address.
    case addressConflict
}

/// One network card's stack.
///
/// Every call that may send takes the time; it must not go backwards. Nothing here blocks.
public struct NetworkStack<Device: NetworkDevice & ~Copyable>: ~Copyable {
    /// The card, its address and neighbours. The card itself is `interface.device`.
    public var interface: NetworkInterface<Device>
    /// TCP's connections. Use the stack's own functions, which pass the interface on.
    public internal(set) var tcp: TCP
    var udp: UDP
    var reassembly = Reassembly()
    var defence: AddressDefence
    var dhcp: DHCPClient
    var source = AddressSource.none
    /// What `defence` is checking, before it is the interface's.
    var candidate: IPv4Configuration?
    var echoLimit: RateLimit
    var errorLimit: RateLimit
    var addressChanged = false
    var addressConflict = false
    let addressCheck: AddressCheck
    private let inPlace = InPlace()

    /// - Parameter secret: random octets that nobody else knows: they key sequence numbers, ports
    ///   and identifiers.
    public init(
        device: consuming Device, configuration: NetworkConfiguration = NetworkConfiguration(),
        secret: (UInt64, UInt64)
    ) {
        let derived = secret.0 &* 0x9E37_79B9_7F4A_7C15 ^ (secret.1 >> 7 | secret.1 << 57)
        interface = NetworkInterface(
            device: device, stableKey: configuration.stableKey, secret: derived)
        tcp = TCP(configuration: configuration.tcp, secret: secret)
        udp = UDP(configuration: configuration.udp, secret: derived ^ 0x5555_5555)
        defence = AddressDefence(secret: derived >> 3)
        dhcp = DHCPClient(
            hardwareAddress: interface.hardwareAddress, hostName: configuration.hostName,
            secret: derived >> 5)
        echoLimit = RateLimit(
            perSecond: configuration.echoesPerSecond, burst: configuration.echoBurst)
        errorLimit = RateLimit(
            perSecond: configuration.errorsPerSecond, burst: configuration.errorBurst)
        addressCheck = configuration.addressCheck
    }

    /// Counts of frames, and of drops by their cause.
    public var statistics: NetworkStatistics { interface.statistics }

    /// The address in use, if there is one yet.
    public var configuration: IPv4Configuration? { interface.configuration }

    /// Says where the address comes from, and starts to get it.
    public mutating func configure(_ source: AddressSource, now: Instant) {
        interface.now = now
        self.source = source
        dhcp.stop()
        unconfigure()
        switch source {
        case .none: break
        case .static(let configuration): begin(configuration, now: now)
        case .dhcp: dhcp.start(now: now)
        }
        updateDeadline()
        poll(now: now)
    }

    /// When `poll` has to be called at the latest.
    @inline(__always)
    public var nextDeadline: Instant { min(tcp.nextDeadline, interface.otherDeadline) }

    /// Says anew when anything but TCP is due. What is done here and may set a deadline ends with it;
    /// what is sent lowers it on the way (`NetworkInterface.otherDeadline`).
    @inline(never) mutating func updateDeadline() {
        var deadline = min(interface.arp.nextDeadline, reassembly.nextDeadline)
        deadline = min(deadline, defence.nextDeadline)
        deadline = min(deadline, dhcp.nextDeadline)
        if Features.ipv6 { deadline = min(deadline, interface.deadlineIPv6) }
        interface.otherDeadline = interface.hasLoopback ? Instant(nanoseconds: 0) : deadline
    }

    /// Does what is due, and tries again what the card had no room for.
    public mutating func poll(now: Instant) {
        interface.now = now
        if interface.otherDeadline <= now { pollOthers(now: now) }
        tcp.poll(now: now, output: &interface)
    }

    @inline(never) private mutating func pollOthers(now: Instant) {
        if interface.arp.nextDeadline <= now { pollARP(now: now) }
        if Features.ipv6, interface.deadlineIPv6 <= now { pollIPv6(now: now) }
        while reassembly.expire(now: now) { reportExpired(now: now) }
        if dhcp.nextDeadline <= now { pollDHCP(now: now) }
        if defence.nextDeadline <= now { pollDefence(now: now) }
        if interface.hasLoopback { receiveLoopback(now: now) }
        updateDeadline()
    }

    /// The next thing to tell the sleepers; nil: nothing more. Drain it after each batch.
    public mutating func nextEvent() -> NetworkEvent? {
        if tcp.hasEvents, let event = tcp.nextEvent() { return .tcp(event) }
        if udp.hasEvents, let event = udp.nextEvent() { return .udp(event) }
        if addressChanged {
            addressChanged = false
            return .addressChanged
        }
        if addressConflict {
            addressConflict = false
            return .addressConflict
        }
        return nil
    }

    // MARK: ARP

    private mutating func pollARP(now: Instant) {
        interface.noteLastHopUse()
        while let due = interface.arp.nextDue(now: now) {
            switch due {
            case .request(let address, let hardware):
                interface.requestHardware(of: address, from: hardware)
            case .failed(let address):
                interface.dropWaiting(for: IPAddress(address))
            }
        }
    }

    // MARK: Our address

    /// Takes an address into use, by way of the check that is configured.
    mutating func begin(_ configuration: IPv4Configuration, now: Instant) {
        candidate = configuration
        if addressCheck == .whileInUse { use(configuration) }
        defence.start(addressCheck, now: now)
    }

    private mutating func use(_ configuration: IPv4Configuration) {
        guard interface.configuration != configuration else { return }
        interface.configure(configuration)
        addressChanged = true
    }

    /// Stops using the address.
    mutating func unconfigure() {
        candidate = nil
        defence.stop()
        guard interface.configuration != nil else { return }
        interface.configure(nil)
        addressChanged = true
    }

    mutating func pollDefence(now: Instant) {
        while let action = defence.nextAction(now: now) {
            guard let candidate else { return }
            switch action {
            case .use: use(candidate)
            case .probe: announce(candidate.address, as: .any)
            case .announce: announce(candidate.address, as: candidate.address)
            }
        }
    }

    @inline(never) private mutating func announce(_ address: IPv4Address, as sender: IPv4Address) {
        let packet = ARPPacket(
            .request, senderHardware: interface.hardwareAddress, sender: sender, targetHardware: 0,
            target: address)
        interface.sendARP(packet, to: Ethernet.broadcast)
    }

    /// Another station was seen with the address that we use or are about to.
    mutating func handleConflict(now: Instant) {
        interface.statistics.addressConflicts &+= 1
        addressConflict = true
        guard let address = candidate?.address else { return }
        switch defence.conflict(now: now) {
        case .ignore:
            break
        case .defend:
            announce(address, as: address)
        case .yield:
            if source == .dhcp {
                unconfigure()
                dhcp.decline(now: now)
                pollDHCP(now: now)
            } else {
                // A static address was someone's decision: it is kept and reported
                // (RFC 5227 §2.4 (c)), but not fought over.
                if let candidate { use(candidate) }
            }
        }
    }
}
