// The DHCPv4 client (RFC 2131 §4.4) as a state machine: messages and a time in, messages and a
// lease out. One server's offer is taken, the first that makes sense.

/// What a server lent us.
public struct DHCPLease: Equatable, Sendable {
    public var configuration: IPv4Configuration
    public var nameServers: [IPv4Address]
    public var server: IPv4Address
    /// When to ask the server (T1), then any server (T2), for more time; when the lease ends.
    public var renewal: Instant
    public var rebinding: Instant
    public var expiry: Instant
}

/// The client's side of DHCP for one card.
struct DHCPClient: ~Copyable {
    enum Action: Equatable {
        case send(DHCPTransmission)
        /// The lease ended or was refused: its address must not be used any longer.
        case lost
    }

    private enum State: Equatable {
        case idle
        /// Waits before it starts (again).
        case waiting
        case selecting
        case requesting
        case bound
        case renewing
        case rebinding
    }

    static var second: UInt64 { 1_000_000_000 }
    /// RFC 2131 §4.1 starts at 4 s for slow shared links of its time; a lost first packet should
    /// not cost a virtual machine four seconds of its start.
    static var firstTimeout: UInt64 { second }
    static var longestTimeout: UInt64 { 64 * second }
    /// Requests for an offer before it is given up.
    static var maximumRequests: Int { 4 }
    /// After a refused or declined address (RFC 2131 §3.1 (5)).
    static var declineWait: UInt64 { 10 * second }
    static var refusalWait: UInt64 { second }
    /// Between two requests for more time, at least (RFC 2131 §4.4.5).
    static var minimumRenewalInterval: UInt64 { 60 * second }

    let hardwareAddress: UInt64
    let hostName: [UInt8]
    private var state = State.idle
    private(set) var lease: DHCPLease?
    private(set) var nextDeadline = Instant.never
    private var transaction: UInt32 = 0
    private var began = Instant(nanoseconds: 0)
    private var attempts = 0
    private var offered = IPv4Address.any
    private var server = IPv4Address.any
    /// A message that must go out before anything else.
    private var pending: DHCPTransmission?
    private var isLost = false
    /// When the waiting state ends, while something else is due before.
    private var waitEnd = Instant.never
    private var random: UInt64

    init(hardwareAddress: UInt64, hostName: [UInt8], secret: UInt64) {
        self.hardwareAddress = hardwareAddress
        self.hostName = hostName
        // Two clients of one image must not draw the same numbers.
        random = (secret ^ hardwareAddress &* 0x9E37_79B9_7F4A_7C15) | 1
    }

    var isActive: Bool { state != .idle }

    mutating func start(now: Instant) {
        lease = nil
        isLost = false
        pending = nil
        began = now
        wait(0, now: now)
    }

    mutating func stop() {
        state = .idle
        lease = nil
        pending = nil
        isLost = false
        nextDeadline = .never
    }

    /// Tells the server that someone else has the address of the lease (RFC 2131 §4.4.1).
    mutating func decline(now: Instant) {
        guard let lease else { return }
        self.lease = nil
        wait(Self.declineWait, now: now)
        pending = DHCPTransmission(
            type: .decline, transaction: transaction, seconds: 0, clientAddress: .any,
            requested: lease.configuration.address, server: lease.server, destination: .broadcast)
        nextDeadline = now
    }

    // MARK: Time

    /// The next thing that is due; call until nil.
    mutating func nextAction(now: Instant) -> Action? {
        guard nextDeadline <= now else { return nil }
        if isLost {
            isLost = false
            nextDeadline = waitEnd
            return .lost
        }
        if let message = pending {
            pending = nil
            nextDeadline = waitEnd
            return .send(message)
        }
        switch state {
        case .idle:
            nextDeadline = .never
            return nil
        case .waiting:
            state = .selecting
            attempts = 0
            began = now
            transaction = UInt32(truncatingIfNeeded: draw() >> 16)
            return discover(now: now)
        case .selecting:
            return discover(now: now)
        case .requesting where attempts >= Self.maximumRequests:
            wait(0, now: now)
            return nextAction(now: now)
        case .requesting:
            return request(now: now)
        case .bound, .renewing, .rebinding:
            return prolong(now: now)
        }
    }

    private mutating func discover(now: Instant) -> Action {
        backOff(now: now)
        return .send(message(.discover, now: now))
    }

    private mutating func request(now: Instant) -> Action {
        backOff(now: now)
        var message = message(.request, now: now)
        message.requested = offered
        message.server = server
        return .send(message)
    }

    /// Asks for more time, or gives up the lease when it has ended.
    private mutating func prolong(now: Instant) -> Action? {
        guard let lease else { return nil }
        if lease.expiry <= now {
            lose(wait: 0, now: now)
            return nextAction(now: now)
        }
        if state == .bound { transaction = UInt32(truncatingIfNeeded: draw() >> 16) }
        let isRebinding = lease.rebinding <= now
        state = isRebinding ? .rebinding : .renewing
        let end = isRebinding ? lease.expiry : lease.rebinding
        // Half of what is left, again and again (RFC 2131 §4.4.5).
        let interval = max(end.since(now) / 2, Self.minimumRenewalInterval)
        nextDeadline = min(now.advanced(by: interval), end)
        var message = message(.request, now: now)
        message.clientAddress = lease.configuration.address
        if !isRebinding { message.destination = lease.server }
        return .send(message)
    }

