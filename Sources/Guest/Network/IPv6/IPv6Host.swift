// A host's IPv6 on one link, as a state machine: addresses of its own making (RFC 4862, 7217), checked
// for duplicates; routers, prefixes and name servers as advertised (RFC 4861 §6.3, 8106).
//
// Every list has a bound: who is on the link may advertise what he likes (RFC 6104). What is full
// takes nothing new, so that a flood displaces nobody who was there before.

/// An address of this host's.
struct OwnAddress: BitwiseCopyable {
    enum State: UInt8 {
        /// Not to be used before its check is over.
        case tentative
        /// In use while it is checked (RFC 4429).
        case optimistic
        case valid
    }

    var address: IPAddress
    var state: State
    var hasProbed = false
    /// When the check goes on.
    var deadline: Instant
    /// Addresses of this prefix that were somebody else's (RFC 7217 §5, DAD_Counter).
    var conflicts: UInt8 = 0
    var preferredUntil = Instant.never
    var validUntil = Instant.never
}

/// Addresses, routers, prefixes and name servers of one interface.
struct IPv6Host: ~Copyable {
    enum Action: Equatable {
        /// Ask whether somebody has this address (RFC 4862 §5.4.2).
        case probe(IPAddress)
        case solicitRouters
        /// Tell which groups this host listens to, for the first time or because someone asked.
        case report(isNew: Bool)
    }

    /// Of each kind: routers, prefixes, name servers.
    static var mostAdvertised: Int { 6 }
    /// Addresses tried for one prefix (RFC 7217 §6, IDGEN_RETRIES).
    private static var mostConflicts: UInt8 { 3 }
    static var second: UInt64 { 1_000_000_000 }
    /// RFC 4861 §10, RTR_SOLICITATION_INTERVAL; doubled up to an hour (RFC 7559 §2).
    private static var firstSolicitationInterval: UInt64 { 4_000_000_000 }
    private static var longestReportDelay: UInt64 { 10_000_000_000 }
    private static var longestSolicitationInterval: UInt64 { 3_600_000_000_000 }
    var addresses = BoundedList<8, OwnAddress>(
        filler: OwnAddress(address: .unspecified, state: .tentative, deadline: .never))
    var advertised = BoundedList<18, Advertised>(
        filler: Advertised(kind: .router, length: 0, address: .unspecified, until: .never))
    /// The longest packet on the link, as routers say; the card's own is not known here.
    var mtu = 65_535
    var hopLimit: UInt8 = 64
    private(set) var isActive = false
    /// A router has said that servers of DHCPv6 know more.
    var hasServers = false
    /// Routes have changed: what was looked up holds no longer.
    var hasChanged = false
    /// Addresses have come or gone: to be told.
    var addressesChanged = false
    private(set) var nextDeadline = Instant.never
    /// The address that was last sent to; unspecified if there was none. One comparison then finds
    /// the packet to be ours.
    var lastLocal = IPAddress.unspecified

    private let key: (UInt64, UInt64)
    private let hardwareAddress: UInt64
    private var check = AddressCheck.whileInUse
    var solicitationAt = Instant.never
    private var solicitationInterval: UInt64 = 0
    private var reportAt = Instant.never
    private var reportsNewGroups = 0
    private var random: UInt64

    init(hardwareAddress: UInt64, key: (UInt64, UInt64), secret: UInt64) {
        self.hardwareAddress = hardwareAddress
        self.key = key
        random = secret | 1
    }

    // MARK: Looking up

    /// Where in `addresses` an address is; nil if it is not ours.
    func index(of address: IPAddress) -> Int? {
        for index in 0..<addresses.count where addresses[index].address == address { return index }
        return nil
    }

    /// True if packets may be sent to and from this address of ours.
    func isUsable(_ address: IPAddress) -> Bool {
        guard let index = index(of: address) else { return false }
        return addresses[index].state != .tentative
    }

