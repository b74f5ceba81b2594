// The ARP cache (RFC 826, RFC 1122 §2.3.2): neighbours' hardware addresses, bounded in number.
//
// Four-way sets by the address's low bits: a look-up is four comparisons however many strangers
// knock, and the hosts of one /24 spread evenly. Pure: it says what to send, and sends nothing.

/// Neighbours on the link and the requests for them that are under way.
struct ARPCache: ~Copyable {
    /// What a look-up found.
    enum Resolution: Equatable {
        case known(UInt64)
        /// A request must be sent now, for the first time.
        case request
        /// A request is under way: wait.
        case pending
        /// Too many are: nothing will come of waiting.
        case refused
    }

    /// What became due at a deadline.
    enum Due: Equatable {
        /// Send (another) request; to `hardware` if the entry only needs to be confirmed.
        case request(IPv4Address, hardware: UInt64?)
        /// No answer came: packets that wait for this neighbour are lost.
        case failed(IPv4Address)
    }

    private enum State: UInt8 {
        case free
        /// No address known; requests are being sent.
        case incomplete
        case reachable
        /// Known and in use, but old: a unicast request is under way (RFC 1122 §2.3.2.1 (2)).
        case refreshing
    }

    private struct Entry {
        var state = State.free
        var requests: UInt8 = 0
        var wasUsed = false
        var isGateway = false
        var address = IPv4Address.any
        var hardware: UInt64 = 0
        /// When the next request, the failure or the expiry is due.
        var deadline = Instant.never
    }

    static var ways: Int { 4 }
    static var sets: Int { 32 }
    /// Requests under way at a time: a scan of the subnet must not turn into a storm of ours.
    static var maximumIncomplete: Int { 32 }
    static var maximumRequests: UInt8 { 4 }
    /// One request a second for an address at most (RFC 1122 §2.3.2.1).
    static var requestInterval: UInt64 { 1_000_000_000 }
    /// How long an answer is believed.
    static var lifetime: UInt64 { 60_000_000_000 }

    private var entries = [Entry](repeating: Entry(), count: ways * sets)
    private var incompleteCount = 0
    /// Not later than the earliest deadline of any entry.
    private(set) var nextDeadline = Instant.never
    /// Changes whenever an entry is set or lost, so that callers may keep what they looked up.
    private(set) var generation: UInt32 = 1

    init() {}

    @inline(__always) private func firstIndex(of address: IPv4Address) -> Int {
        Int(truncatingIfNeeded: address.bits) & (Self.sets - 1) &* Self.ways
    }

    private func index(of address: IPv4Address) -> Int? {
        let first = firstIndex(of: address)
        for index in first..<first + Self.ways
        where entries[index].address == address && entries[index].state != .free {
            return index
        }
        return nil
    }

    /// Looks up a neighbour for a packet that is to be sent to it now; starts resolution.
    ///
    /// - Parameter isGateway: others hang on it. However many strangers are looked for, so is it, and
    ///   none of them takes its place.
    mutating func resolve(
        _ address: IPv4Address, isGateway: Bool = false, now: Instant
    ) -> Resolution {
        if let index = index(of: address) {
            guard entries[index].state != .incomplete else { return .pending }
            entries[index].wasUsed = true
            entries[index].isGateway = isGateway
            return .known(entries[index].hardware)
        }
        guard isGateway || incompleteCount < Self.maximumIncomplete,
            let index = room(for: address)
        else { return .refused }
        entries[index] = Entry(
            state: .incomplete, requests: 1, isGateway: isGateway, address: address,
            deadline: now.advanced(by: Self.requestInterval))
        incompleteCount += 1
        schedule(entries[index].deadline)
        return .request
    }

    /// Takes what a packet says of its sender.
    ///
    /// - Parameter create: the packet was meant for us; else only a known entry is updated
    ///   (RFC 826, packet reception).
    /// - Returns: true if packets may wait for exactly this.
    mutating func learn(
        _ address: IPv4Address, hardware: UInt64, create: Bool, now: Instant
    ) -> Bool {
        var wasIncomplete = false
        var isGateway = false
        let slot: Int
        if let index = index(of: address) {
            slot = index
            isGateway = entries[index].isGateway
            wasIncomplete = entries[index].state == .incomplete
        } else {
            guard create, let index = room(for: address) else { return false }
            slot = index
        }
        if wasIncomplete { incompleteCount -= 1 }
        let isNews = wasIncomplete || entries[slot].hardware != hardware
        entries[slot] = Entry(
            state: .reachable, isGateway: isGateway, address: address, hardware: hardware,
            deadline: now.advanced(by: Self.lifetime))
        schedule(entries[slot].deadline)
        if isNews { generation &+= 1 }
        return wasIncomplete
    }

    /// Says that the neighbour was sent something through a remembered answer, so that its entry
    /// is refreshed and not dropped when it grows old.
    mutating func markUsed(_ address: IPv4Address) {
        if let index = index(of: address) { entries[index].wasUsed = true }
    }

    /// Forgets everything: the link or the own address changed.
    mutating func removeAll() {
        for index in entries.indices { entries[index] = Entry() }
        incompleteCount = 0
        nextDeadline = .never
        generation &+= 1
    }

    /// The next thing that is due; call until nil.
    mutating func nextDue(now: Instant) -> Due? {
        guard nextDeadline <= now else { return nil }
        for index in entries.indices
        where entries[index].state != .free && entries[index].deadline <= now {
            if let due = fire(index, now: now) { return due }
        }
        nextDeadline = .never
        for index in entries.indices where entries[index].state != .free {
            schedule(entries[index].deadline)
        }
        return nil
    }

    private mutating func fire(_ index: Int, now: Instant) -> Due? {
        let address = entries[index].address
        switch entries[index].state {
        case .free:
            return nil
        case .reachable where entries[index].wasUsed:
            entries[index].state = .refreshing
            entries[index].requests = 1
        case .reachable:
            entries[index] = Entry()
            generation &+= 1
            return nil
        case .incomplete where entries[index].requests >= Self.maximumRequests:
            entries[index] = Entry()
            incompleteCount -= 1
            return .failed(address)
        case .refreshing where entries[index].requests >= Self.maximumRequests:
            entries[index] = Entry()
            generation &+= 1
            return nil
        case .incomplete, .refreshing:
            entries[index].requests += 1
        }
        entries[index].deadline = now.advanced(by: Self.requestInterval)
        let isKnown = entries[index].state == .refreshing
        return .request(address, hardware: isKnown ? entries[index].hardware : nil)
    }

    /// A free place in the set, or that of the entry that ends soonest. The gateway is never
    /// evicted, nor those for whom packets wait.
    private mutating func room(for address: IPv4Address) -> Int? {
        let first = firstIndex(of: address)
        var victim: Int?
        for index in first..<first + Self.ways {
            if entries[index].state == .free { return index }
            if entries[index].state == .incomplete || entries[index].isGateway { continue }
            if let best = victim, entries[best].deadline <= entries[index].deadline { continue }
            victim = index
        }
        if victim != nil { generation &+= 1 }
        return victim
    }

    private mutating func schedule(_ deadline: Instant) {
        if deadline < nextDeadline { nextDeadline = deadline }
    }
}
