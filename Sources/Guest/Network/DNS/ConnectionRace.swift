// Happy Eyeballs (RFC 8305): to which of a host's addresses a connection is opened, and when. Whoever
// answers first has won; an address that leads nowhere costs a quarter of a second, not a minute.

/// Times of RFC 8305 §8, in nanoseconds.
public struct ConnectionRaceConfiguration: Sendable {
    /// How long the second version waits for addresses of the first that are still being asked for.
    public var resolutionDelay: UInt64 = 50_000_000
    /// From one attempt to the next, while none has ended.
    public var attemptDelay: UInt64 = 250_000_000
    /// Attempts at all.
    public var attempts = 16

    public init() {}
}

/// One connection that is being opened, to a host with several addresses.
public struct ConnectionRace: Sendable {
    public enum Action: Equatable, Sendable {
        /// Open a connection there.
        case attempt(IPAddress)
        /// Nothing is to be done before this, or before something happens.
        case wait(until: Instant)
        /// There is no address left, and no attempt under way.
        case failed
    }

    private let configuration: ConnectionRaceConfiguration
    /// Addresses in the server's order, and how many of them were tried.
    private var six: [IPAddress] = []
    private var four: [IPAddress] = []
    private var sixTried = 0
    private var fourTried = 0
    private var awaitsSix: Bool
    private var awaitsFour: Bool
    private let prefersSix: Bool
    /// The first attempt may be made then, whatever is still being asked for.
    private var begin = Instant.never
    private var next = Instant(nanoseconds: 0)
    private var lastWasSix: Bool
    /// Attempts under way.
    private(set) var pending = 0
    /// Attempts made.
    public private(set) var attempts = 0

    /// - Parameters:
    ///   - awaitsSix: `resolved` will be called for IPv6 addresses.
    ///   - awaitsFour: the same for IPv4.
    ///   - prefersSix: whether IPv6 comes first, as it does where this host has an address of it for
    ///     the world (§4, RFC 6724).
    public init(
        awaitsSix: Bool = true, awaitsFour: Bool = true, prefersSix: Bool = true,
        configuration: ConnectionRaceConfiguration = ConnectionRaceConfiguration()
    ) {
        self.awaitsSix = awaitsSix
        self.awaitsFour = awaitsFour
        self.prefersSix = prefersSix
        lastWasSix = !prefersSix
        self.configuration = configuration
    }

    /// IPv6 addresses are known; none if there are none, or they could not be found out.
    public mutating func resolvedSix(_ addresses: [IPAddress], now: Instant) {
        awaitsSix = false
        six = addresses
        if !six.isEmpty { begin = min(begin, start(isBetter: prefersSix, now)) }
        noteResolved(now)
    }

    /// IPv4 addresses are known; see above.
    public mutating func resolvedFour(_ addresses: [IPAddress], now: Instant) {
        awaitsFour = false
        four = addresses
        if !four.isEmpty { begin = min(begin, start(isBetter: !prefersSix, now)) }
        noteResolved(now)
    }

    /// RFC 8305 §3: a little time for the better answer.
    private func start(isBetter: Bool, _ now: Instant) -> Instant {
        isBetter ? now : now.advanced(by: configuration.resolutionDelay)
    }

    private mutating func noteResolved(_ now: Instant) {
        if !awaitsSix, !awaitsFour { begin = min(begin, now) }
        // Without the better answer there is nothing to wait for.
        if prefersSix ? !awaitsSix && !four.isEmpty : !awaitsFour && !six.isEmpty {
            begin = min(begin, now)
        }
    }

    /// An attempt has failed: the next need not wait (§5).
    public mutating func attemptFailed(now: Instant) {
        pending -= 1
        next = now
    }

    /// What to do now; to be asked again after each attempt that was begun, and whenever something
    /// has happened.
    public mutating func nextAction(now: Instant) -> Action {
        let hasSix = sixTried < six.count
        let hasFour = fourTried < four.count
        if attempts >= configuration.attempts {
            return pending == 0 ? .failed : .wait(until: .never)
        }
        guard hasSix || hasFour else {
            return pending == 0 && !awaitsSix && !awaitsFour ? .failed : .wait(until: .never)
        }
        let start = attempts == 0 ? begin : next
        if now < start { return .wait(until: start) }
        // One family after the other (§4).
        lastWasSix = !hasFour || (hasSix && !lastWasSix)
        let address = lastWasSix ? six[sixTried] : four[fourTried]
        if lastWasSix { sixTried += 1 } else { fourTried += 1 }
        attempts += 1
        pending += 1
        next = now.advanced(by: configuration.attemptDelay)
        return .attempt(address)
    }
}
