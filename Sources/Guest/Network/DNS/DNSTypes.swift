// The words that the resolver and its users share: questions, answers, failures, bounds.

/// What can be asked for (RFC 1035 §3.2.2).
public enum DNSQuestionType: UInt16, Sendable {
    /// IPv4 addresses.
    case a = 1
    /// IPv6 addresses (RFC 3596).
    case aaaa = 28
    /// Where a service is offered (RFC 2782).
    case srv = 33
}

/// A name and what is asked of it, in class IN.
public struct DNSQuestion: Equatable, Sendable {
    public var name: DomainName
    public var type: DNSQuestionType

    public init(_ name: DomainName, _ type: DNSQuestionType) {
        self.name = name
        self.type = type
    }
}

/// One host that offers a service (RFC 2782).
public struct DNSService: Equatable, Sendable {
    /// The host's name, in octets of ASCII.
    public var host: [UInt8]
    public var port: UInt16
    /// The lowest is to be tried first.
    public var priority: UInt16
    /// Among those of one priority, how often to choose this one.
    public var weight: UInt16

    public init(host: [UInt8], port: UInt16, priority: UInt16, weight: UInt16) {
        self.host = host
        self.port = port
        self.priority = priority
        self.weight = weight
    }
}

/// What a server knows. That there is nothing is an answer too (RFC 2308).
public enum DNSAnswer: Equatable, Sendable {
    case addresses([IPAddress])
    case services([DNSService])
    /// There is no such name.
    case noSuchName
    /// The name has nothing of this type.
    case noData
}

/// Why there is no answer.
public enum DNSFailure: Equatable, Sendable {
    /// No server is known.
    case noServer
    /// No server has answered in time.
    case timedOut
    /// Servers have answered, and none of them can tell.
    case serverFailure
    /// The name stands for another, and so on, too often (RFC 1035 §3.6.2).
    case tooManyAliases
    /// The bound on questions in flight is reached.
    case tooManyQuestions
}

/// Bounds and patience of a resolver. Times are nanoseconds.
public struct DNSConfiguration: Sendable {
    /// Answers that are kept.
    public var cacheEntries = 128
    /// Octets of answers that are kept.
    public var cacheOctets = 32 << 10
    /// The longest that an answer is kept, in seconds (RFC 8767 §4 names a day to a week).
    public var longestLife: UInt32 = 86_400
    /// The same of the knowledge that there is none (RFC 2308 §5: one to three hours).
    public var longestAbsence: UInt32 = 3_600
    /// Questions in flight.
    public var questions = 64
    /// Servers that are asked.
    public var servers = 4
    /// How long a server has for its answer at first; twice that in each further round.
    public var firstTimeout: UInt64 = 1_000_000_000
    /// How often each server is asked.
    public var rounds = 3
    /// How long an exchange over TCP may take.
    public var streamTimeout: UInt64 = 5_000_000_000
    /// From the question to its answer, aliases and all.
    public var limit: UInt64 = 20_000_000_000
    /// Names that a name may stand for, one after the other.
    public var aliases = 8
    /// Answers to somebody else's question before the next attempt goes over TCP (RFC 5452 §9.2).
    public var strayAnswers = 8

    public init() {}
}
