// The client of stateless DHCPv6 (RFC 8415 §6.1, §18.2.6) as a state machine: messages and a time in,
// messages and name servers out. Addresses are the routers' affair (RFC 4862).
//
// Nothing of the stack refers to it: it is driven by whoever asks for names, over a UDP socket.

/// What one card asks servers of DHCPv6 for: name servers, again and again until there is an answer,
/// and anew when that has grown old.
public struct DHCPv6Client {
    public enum Action: Equatable, Sendable {
        /// Send this from `clientPort` to `servers`, then wait.
        case send([UInt8])
        /// Wait for what comes, until then at the latest.
        case wait(until: Instant)
        /// There is an answer; nothing is to be done before `isDue`.
        case finished
    }

    public static var clientPort: UInt16 { 546 }
    /// All relays and servers of the link, ff02::1:2 (§7.1), at the servers' port.
    public static var servers: SocketAddress {
        SocketAddress(IPAddress(high: 0xFF02 << 48, low: 0x1_0002), port: 547)
    }

    private static var second: UInt64 { 1_000_000_000 }
    /// INF_TIMEOUT and INF_MAX_RT (§7.6).
    private static var firstTimeout: UInt64 { second }
    private static var usualLongestTimeout: UInt64 { 3_600 * second }
    /// IRT_DEFAULT and IRT_MINIMUM (§7.6), in seconds.
    private static var usualRefresh: UInt32 { 86_400 }
    private static var shortestRefresh: UInt32 { 600 }

    /// What the last answer named, in its order.
    public private(set) var nameServers: [IPAddress] = []
    /// A question is in flight.
    public private(set) var isAsking = false
    /// When the next one is due.
    private var dueAt = Instant(nanoseconds: 0)

    private let hardwareAddress: UInt64
    private var transaction: UInt32 = 0
    private var began: Instant?
    private var timeout: UInt64 = 0
    private var longestTimeout = DHCPv6Client.usualLongestTimeout
    private var deadline = Instant.never

    public init(hardwareAddress: UInt64) { self.hardwareAddress = hardwareAddress }

    /// True if there was no question yet, or its answer is too old.
    public func isDue(now: Instant) -> Bool { !isAsking && dueAt <= now }

    /// Begins to ask. The random delay before the first question (§18.2.6), meant for rooms of machines
    /// that start at once, is left out: nobody asks before a name is wanted.
    public mutating func start(now: Instant) {
        isAsking = true
        began = nil
        timeout = 0
        deadline = now
    }

    /// Nothing can be asked now; it may be tried again after a minute.
    public mutating func giveUp(now: Instant) {
        isAsking = false
        dueAt = now.advanced(by: 60 * Self.second)
    }

    /// What is to be done next.
    ///
    /// - Parameter random: a number that nobody can guess.
    public mutating func nextAction(now: Instant, random: UInt64) -> Action {
        guard isAsking else { return .finished }
        guard deadline <= now else { return .wait(until: deadline) }
        // One number for a question and all its repetitions (§16.1).
        if began == nil { transaction = UInt32(truncatingIfNeeded: random & 0xFF_FFFF) }
        let first = began ?? now
        began = first
        backOff(random: random >> 24)
        deadline = now.advanced(by: timeout)
        return .send(
            DHCPv6Message.question(
                transaction: transaction,
                elapsed: UInt16(clamping: now.since(first) / (Self.second / 100)),
                hardwareAddress: hardwareAddress))
    }

    /// Sets the time until the next repetition: doubled, a tenth more or less (§15). There is no end
    /// to them.
    private mutating func backOff(random: UInt64) {
        var base = Self.firstTimeout
        if timeout > 0 { base = timeout * 2 }
        base = min(base, longestTimeout)
        // The previous time's tenth, which for the first and the longest one is that one's own.
        let tenth = (timeout > 0 && timeout * 2 <= longestTimeout ? timeout : base) / 10
        timeout = base - tenth + random % (2 * tenth + 1)
    }

    /// Takes what came to `clientPort`.
    public mutating func receive(_ message: RawSpan, now: Instant) {
        guard isAsking, began != nil,
            let reply = DHCPv6Reply(
                message, transaction: transaction, hardwareAddress: hardwareAddress)
        else { return }
        isAsking = false
        nameServers = reply.nameServers
        if let seconds = reply.longestTimeoutSeconds {
            longestTimeout = UInt64(seconds) * Self.second
        }
        let seconds = max(reply.refreshSeconds ?? Self.usualRefresh, Self.shortestRefresh)
        // All ones is for ever (§21.23).
        dueAt = seconds == .max ? .never : now.advanced(by: UInt64(seconds) * Self.second)
    }
}