    private func message(_ type: DHCPMessageType, now: Instant) -> DHCPTransmission {
        DHCPTransmission(
            type: type, transaction: transaction,
            seconds: UInt16(clamping: now.since(began) / Self.second), clientAddress: .any,
            requested: nil, server: nil, destination: .broadcast)
    }

    private mutating func wait(_ nanoseconds: UInt64, now: Instant) {
        state = .waiting
        waitEnd = now.advanced(by: nanoseconds)
        nextDeadline = waitEnd
    }

    private mutating func lose(wait nanoseconds: UInt64, now: Instant) {
        if lease != nil { isLost = true }
        lease = nil
        wait(nanoseconds, now: now)
        if isLost { nextDeadline = now }
    }

    /// Sets the next retransmission: doubling, spread by a quarter (RFC 2131 §4.1).
    private mutating func backOff(now: Instant) {
        let base = min(Self.firstTimeout << UInt64(min(attempts, 6)), Self.longestTimeout)
        nextDeadline = now.advanced(by: base - base / 8 + draw() % (base / 4))
        attempts = min(attempts + 1, 1000)
    }

    private mutating func draw() -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random
    }

    // MARK: Messages

    /// Takes a message from a server.
    ///
    /// - Returns: the lease, if this message gave or prolonged one.
    mutating func receive(_ bytes: RawSpan, now: Instant) -> DHCPLease? {
        guard isActive, let message = DHCPMessage(bytes), message.transaction == transaction,
            message.hardwareAddress == hardwareAddress
        else { return nil }
        switch (state, message.type) {
        case (.selecting, .offer):
            guard let sender = message.server, makeLease(message, server: sender, now: now) != nil
            else { return nil }
            offered = message.yourAddress
            server = sender
            state = .requesting
            attempts = 0
            nextDeadline = now
            return nil
        case (.requesting, .acknowledge):
            guard message.server ?? server == server, message.yourAddress == offered else {
                return nil
            }
            return bind(makeLease(message, server: server, now: now))
        case (.renewing, .acknowledge), (.rebinding, .acknowledge):
            // Another server may answer a rebinding; the address stays what it was.
            guard let lease, message.yourAddress == lease.configuration.address else { return nil }
            return bind(makeLease(message, server: message.server ?? lease.server, now: now))
        case (.requesting, .refuse), (.renewing, .refuse), (.rebinding, .refuse):
            if state != .rebinding, let sender = message.server,
                sender != lease?.server ?? server
            {
                return nil
            }
            lose(wait: Self.refusalWait, now: now)
            return nil
        default:
            return nil
        }
    }

    private mutating func bind(_ lease: DHCPLease?) -> DHCPLease? {
        guard let lease else { return nil }
        self.lease = lease
        state = .bound
        attempts = 0
        nextDeadline = lease.renewal
        return lease
    }

    /// Judges a message's values; nil if one that matters makes no sense.
    private func makeLease(
        _ message: DHCPMessage, server: IPv4Address, now: Instant
    ) -> DHCPLease? {
        let address = message.yourAddress
        guard Self.isHost(address), Self.isHost(server), let seconds = message.leaseSeconds,
            seconds > 0
        else { return nil }
        // Without a mask, the address's class told (RFC 950); today /24 is the better guess.
        let mask = message.subnetMask ?? 0xFFFF_FF00
        let length = UInt8(truncatingIfNeeded: (~mask).leadingZeroBitCount)
        guard mask.leadingZeroBitCount == 0, mask == ~0 << (32 - UInt32(length)) else {
            return nil
        }
        let network = IPv4Network(address, prefixLength: length)
        // The network's own and its broadcast address are no host's.
        if length < 31, address.bits & ~mask == 0 || address == network.broadcast { return nil }
        var gateway = message.router
        if let router = gateway, !Self.isHost(router) || router == address { gateway = nil }
        var nameServers: [IPv4Address] = []
        for index in message.nameServers.indices where Self.isHost(message.nameServers[index]) {
            nameServers.append(message.nameServers[index])
        }
        let configuration = IPv4Configuration(network, gateway: gateway)
        // All ones is for ever (RFC 2131 §3.3).
        guard seconds != .max else {
            return DHCPLease(
                configuration: configuration, nameServers: nameServers, server: server,
                renewal: .never, rebinding: .never, expiry: .never)
        }
        // Times that are out of order count as not sent (RFC 2131 §4.4.5 has the defaults).
        let total = UInt64(seconds) * Self.second
        var rebinding = total / 8 * 7
        if let value = message.rebindingSeconds, value > 0, value < seconds {
            rebinding = UInt64(value) * Self.second
        }
        var renewal = min(total / 2, rebinding)
        if let value = message.renewalSeconds, value > 0, UInt64(value) * Self.second < rebinding {
            renewal = UInt64(value) * Self.second
        }
        return DHCPLease(
            configuration: configuration, nameServers: nameServers, server: server,
            renewal: now.advanced(by: renewal), rebinding: now.advanced(by: rebinding),
            expiry: now.advanced(by: total))
    }

    private static func isHost(_ address: IPv4Address) -> Bool {
        !address.isInvalidSource && !address.isLoopback
    }
}