    /// True for a group that this host listens to.
    func isListening(to group: IPAddress) -> Bool {
        if group == .allNodes { return true }
        for index in 0..<addresses.count where addresses[index].address.solicitedNode == group {
            return true
        }
        return false
    }

    /// A report of the groups that this host listens to, one for each address (RFC 3810 §5.2).
    func makeReport(isNew: Bool) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: 8 + 20 * addresses.count)
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        bytes.store(MulticastListening.report, at: 0)
        bytes.store(UInt16(truncatingIfNeeded: addresses.count), at: 6)
        for index in 0..<addresses.count {
            // CHANGE_TO_EXCLUDE when groups are new, MODE_IS_EXCLUDE when someone asks.
            bytes.store(UInt8(isNew ? 4 : 2), at: 8 + 20 * index)
            bytes.store(addresses[index].address.solicitedNode, at: 12 + 20 * index)
        }
        return octets
    }

    /// The address to send from (RFC 6724 §5, the rules that can tell one link's addresses apart):
    /// the destination itself; of its scope; not deprecated; with the longest prefix in common.
    func source(for destination: IPAddress, now: Instant) -> IPAddress? {
        var best: IPAddress?
        var bestRank = -1
        let isLocal = destination.isLinkLocal || destination.high >> 48 & 0xFF0F == 0xFF02
        for index in 0..<addresses.count where addresses[index].state != .tentative {
            let own = addresses[index]
            var rank = own.address.commonBits(destination)
            if own.preferredUntil > now { rank += 256 }
            if own.address.isLinkLocal == isLocal { rank += 512 }
            if own.address == destination { rank += 1024 }
            if rank > bestRank {
                best = own.address
                bestRank = rank
            }
        }
        return best
    }

    // MARK: Beginning and end

    /// Makes the link-local address, and looks for routers.
    mutating func start(_ check: AddressCheck, now: Instant) {
        isActive = true
        self.check = check
        addAddress(prefix: 0xFE80 << 48, preferred: .never, valid: .never, now: now)
        solicitationInterval = Self.firstSolicitationInterval
        solicitationAt = now
        schedule()
    }

    /// Takes an address that somebody decided on, in a network whose prefix has `length` bits.
    mutating func addStatic(
        _ address: IPAddress, length: UInt8, gateway: IPAddress?, now: Instant
    ) {
        insert(OwnAddress(address: address, state: initialState, deadline: now), now: now)
        note(.prefix, address, length, until: .never, now: now)
        if let gateway { note(.router, gateway, until: .never, now: now) }
        schedule()
    }

    // MARK: Time

    /// The next thing to do; call until nil.
    mutating func nextAction(now: Instant) -> Action? {
        guard nextDeadline <= now else { return nil }
        defer { schedule() }
        expire(now: now)
        // Switches that listen in learn of the group before its first packet (RFC 4862 §5.4.2).
        if reportAt <= now {
            let isNew = reportsNewGroups > 0
            if isNew { reportsNewGroups -= 1 }
            // Told twice, in case one is lost (RFC 3810 §9.1).
            reportAt = reportsNewGroups > 0 ? now.advanced(by: spread(Self.second)) : .never
            return .report(isNew: isNew)
        }
        for index in 0..<addresses.count where addresses[index].deadline <= now {
            if !addresses[index].hasProbed {
                addresses[index].hasProbed = true
                addresses[index].deadline = now.advanced(by: Self.second)
                return .probe(addresses[index].address)
            }
            if addresses[index].state == .tentative { addressesChanged = true }
            addresses[index].state = .valid
            addresses[index].deadline = .never
        }
        if solicitationAt <= now {
            // Who has no address yet asks a little later.
            guard addresses.count > 0, addresses[0].state != .tentative else {
                solicitationAt = now.advanced(by: Self.second)
                return nil
            }
            solicitationAt = now.advanced(by: solicitationInterval)
            solicitationInterval = min(solicitationInterval * 2, Self.longestSolicitationInterval)
            return .solicitRouters
        }
        return nil
    }

    mutating func expire(now: Instant) {
        var index = 0
        while index < addresses.count {
            if addresses[index].validUntil <= now {
                removeAddress(index)
            } else {
                index += 1
            }
        }
        let hadRouter = first(.router) != nil
        index = 0
        while index < advertised.count {
            if advertised[index].until <= now {
                advertised.remove(at: index)
                hasChanged = true
            } else {
                index += 1
            }
        }
        // Without a router, one is looked for again.
        if hadRouter, first(.router) == nil {
            solicitationInterval = Self.firstSolicitationInterval
            solicitationAt = now
        }
    }

    mutating func schedule() {
        var next = min(solicitationAt, reportAt)
        for index in 0..<addresses.count {
            next = min(next, min(addresses[index].deadline, addresses[index].validUntil))
        }
        for index in 0..<advertised.count { next = min(next, advertised[index].until) }
        nextDeadline = next
    }

    // MARK: Addresses

    private var initialState: OwnAddress.State {
        check == .whileInUse ? .optimistic : .tentative
    }

    /// Makes an address for a prefix of 64 bits: always the same on this network, yet nothing that
    /// shows the hardware address or lets one be followed through networks (RFC 7217 §5).
    func makeAddress(prefix: UInt64, conflicts: UInt8) -> IPAddress {
        var hash = SipHash(key: key)
        hash.combine(prefix)
        hash.combine(hardwareAddress)
        hash.combine(UInt64(conflicts))
        var identifier = hash.finalize()
        // Identifiers that mean something (RFC 5453): the routers', and groups of servers'.
        if identifier == 0 || identifier >> 7 == 0xFDFF_FFFF_FFFF_FF80 >> 7 {
            identifier ^= 1 << 40
        }
        return IPAddress(high: prefix, low: identifier)
    }

    mutating func addAddress(
        prefix: UInt64, conflicts: UInt8 = 0, preferred: Instant, valid: Instant, now: Instant
    ) {
        insert(
            OwnAddress(
                address: makeAddress(prefix: prefix, conflicts: conflicts), state: initialState,
                deadline: now, conflicts: conflicts, preferredUntil: preferred, validUntil: valid),
            now: now)
    }

    private mutating func insert(_ address: OwnAddress, now: Instant) {
        guard !addresses.isFull, index(of: address.address) == nil else { return }
        addresses.append(address)
        isActive = true
        reportsNewGroups = 2
        reportAt = now
        if address.state != .tentative { addressesChanged = true }
    }

    private mutating func removeAddress(_ index: Int) {
        if addresses[index].address == lastLocal { lastLocal = .unspecified }
        addresses.remove(at: index)
        addressesChanged = true
        hasChanged = true
    }

    /// Another station was seen with an address of ours.
    ///
    /// - Returns: true if it was given up, as its check was not over; else it is kept.
    mutating func conflict(_ index: Int, now: Instant) -> Bool {
        let own = addresses[index]
        guard own.state != .valid else { return false }
        let isMade = isMade(index, own.address.high)
        removeAddress(index)
        // Another one for the same prefix. Those that are not made here are their owner's affair.
        if isMade, own.conflicts < Self.mostConflicts {
            addAddress(
                prefix: own.address.high, conflicts: own.conflicts + 1,
                preferred: own.preferredUntil, valid: own.validUntil, now: now)
        }
        schedule()
        return true
    }

    /// Someone asks for groups: answered after a while, so that not all answer at once. Of two times
    /// the sooner one holds (RFC 3810 §6.2); a querier that allows hours is not heard of here.
    mutating func receiveQuery(maximumDelay: UInt64, now: Instant) {
        let delay = min(max(maximumDelay, 1), Self.longestReportDelay)
        reportAt = min(reportAt, now.advanced(by: spread(delay)))
        schedule()
    }

    // MARK: Helpers

    private mutating func spread(_ range: UInt64) -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random % range
    }
}
