// The stub resolver (RFC 1034 §5.3.1, RFC 1035 §7) without sockets and clock: questions and messages
// in, messages and answers out. It asks servers that do the recursion, and follows aliases that they
// leave open.
//
// What an attacker beside the path has to guess of an answer: the number, the port, the case of the
// letters (RFC 5452 §§4, 9). What is asked for twice is asked once.

/// Names a question in flight.
public struct DNSTicket: Hashable, Sendable {
    let number: UInt64
}

/// What `look` found.
public enum DNSLookup: Equatable, Sendable {
    case result(DNSResult)
    /// It is asked for. Who gets this has to `leave` later; who gets `isNew` has to drive it.
    case asked(DNSTicket, isNew: Bool)
}

/// Questions in flight and answers that are kept.
public struct DNSResolver: ~Copyable {
    private struct Flight {
        var number: UInt64
        var question: DNSQuestion
        var exchange: DNSExchange
        var servers: [SocketAddress]
        var askers: Int
        var isOver = false
    }

    private let configuration: DNSConfiguration
    private var cache: DNSCache
    private var flights: [Flight] = []
    private var nextNumber: UInt64 = 1
    /// The server that answered last.
    private var favourite: SocketAddress?

    public init(configuration: DNSConfiguration = DNSConfiguration()) {
        self.configuration = configuration
        cache = DNSCache(entries: configuration.cacheEntries, octets: configuration.cacheOctets)
    }

    /// Questions in flight.
    public var questionCount: Int { flights.count }
    /// Answers that are kept.
    public var cachedCount: Int { cache.count }

    /// Forgets all answers: those of another network may be others.
    public mutating func forget() { cache.removeAll() }

    /// What is known of a name without asking: the machine itself (RFC 6761 §6.3), and what is
    /// never to exist (§6.4).
    private static func known(_ question: DNSQuestion) -> DNSAnswer? {
        if question.name.lies(in: "invalid") { return .noSuchName }
        guard question.name.lies(in: "localhost") else { return nil }
        switch question.type {
        case .a: return .addresses([IPAddress(IPv4Address(127, 0, 0, 1))])
        case .aaaa: return .addresses([IPAddress(high: 0, low: 1)])
        case .srv: return .noData
        }
    }

    /// Looks a question up, and asks `servers` if that does not help.
    public mutating func look(
        up question: DNSQuestion, servers: [SocketAddress], now: Instant
    ) -> DNSLookup {
        if let answer = Self.known(question) { return .result(.answer(answer)) }
        if let answer = cache.find(question, now: now) { return .result(.answer(answer)) }
        for index in flights.indices
        where !flights[index].isOver && flights[index].question == question {
            flights[index].askers += 1
            return .asked(DNSTicket(number: flights[index].number), isNew: false)
        }
        let servers = [SocketAddress](servers.prefix(max(min(configuration.servers, 64), 1)))
        guard !servers.isEmpty else { return .result(.failure(.noServer)) }
        guard flights.count < configuration.questions else {
            return .result(.failure(.tooManyQuestions))
        }
        var first = 0
        if let favourite, let index = servers.firstIndex(of: favourite) { first = index }
        let exchange = DNSExchange(
            question, servers: servers, first: first, configuration: configuration, now: now)
        let number = nextNumber
        nextNumber &+= 1
        flights.append(
            Flight(
                number: number, question: question, exchange: exchange, servers: servers, askers: 1)
        )
        return .asked(DNSTicket(number: number), isNew: true)
    }

    /// The result of a question, once there is one.
    public func result(_ ticket: DNSTicket) -> DNSResult? {
        guard let index = index(of: ticket) else { return nil }
        return flights[index].exchange.result?.0
    }

    /// Loses interest in a question.
    ///
    /// - Returns: true if nobody is interested any longer, and it is given up.
    public mutating func leave(_ ticket: DNSTicket) -> Bool {
        guard let index = index(of: ticket) else { return true }
        flights[index].askers -= 1
        guard flights[index].askers <= 0 else { return false }
        flights.remove(at: index)
        return true
    }

    /// What has to be done for a question; `finished` also if nobody is interested any longer.
    ///
    /// - Parameter random: 64 bits that nobody can guess, new ones with each call.
    public mutating func nextAction(
        _ ticket: DNSTicket, now: Instant, random: UInt64
    ) -> DNSAction {
        guard let index = index(of: ticket) else { return .finished }
        let action = flights[index].exchange.nextAction(now: now, random: random)
        if action == .finished { finish(index, now: now) }
        return action
    }

    /// Takes a datagram for a question.
    public mutating func receive(
        _ ticket: DNSTicket, _ message: RawSpan, from sender: SocketAddress
    ) {
        guard let index = index(of: ticket) else { return }
        flights[index].exchange.receive(message, from: sender)
    }

    /// Takes octets of a TCP connection for a question, in whatever pieces they come.
    public mutating func receiveStream(_ ticket: DNSTicket, _ octets: RawSpan) {
        guard let index = index(of: ticket) else { return }
        flights[index].exchange.receiveStream(octets)
    }

    /// The server of a question's newest attempt cannot be reached, or has closed its connection.
    public mutating func noteUnreachable(_ ticket: DNSTicket) {
        guard let index = index(of: ticket) else { return }
        flights[index].exchange.noteUnreachable()
    }

    private mutating func finish(_ index: Int, now: Instant) {
        guard !flights[index].isOver, let (result, life) = flights[index].exchange.result,
            case .answer(let answer) = result
        else {
            flights[index].isOver = true
            return
        }
        flights[index].isOver = true
        favourite = flights[index].servers[flights[index].exchange.server]
        var bound = configuration.longestLife
        if answer == .noSuchName || answer == .noData { bound = configuration.longestAbsence }
        cache.insert(
            flights[index].question, answer,
            expiry: now.advanced(by: UInt64(min(life, bound)) * 1_000_000_000), now: now)
    }

    private func index(of ticket: DNSTicket) -> Int? {
        for index in flights.indices where flights[index].number == ticket.number { return index }
        return nil
    }
}
