// Name servers that answer whatever a fuzzer wants.

import SwiftletTestSupport

@testable import SwiftletNetwork

/// Answers to the question that was asked: what is taken out of one lies within bounds.
enum DNSAnswerFuzzing: FuzzTarget {
    static let name = "dns-answer"

    private static let asked: DomainName = {
        guard let name = DomainName(text: Array("a.test".utf8).span.bytes) else { fatalError() }
        return name
    }()

    private static func query(_ type: DNSQuestionType) -> [UInt8] {
        DNSMessage.query(id: 0x4242, asked, type, extended: true)
    }

    static let seeds: [[UInt8]] = {
        var answers = DNSText(to: query(.a), answers: 3)
        answers.alias("a.test", "b.test")
        answers.address("b.test", [192, 0, 2, 1])
        answers.address("a.test", [192, 0, 2, 2])
        var none = DNSText(to: query(.aaaa), code: 3, authorities: 1)
        none.start(of: "test", life: 60, minimum: 30)
        var services = DNSText(to: query(.srv), answers: 2)
        services.service("a.test", 1, 2, 80, "b.test")
        services.service("a.test", 1, 2, 80, nil)
        // Owners as pointers to the question's name.
        var short = DNSText(to: query(.a), answers: 1)
        short.record(owner: [0xC0, 12], DNSText.a, [192, 0, 2, 1])
        return [
            [0] + answers.octets, [1] + none.octets, [2] + services.octets, [0] + short.octets,
            [0] + DNSText(to: query(.a), code: 1).octets,
            [4] + DNSText(to: query(.a), flags: 0x0200).octets,
        ]
    }()

    /// The first octet says what was asked for and how; the rest is the answer.
    static func run(_ octets: RawSpan) {
        guard octets.byteCount > 0 else { return }
        let kind = octets.octet(at: 0)
        let type: DNSQuestionType = kind & 3 == 0 ? .a : kind & 3 == 1 ? .aaaa : .srv
        let reply = DNSReply.judge(
            octets.extracting(1..<octets.byteCount), id: 0x4242, asked, type,
            extended: kind & 8 == 0, isStream: kind & 4 != 0)
        switch reply {
        case .answer(.addresses(let addresses), let life):
            precondition(!addresses.isEmpty && addresses.count <= DNSMessage.mostValues)
            precondition(life >> 31 == 0 && type != .srv)
        case .answer(.services(let services), let life):
            precondition(services.count <= DNSMessage.mostValues && life >> 31 == 0)
            for service in services {
                precondition(DomainName(text: service.host.span.bytes) != nil)
            }
        case .answer(_, let life):
            precondition(life >> 31 == 0)
        case .alias(let name, let life):
            precondition(name.octets.count <= DomainName.longest && life >> 31 == 0)
        case .stray, .caseNotKept, .truncated, .notExtended, .failed:
            break
        }
    }
}

/// A resolver among servers that answer, truncate, stall and lie: every question comes to an end.
enum DNSResolverFuzzing: FuzzTarget {
    static let name = "dns-resolver"
    static let seeds: [[UInt8]] = [
        [0, 4, 1, 1, 1, 1], [1, 4, 0, 2, 3, 200, 5, 6, 2, 2, 2, 2],
        [2, 7, 3, 1, 2, 3, 8, 8, 8, 9, 9, 9], [0, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5],
        [1, 6, 10, 11, 12, 13, 14, 15, 16, 17, 18],
    ]

    /// The first octet says what is asked for; each of the rest, what happens next.
    static func run(_ octets: RawSpan) {
        guard octets.byteCount > 1,
            let name = DomainName(text: Array("a.test".utf8).span.bytes)
        else { return }
        let types: [DNSQuestionType] = [.a, .aaaa, .srv]
        let question = DNSQuestion(name, types[Int(octets.octet(at: 0)) % 3])
        let servers = (0..<3).map {
            SocketAddress(IPAddress(IPv4Address(192, 0, 2, $0)), port: 53)
        }
        var configuration = DNSConfiguration()
        configuration.cacheEntries = 4
        var resolver = DNSResolver(configuration: configuration)
        var now = Instant(nanoseconds: 1)
        var random = SeededRandom(seed: UInt64(octets.octet(at: 1)))
        var query: [UInt8] = []
        var server = servers[0]
        var steps = 0
        for index in 2..<octets.byteCount {
            guard
                case .asked(let ticket, _) = resolver.look(
                    up: question, servers: servers, now: now)
            else {
                now = now.advanced(by: 61_000_000_000)
                continue
            }
            switch resolver.nextAction(ticket, now: now, random: random.next()) {
            case .send(let message, let to): (query, server) = (message, to)
            case .stream(let message, let to, _): (query, server) = (Array(message[2...]), to)
            case .wait(let deadline):
                precondition(deadline > now)
                if octets.octet(at: index) & 1 == 0 { now = deadline }
            case .finished:
                precondition(resolver.result(ticket) != nil)
            }
            happen(octets.octet(at: index), &resolver, ticket, query, server, &random)
            // The asker from before is still there, but for every other time.
            if steps & 1 == 1 || resolver.result(ticket) != nil { while !resolver.leave(ticket) {} }
            steps += 1
            precondition(resolver.questionCount <= 1 && resolver.cachedCount <= 4)
        }
    }

    private static func happen(
        _ what: UInt8, _ resolver: inout DNSResolver, _ ticket: DNSTicket, _ query: [UInt8],
        _ server: SocketAddress, _ random: inout SeededRandom
    ) {
        guard query.count > 16 else { return }
        var text = DNSText(
            to: query, code: what >> 4 == 3 ? UInt16(what & 7) : 0,
            flags: what & 7 == 2 ? 0x0200 : 0, answers: what & 7 == 1 || what & 7 == 3 ? 1 : 0)
        if what & 7 == 1 { text.address("a.test", [192, 0, 2, 1]) }
        if what & 7 == 3 { text.alias("a.test", "b.test") }
        if what & 7 == 6 { text.octets[0] ^= 1 }
        if what & 7 == 7 {
            text.octets[Int(random.below(UInt64(text.octets.count)))] = what
        }
        switch what & 7 {
        case 4: resolver.noteUnreachable(ticket)
        case 5: break
        default: resolver.receive(ticket, text.octets.span.bytes, from: server)
        }
        let framed = be16(text.octets.count) + text.octets
        if what & 8 != 0 {
            resolver.receiveStream(ticket, Array(framed[..<(framed.count / 2)]).span.bytes)
            resolver.receiveStream(ticket, Array(framed[(framed.count / 2)...]).span.bytes)
        }
    }
}
