// Is our address ours alone? Probes, announcements and defence of RFC 5227, as a state machine.

/// How an address is checked before it is used.
public enum AddressCheck: Sendable {
    /// Use it at once, and probe once meanwhile: an instance that starts in milliseconds should
    /// not wait seconds for a neighbour that is almost never there.
    case whileInUse
    /// Wait for three probes to stay unanswered, five to seven seconds (RFC 5227 §2.1).
    case beforeUse
}

/// Probing, announcing and defending one address.
struct AddressDefence {
    enum Action: Equatable {
        /// Send a probe: a request with sender address zero.
        case probe
        /// Nobody objected: the address may be used.
        case use
        /// Send an announcement: a request for the address by its owner.
        case announce
    }

    enum Verdict: Equatable {
        /// The address belongs to someone else: it must not be used (any longer).
        case yield
        /// Announce it, to say that it is ours.
        case defend
        case ignore
    }

    // RFC 5227 §1.1, in nanoseconds.
    static var probeCount: Int { 3 }
    static var probeWait: UInt64 { 1_000_000_000 }
    static var probeMinimum: UInt64 { 1_000_000_000 }
    static var probeSpread: UInt64 { 1_000_000_000 }
    static var announceWait: UInt64 { 2_000_000_000 }
    static var announceInterval: UInt64 { 2_000_000_000 }
    static var defendInterval: UInt64 { 10_000_000_000 }

    private enum State {
        case idle
        case probing(sent: Int)
        case waiting
        case announcing(left: Int)
        case established
    }

    private var state = State.idle
    private var check = AddressCheck.whileInUse
    private var lastConflict: Instant?
    private(set) var nextDeadline = Instant.never
    private var random: UInt64

    init(secret: UInt64) {
        random = secret | 1
    }

    /// True while a conflict means that the address was never ours.
    var isTentative: Bool {
        switch state {
        case .probing, .waiting: true
        case .idle, .announcing, .established: false
        }
    }

    mutating func start(_ check: AddressCheck, now: Instant) {
        self.check = check
        lastConflict = nil
        state = .probing(sent: 0)
        switch check {
        case .whileInUse: nextDeadline = now
        case .beforeUse: nextDeadline = now.advanced(by: spread(Self.probeWait))
        }
    }

    mutating func stop() {
        state = .idle
        nextDeadline = .never
    }

    /// The next thing to do; call until nil.
    mutating func nextAction(now: Instant) -> Action? {
        guard nextDeadline <= now else { return nil }
        switch state {
        case .idle, .established:
            nextDeadline = .never
            return nil
        case .probing(let sent):
            let isLast = check == .whileInUse || sent + 1 == Self.probeCount
            state = isLast ? .waiting : .probing(sent: sent + 1)
            nextDeadline = now.advanced(
                by: isLast
                    ? Self.announceWait : Self.probeMinimum + spread(Self.probeSpread))
            return .probe
        case .waiting:
            state = .announcing(left: 2)
            nextDeadline = now
            return .use
        case .announcing(let left):
            state = left > 1 ? .announcing(left: left - 1) : .established
            nextDeadline = left > 1 ? now.advanced(by: Self.announceInterval) : .never
            return .announce
        }
    }

    /// Judges a packet that shows another station with our address (RFC 5227 §2.4 (b)).
    mutating func conflict(now: Instant) -> Verdict {
        switch state {
        case .idle:
            return .ignore
        case .probing, .waiting:
            stop()
            return .yield
        case .announcing, .established:
            if let lastConflict, now.since(lastConflict) < Self.defendInterval {
                return .yield
            }
            lastConflict = now
            return .defend
        }
    }

    private mutating func spread(_ range: UInt64) -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random % range
    }
}
