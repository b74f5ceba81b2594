// A resolver whose servers are the test, and so is its time.

import SwiftletTestSupport

@testable import SwiftletNetwork

/// A resolver, its clock, and what it last wanted.
struct ResolverModel: ~Copyable {
    static let first = SocketAddress(v4(192, 0, 2, 53), port: 53)
    static let second = SocketAddress(v4(192, 0, 2, 54), port: 53)

    var resolver: DNSResolver
    var now = Instant(nanoseconds: 1_000_000_000)
    var random = SeededRandom(seed: 7)
    var servers = [Self.first, Self.second]

    init(_ change: (inout DNSConfiguration) -> Void = { _ in }) {
        var configuration = DNSConfiguration()
        change(&configuration)
        resolver = DNSResolver(configuration: configuration)
    }

    mutating func look(_ text: String, _ type: DNSQuestionType = .a) -> DNSLookup {
        resolver.look(up: DNSQuestion(name(text), type), servers: servers, now: now)
    }

    /// Asks what is not known yet.
    mutating func ask(_ text: String, _ type: DNSQuestionType = .a) -> DNSTicket {
        guard case .asked(let ticket, isNew: true) = look(text, type) else {
            preconditionFailure("'\(text)' is known")
        }
        return ticket
    }

    mutating func next(_ ticket: DNSTicket) -> DNSAction {
        resolver.nextAction(ticket, now: now, random: random.next())
    }

    /// The query that has to be sent now, and to whom.
    mutating func query(_ ticket: DNSTicket) -> ([UInt8], SocketAddress) {
        guard case .send(let query, let server) = next(ticket) else {
            preconditionFailure("no query is due")
        }
        return (query, server)
    }

    /// Lets time pass to the end of a wait, and asks again.
    mutating func afterWait(_ ticket: DNSTicket) -> DNSAction {
        guard case .wait(let deadline) = next(ticket) else { return next(ticket) }
        now = deadline
        return next(ticket)
    }

    mutating func receive(_ ticket: DNSTicket, _ text: DNSText, from server: SocketAddress) {
        resolver.receive(ticket, text.octets.span.bytes, from: server)
    }

    /// Answers the query that is due with an address.
    mutating func answer(_ ticket: DNSTicket, _ owner: String, _ address: [UInt8], life: UInt32) {
        let (query, server) = query(ticket)
        var text = DNSText(to: query, answers: 1)
        text.address(owner, address, life: life)
        receive(ticket, text, from: server)
    }

    mutating func pass(seconds: UInt64) { now = now.advanced(by: seconds * 1_000_000_000) }
}
