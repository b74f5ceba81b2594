// One question's way to its answer: which server is asked when, how its answers are judged, and when
// to give up (RFC 1035 §4.2, §7; RFC 5452; RFC 6891 §6.2.2; RFC 7766).

/// What the owner of an exchange has to do.
public enum DNSAction: Equatable, Sendable {
    /// Send this datagram, from a port that nobody can guess and that no earlier one was sent from;
    /// then wait.
    case send([UInt8], to: SocketAddress)
    /// Send this over a new TCP connection, which has until `deadline` for all; then wait.
    case stream([UInt8], to: SocketAddress, until: Instant)
    /// Wait for what comes, until `deadline` at the latest.
    case wait(until: Instant)
    /// It has ended.
    case finished
}

/// How a question ended.
public enum DNSResult: Equatable, Sendable {
    case answer(DNSAnswer)
    case failure(DNSFailure)
}

/// One question in flight. Of each attempt only the newest answer counts, so that nobody gets more
/// than one chance to guess for each (RFC 5452 §5).
struct DNSExchange {
    private enum Phase: Equatable {
        /// An attempt is to be made.
        case ready
        /// The same, over TCP.
        case readyForStream
        case datagram
        case stream
        case finished(DNSResult, life: UInt32)
    }

    private let configuration: DNSConfiguration
    private let type: DNSQuestionType
    /// What is asked for now: the question's name, or what it stands for.
    private var name: DomainName
    private var aliases = 0
    private var life = UInt32.max

    private let servers: [SocketAddress]
    /// Servers that have said that they cannot tell, a bit for each.
    private var failed: UInt64 = 0
    private(set) var server: Int
    private var round = 0
    /// Servers passed in this round.
    private var passed = 0

    private var phase = Phase.ready
    private var deadline: Instant
    private let limit: Instant
    private var id: UInt16 = 0
    private var sent: DomainName
    private var mixesCase = true
    private var isExtended = true
    private var strays = 0
    /// What came over TCP so far, its length in front.
    private var stream: [UInt8] = []

    /// - Parameters:
    ///   - servers: not empty, at most 64.
    ///   - first: the index of the one to begin with.
    init(
        _ question: DNSQuestion, servers: [SocketAddress], first: Int,
        configuration: DNSConfiguration, now: Instant
    ) {
        self.configuration = configuration
        self.servers = servers
        type = question.type
        name = question.name
        sent = question.name
        server = first
        deadline = now
        limit = now.advanced(by: configuration.limit)
    }

    /// The result, and for how many seconds it holds.
    var result: (DNSResult, life: UInt32)? {
        guard case .finished(let result, let life) = phase else { return nil }
        return (result, life)
    }

    /// What to do next.
    ///
    /// - Parameter random: 64 bits that nobody can guess, new ones with each call.
    mutating func nextAction(now: Instant, random: UInt64) -> DNSAction {
        if now >= limit { fail(.timedOut) }
        switch phase {
        case .datagram where now >= deadline: passOn()
        // TCP's failure says nothing of the server's knowledge, but there is no other way to it.
        case .stream where now >= deadline: refuse()
        default: break
        }
        switch phase {
        case .finished: return .finished
        case .datagram, .stream: return .wait(until: deadline)
        case .ready:
            phase = .datagram
            let patience = configuration.firstTimeout << UInt64(min(round, 16))
            deadline = min(now.advanced(by: patience), limit)
            return .send(write(random), to: servers[server])
        case .readyForStream:
            phase = .stream
            deadline = min(now.advanced(by: configuration.streamTimeout), limit)
            stream = []
            let query = write(random)
            var framed: [UInt8] = []
            DNSMessage.append(UInt16(truncatingIfNeeded: query.count), to: &framed)
            return .stream(framed + query, to: servers[server], until: deadline)
        }
    }

    private mutating func write(_ random: UInt64) -> [UInt8] {
        id = UInt16(truncatingIfNeeded: random >> 48)
        sent = mixesCase ? name.mixed(by: UInt32(truncatingIfNeeded: random)) : name
        strays = 0
        return DNSMessage.query(id: id, sent, type, extended: isExtended)
    }

    // MARK: What comes

    /// Takes a datagram that came to the port of the newest attempt.
    mutating func receive(_ message: RawSpan, from sender: SocketAddress) {
        guard phase == .datagram, sender == servers[server] else { return }
        judge(message, isStream: false)
    }

    /// Takes octets of the newest connection.
    mutating func receiveStream(_ octets: RawSpan) {
        guard phase == .stream else { return }
        for index in 0..<octets.byteCount {
            stream.append(octets.octet(at: index))
            let length = stream.count < 2 ? .max : 2 + (Int(stream[0]) << 8 | Int(stream[1]))
            guard stream.count == length else { continue }
            let message = stream
            stream = []
            // A connection cannot be guessed at: what comes is the server's, or it is at fault.
            judge(message.span.bytes.extracting(2..<length), isStream: true)
            if phase != .stream { return }
        }
    }

    /// The network has said that the server cannot be reached so, or its connection has ended.
    mutating func noteUnreachable() {
        switch phase {
        case .datagram, .stream: refuse()
        default: break
        }
    }

    private mutating func judge(_ message: RawSpan, isStream: Bool) {
        let reply = DNSReply.judge(
            message, id: id, sent, type, extended: isExtended, isStream: isStream)
        switch reply {
        case .stray where isStream, .failed:
            refuse()
        case .stray:
            // Somebody guesses, perhaps: a connection cannot be guessed.
            strays += 1
            if strays >= configuration.strayAnswers { phase = .readyForStream }
        case .caseNotKept:
            // Once more, without; the next attempt has another number and port.
            if mixesCase {
                mixesCase = false
                phase = .ready
            } else {
                refuse()
            }
        case .truncated:
            phase = .readyForStream
        case .notExtended:
            isExtended = false
            phase = .ready
        case .alias(let target, let life):
            aliases += 1
            guard aliases <= configuration.aliases else { return fail(.tooManyAliases) }
            name = target
            self.life = min(self.life, life)
            failed = 0
            round = 0
            passed = 0
            phase = .ready
        case .answer(let answer, let life):
            phase = .finished(.answer(answer), life: min(self.life, life))
        }
    }

    // MARK: The next server

    /// This server is of no use for this question.
    private mutating func refuse() {
        failed |= 1 << UInt64(server)
        passOn()
    }

    private mutating func passOn() {
        phase = .ready
        isExtended = true
        mixesCase = true
        for _ in servers.indices {
            server = (server + 1) % servers.count
            passed += 1
            if passed == servers.count {
                passed = 0
                round += 1
            }
            if round >= configuration.rounds { return fail(.timedOut) }
            if failed >> UInt64(server) & 1 == 0 { return }
        }
        fail(.serverFailure)
    }

    private mutating func fail(_ failure: DNSFailure) {
        if case .finished = phase { return }
        phase = .finished(.failure(failure), life: 0)
    }
}
