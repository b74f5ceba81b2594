// The neighbour cache of IPv6 (RFC 4861 §5.1, §7.3): hardware addresses, and whether they still answer.
//
// Four-way sets by a keyed hash, as strangers choose their addresses. Pure: it says what to send.

/// Neighbours on the link, their states, and the solicitations that are under way.
struct NeighbourCache: ~Copyable {
    /// What a look-up found.
    enum Resolution: Equatable {
        case known(UInt64)
        /// A solicitation must be sent now, for the first time.
        case solicit
        /// One is under way: wait.
        case pending
        /// Too many are: nothing will come of waiting.
        case refused
    }

    /// What became due at a deadline.
    enum Due: Equatable {
        /// Send (another) solicitation; to `hardware` if it is known and only to be confirmed.
        case solicit(IPAddress, hardware: UInt64?)
        /// No answer came: packets that wait are lost, and a router is none.
        case failed(IPAddress)
    }

    /// What a neighbour says of itself (RFC 4861 §4.4).
    struct Advertisement {
        var hardware: UInt64?
        var isSolicited: Bool
        var overrides: Bool
        var isRouter: Bool
    }

    enum State: UInt8 {
        case free, incomplete, reachable, stale, delay, probe
    }

    private struct Entry: BitwiseCopyable {
        var state = State.free
        var sent: UInt8 = 0
        var isRouter = false
        var address = IPAddress.unspecified
        var hardware: UInt64 = 0
        var deadline = Instant.never
    }

    private static var ways: Int { 4 }
    private static var sets: Int { 16 }
    /// Solicitations under way at a time: who makes us look for strangers makes no storm.
    private static var maximumIncomplete: Int { 32 }
    /// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT (§10).
    private static var maximumSolicitations: UInt8 { 3 }
    /// DELAY_FIRST_PROBE_TIME.
    private static var firstProbeDelay: UInt64 { 5_000_000_000 }

    /// REACHABLE_TIME and RETRANS_TIMER, which routers may change.
    var reachableTime: UInt64 = 30_000_000_000
    var retransmitTime: UInt64 = 1_000_000_000
    private var entries = InlineArray<64, Entry>(repeating: Entry())
    private let keys: (UInt64, UInt64)
    private var incompleteCount = 0
    /// Not later than the earliest deadline of any entry.
    private(set) var nextDeadline = Instant.never
    /// True once something changed that a remembered answer may depend on; who remembers resets it.
    var hasChanged = false

    init(key: UInt64) {
        keys = (key | 1, (key << 32 | key >> 32) | 1)
    }

    private func firstIndex(of address: IPAddress) -> Int {
        // The topmost bits of the products: every bit of the address counts, by keys nobody knows.
        let mixed = address.low &* keys.0 &+ address.high &* keys.1
        return Int(truncatingIfNeeded: mixed >> 60) &* Self.ways
    }

    private func index(of address: IPAddress) -> Int? {
        let first = firstIndex(of: address)
        for index in first..<first + Self.ways
        where entries[index].state != .free && entries[index].address == address {
            return index
        }
        return nil
    }

    /// The state of what is known of a neighbour.
    func state(of address: IPAddress) -> State {
        guard let index = index(of: address) else { return .free }
        return entries[index].state
    }

    /// Looks up a neighbour for a packet that is to be sent to it now; starts resolution.
    ///
    /// - Parameter isRouter: others hang on it. However many strangers are looked for, so is it, and
    ///   none of them takes its place.
    mutating func resolve(
        _ address: IPAddress, isRouter: Bool = false, now: Instant
    ) -> Resolution {
        if let index = index(of: address) {
            if entries[index].state == .incomplete { return .pending }
            if entries[index].state == .stale {
                set(index, .delay, until: now.advanced(by: Self.firstProbeDelay))
            }
            return .known(entries[index].hardware)
        }
        guard isRouter || incompleteCount < Self.maximumIncomplete,
            let index = room(for: address, evictsKnown: true)
        else { return .refused }
        entries[index].address = address
        entries[index].sent = 1
        entries[index].isRouter = isRouter
        incompleteCount += 1
        set(index, .incomplete, until: now.advanced(by: retransmitTime))
        return .solicit
    }

    /// Takes the hardware address that a neighbour's solicitation or a router's advertisement names.
    ///
    /// - Returns: true if packets wait for exactly this.
    mutating func note(_ address: IPAddress, hardware: UInt64, isRouter: Bool) -> Bool {
        var wasIncomplete = false
        let slot: Int
        if let known = index(of: address) {
            slot = known
            wasIncomplete = entries[known].state == .incomplete
        } else {
            // A stranger takes no place of one that is in use.
            guard let index = room(for: address, evictsKnown: false) else { return false }
            slot = index
            entries[slot].address = address
            entries[slot].state = .free
            entries[slot].isRouter = false
        }
        if isRouter { entries[slot].isRouter = true }
        if wasIncomplete { incompleteCount -= 1 }
        if wasIncomplete || entries[slot].state == .free || entries[slot].hardware != hardware {
            entries[slot].hardware = hardware
            set(slot, .stale, until: .never)
        }
        return wasIncomplete
    }

    /// Takes a neighbour's advertisement (§7.2.5); strangers are not heeded.
    ///
    /// - Returns: whether packets wait for exactly this, and whether it no longer is a router.
    mutating func receive(
        _ advertisement: Advertisement, from address: IPAddress, now: Instant
    ) -> (wasAwaited: Bool, isNoRouter: Bool) {
        guard let index = index(of: address) else { return (false, false) }
        let wasIncomplete = entries[index].state == .incomplete
        let isNew =
            wasIncomplete || advertisement.hardware.map { $0 != entries[index].hardware } ?? false
        if wasIncomplete {
            guard advertisement.hardware != nil else { return (false, false) }
        } else if isNew, !advertisement.overrides {
            if entries[index].state == .reachable { set(index, .stale, until: .never) }
            return (false, false)
        }
        let wasRouter = entries[index].isRouter
        entries[index].isRouter = advertisement.isRouter
        if let hardware = advertisement.hardware { entries[index].hardware = hardware }
        if wasIncomplete { incompleteCount -= 1 }
        if advertisement.isSolicited {
            let isNews = isNew || entries[index].state == .stale
            set(index, .reachable, until: now.advanced(by: reachableTime), isNews: isNews)
        } else if isNew {
            set(index, .stale, until: .never)
        }
        return (wasIncomplete, wasRouter && !advertisement.isRouter)
    }

    /// The next thing that is due; call until nil.
    @inline(never) mutating func nextDue(now: Instant) -> Due? {
        guard nextDeadline <= now else { return nil }
        for index in entries.indices
        where entries[index].state != .free && entries[index].deadline <= now {
            if let due = fire(index, now: now) { return due }
        }
        nextDeadline = .never
        for index in entries.indices where entries[index].state != .free {
            nextDeadline = min(nextDeadline, entries[index].deadline)
        }
        return nil
    }

    private mutating func fire(_ index: Int, now: Instant) -> Due? {
        let state = entries[index].state
        if state == .reachable {
            set(index, .stale, until: .never)
            return nil
        }
        if state == .delay { entries[index].sent = 0 }
        let address = entries[index].address
        guard entries[index].sent < Self.maximumSolicitations else {
            if state == .incomplete { incompleteCount -= 1 }
            set(index, .free, until: .never)
            return .failed(address)
        }
        entries[index].sent += 1
        set(
            index, state == .incomplete ? .incomplete : .probe,
            until: now.advanced(by: retransmitTime), isNews: false)
        return .solicit(address, hardware: state == .incomplete ? nil : entries[index].hardware)
    }

    private mutating func set(
        _ index: Int, _ state: State, until deadline: Instant, isNews: Bool = true
    ) {
        entries[index].state = state
        entries[index].deadline = deadline
        nextDeadline = min(nextDeadline, deadline)
        if isNews { hasChanged = true }
    }

    /// A free place in the set, or a stale one's; if `evictsKnown`, else that of the entry that ends
    /// soonest. Routers are never evicted, nor those for whom packets wait.
    private mutating func room(for address: IPAddress, evictsKnown: Bool) -> Int? {
        let first = firstIndex(of: address)
        var victim: Int?
        for index in first..<first + Self.ways {
            switch entries[index].state {
            case .free: return index
            case .incomplete: continue
            case .stale where !entries[index].isRouter: victim = index
            default:
                guard evictsKnown, !entries[index].isRouter else { continue }
                if let best = victim,
                    entries[best].state == .stale
                        || entries[best].deadline <= entries[index].deadline
                {
                    continue
                }
                victim = index
            }
        }
        return victim
    }
}
