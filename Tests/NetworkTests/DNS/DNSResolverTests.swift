// The resolver against servers that lose, delay, lie and truncate; time is the test's.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

private let one: [UInt8] = [198, 51, 100, 1]
private let oneAnswer = DNSResult.answer(.addresses([v4(198, 51, 100, 1)]))

@Suite("The resolver (RFC 1034 §5.3.1, RFC 1035 §7, RFC 5452)")
struct DNSResolverTests {
    @Test("A question is asked, answered, and kept for as long as the answer holds")
    func answer() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        #expect(seen(model.resolver.result(ticket) == nil))
        model.answer(ticket, "a.example", one, life: 30)
        #expect(model.next(ticket) == .finished)
        #expect(seen(model.resolver.result(ticket) == oneAnswer))
        #expect(seen(model.resolver.leave(ticket)))
        #expect(seen(model.resolver.questionCount == 0))
        #expect(model.look("A.EXAMPLE.") == .result(oneAnswer))
        model.pass(seconds: 29)
        #expect(model.look("a.example") == .result(oneAnswer))
        model.pass(seconds: 1)
        _ = model.ask("a.example")
        // Another type is another question.
        _ = model.ask("a.example", .aaaa)
    }

    @Test("What is asked for twice is asked once; the last who leaves ends it")
    func coalescing() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        _ = model.query(ticket)
        #expect(model.look("a.example") == .asked(ticket, isNew: false))
        #expect(seen(model.resolver.questionCount == 1))
        #expect(seen(!model.resolver.leave(ticket)))
        #expect(seen(model.resolver.leave(ticket)))
        #expect(model.next(ticket) == .finished)
        #expect(seen(model.resolver.questionCount == 0))
        #expect(seen(model.resolver.cachedCount == 0))
    }

    @Test("RFC 5452 §9.2: number, letters and port are new with each attempt")
    func unpredictability() {
        var model = ResolverModel()
        var numbers: Set<[UInt8]> = []
        var names: Set<[UInt8]> = []
        for _ in 0..<20 {
            let ticket = model.ask("www.unpredictable.example")
            let (query, _) = model.query(ticket)
            numbers.insert(Array(query[..<2]))
            names.insert(DNSText.asked(query).octets)
            _ = model.resolver.leave(ticket)
        }
        #expect(numbers.count == 20)
        #expect(names.count == 20)
    }

    @Test("RFC 5452 §9.1: what comes from elsewhere, or answers something else, does nothing")
    func liars() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        let (query, server) = model.query(ticket)
        var text = DNSText(to: query, answers: 1)
        text.address("a.example", [6, 6, 6, 6])
        model.receive(ticket, text, from: ResolverModel.second)
        model.receive(ticket, text, from: SocketAddress(server.address, port: 54))
        var other = text
        other.octets[0] ^= 0x80
        for _ in 0..<7 { model.receive(ticket, other, from: server) }
        guard case .wait = model.next(ticket) else {
            Issue.record("the resolver took a lie")
            return
        }
        // The eighth guess: from now on nobody can guess.
        model.receive(ticket, other, from: server)
        guard case .stream(_, server, _) = model.next(ticket) else {
            Issue.record("no TCP")
            return
        }
        model.receive(ticket, text, from: server)
        #expect(seen(model.resolver.result(ticket) == nil))
    }

    @Test("A server that does not keep the letters' case is asked without; once")
    func lowerCase() {
        var model = ResolverModel()
        let ticket = model.ask("abcdefgh.example")
        let (query, server) = model.query(ticket)
        var lowered = query
        for index in 12..<lowered.count - 15 where lowered[index] &- 65 < 26 {
            lowered[index] |= 32
        }
        #expect(lowered != query)
        model.receive(ticket, DNSText(to: lowered), from: server)
        let (plain, again) = model.query(ticket)
        #expect(again == server)
        #expect(plain[12..<29] == lowered[12..<29])
        #expect(plain[..<2] != query[..<2])
        var text = DNSText(to: plain, answers: 1)
        text.address("abcdefgh.example", one)
        model.receive(ticket, text, from: server)
        #expect(model.next(ticket) == .finished)
        #expect(seen(model.resolver.result(ticket) == oneAnswer))
    }

    @Test("Silence: each server in turn, a second, then two, then four; then it has timed out")
    func silence() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        var asked: [SocketAddress] = []
        var waits: [UInt64] = []
        while case .send(_, let server) = model.next(ticket) {
            asked.append(server)
            guard case .wait(let deadline) = model.next(ticket) else { break }
            waits.append((deadline.nanoseconds - model.now.nanoseconds) / 1_000_000_000)
            model.now = deadline
        }
        let pair = [ResolverModel.first, ResolverModel.second]
        #expect(asked == pair + pair + pair)
        #expect(waits == [1, 1, 2, 2, 4, 4])
        #expect(seen(model.resolver.result(ticket) == .failure(.timedOut)))
        #expect(model.next(ticket) == .finished)
        // It is no answer, and not kept.
        _ = model.resolver.leave(ticket)
        _ = model.ask("a.example")
    }

    @Test("A late answer to an earlier attempt is not taken")
    func late() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        let (early, server) = model.query(ticket)
        guard case .send = model.afterWait(ticket) else {
            Issue.record("no second attempt")
            return
        }
        var text = DNSText(to: early, answers: 1)
        text.address("a.example", one)
        model.receive(ticket, text, from: server)
        #expect(seen(model.resolver.result(ticket) == nil))
    }

    @Test("A server that cannot tell is left alone; when none can, that is the answer")
    func failures() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        var (query, server) = model.query(ticket)
        model.receive(ticket, DNSText(to: query, code: 2), from: server)
        (query, server) = model.query(ticket)
        #expect(server == ResolverModel.second)
        // The other one is silent for a while, and is asked again alone.
        guard case .send(let again, ResolverModel.second) = model.afterWait(ticket) else {
            Issue.record("the wrong server")
            return
        }
        model.receive(ticket, DNSText(to: again, code: 5), from: ResolverModel.second)
        #expect(model.next(ticket) == .finished)
        #expect(seen(model.resolver.result(ticket) == .failure(.serverFailure)))
    }

    @Test("RFC 1122 §4.1.3.3: word that a server is not there saves the wait")
    func unreachable() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        _ = model.query(ticket)
        model.resolver.noteUnreachable(ticket)
        let (query, server) = model.query(ticket)
        #expect(server == ResolverModel.second)
        var text = DNSText(to: query, answers: 1)
        text.address("a.example", one)
        model.receive(ticket, text, from: server)
        _ = model.next(ticket)
        // Who answered is asked first from now on.
        let next = model.ask("b.example")
        #expect(model.query(next).1 == ResolverModel.second)
    }

    @Test("RFC 6891 §6.2.2: a server that does not know the extension is asked without")
    func withoutExtension() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        let (query, server) = model.query(ticket)
        #expect(query[11] == 1)
        model.receive(ticket, DNSText(to: query, code: 1), from: server)
        let (plain, again) = model.query(ticket)
        #expect(again == server)
        #expect(plain[11] == 0)
        // Now it is the question that it does not understand.
        model.receive(ticket, DNSText(to: plain, code: 1), from: server)
        #expect(model.query(ticket).1 == ResolverModel.second)
    }

    @Test("RFC 7766 §5, §8: a truncated answer comes again over TCP, in whatever pieces")
    func truncation() {
        for size in [1, 2, 3, 7, 1000] {
            var model = ResolverModel()
            let ticket = model.ask("a.example")
            let (query, server) = model.query(ticket)
            model.receive(ticket, DNSText(to: query, flags: 0x0200), from: server)
            guard case .stream(let framed, server, let deadline) = model.next(ticket) else {
                Issue.record("no TCP")
                return
            }
            #expect(seen(deadline.nanoseconds == model.now.nanoseconds + 5_000_000_000))
            #expect(Int(framed[0]) << 8 | Int(framed[1]) == framed.count - 2)
            #expect(model.next(ticket) == .wait(until: deadline))
            var text = DNSText(to: Array(framed[2...]), answers: 1)
            text.address("a.example", one)
            let whole = [0, UInt8(text.octets.count)] + text.octets + [1, 2, 3]
            var start = 0
            while start < whole.count {
                let end = min(start + size, whole.count)
                model.resolver.receiveStream(ticket, Array(whole[start..<end]).span.bytes)
                start = end
            }
            #expect(model.next(ticket) == .finished)
            #expect(seen(model.resolver.result(ticket) == oneAnswer))
        }
    }

    @Test("A TCP connection that fails, lies or stalls is the server's failure")
    func brokenStreams() {
        for kind in 0..<4 {
            var model = ResolverModel()
            let ticket = model.ask("a.example")
            let (query, server) = model.query(ticket)
            model.receive(ticket, DNSText(to: query, flags: 0x0200), from: server)
            guard case .stream(let framed, _, let deadline) = model.next(ticket) else {
                Issue.record("no TCP")
                return
            }
            switch kind {
            case 0: model.resolver.noteUnreachable(ticket)
            case 1: model.now = deadline
            case 2: model.resolver.receiveStream(ticket, ([0, 3, 1, 2, 3] as [UInt8]).span.bytes)
            default:
                var text = DNSText(to: Array(framed[2...]), flags: 0x0200)
                text.octets = [0, UInt8(text.octets.count)] + text.octets
                model.resolver.receiveStream(ticket, text.octets.span.bytes)
            }
            #expect(model.query(ticket).1 == ResolverModel.second, "\(kind)")
        }
    }

    @Test("An alias that the server leaves open is asked for; the whole holds as long as its parts")
    func openAliases() {
        var model = ResolverModel()
        let ticket = model.ask("a.example")
        let (query, server) = model.query(ticket)
        var text = DNSText(to: query, answers: 1)
        text.alias("a.example", "b.example", life: 10)
        model.receive(ticket, text, from: server)
        let (second, _) = model.query(ticket)
        #expect(DNSText.asked(second) == name("b.example"))
        text = DNSText(to: second, answers: 1)
        text.address("b.example", one, life: 100)
        model.receive(ticket, text, from: server)
        #expect(model.next(ticket) == .finished)
        #expect(seen(model.resolver.result(ticket) == oneAnswer))
        model.pass(seconds: 9)
        #expect(model.look("a.example") == .result(oneAnswer))
        model.pass(seconds: 1)
        _ = model.ask("a.example")
    }

    @Test("RFC 1035 §7.1: aliases without end come to one")
    func endlessAliases() {
        var model = ResolverModel()
        let ticket = model.ask("n0.example")
        var count = 0
        while case .send(let query, let server) = model.next(ticket) {
            var text = DNSText(to: query, answers: 1)
            text.alias("n\(count).example", "n\(count + 1).example")
            count += 1
            model.receive(ticket, text, from: server)
        }
        #expect(count == 9)
        #expect(seen(model.resolver.result(ticket) == .failure(.tooManyAliases)))
    }

    @Test("RFC 2308 §5: that there is nothing is kept too, within bounds")
    func absence() {
        var model = ResolverModel { $0.longestAbsence = 100 }
        let ticket = model.ask("gone.example")
        let (query, server) = model.query(ticket)
        var text = DNSText(to: query, code: 3, authorities: 1)
        text.start(of: "example", life: 100_000, minimum: 100_000)
        model.receive(ticket, text, from: server)
        #expect(model.next(ticket) == .finished)
        #expect(model.look("gone.example") == .result(.answer(.noSuchName)))
        model.pass(seconds: 99)
        #expect(model.look("gone.example") == .result(.answer(.noSuchName)))
        model.pass(seconds: 1)
        _ = model.ask("gone.example")
    }

    @Test("RFC 6761 §6: localhost and invalid are known")
    func specialNames() {
        var model = ResolverModel()
        model.servers = []
        #expect(model.look("localhost") == .result(.answer(.addresses([v4(127, 0, 0, 1)]))))
        #expect(
            model.look("a.LocalHost.", .aaaa)
                == .result(.answer(.addresses([IPAddress(high: 0, low: 1)]))))
        #expect(model.look("a.invalid") == .result(.answer(.noSuchName)))
        #expect(model.look("a.example") == .result(.failure(.noServer)))
    }

    @Test("Questions, answers and their octets are bounded")
    func bounds() {
        var model = ResolverModel {
            $0.questions = 4
            $0.cacheEntries = 10
        }
        for index in 0..<4 { _ = model.ask("q\(index).example") }
        #expect(model.look("q4.example") == .result(.failure(.tooManyQuestions)))

        model = ResolverModel { $0.cacheEntries = 10 }
        for index in 0..<50 {
            let ticket = model.ask("n\(index).example")
            model.answer(ticket, "n\(index).example", one, life: 1000)
            _ = model.next(ticket)
            _ = model.resolver.leave(ticket)
            // The first stays, since it is of use.
            #expect(model.look("n0.example") == .result(oneAnswer), "\(index)")
        }
        #expect(seen(model.resolver.cachedCount == 10))
        model.resolver.forget()
        #expect(seen(model.resolver.cachedCount == 0))

        var cache = DNSCache(entries: 1000, octets: 2000)
        let later = model.now.advanced(by: 1_000_000_000)
        for index in 0..<100 {
            cache.insert(
                DNSQuestion(name("n\(index).example"), .a), .addresses([v4(1, 2, 3, 4)]),
                expiry: later, now: model.now)
            #expect(seen(cache.octets <= 2000 && cache.octets > 0))
        }
        let many = DNSAnswer.addresses(.init(repeating: v4(1, 2, 3, 4), count: 1000))
        cache.insert(DNSQuestion(name("m.example"), .a), many, expiry: later, now: model.now)
        #expect(seen(cache.count > 0 && cache.octets <= 2000))
    }

    @Test("All together takes no longer than twenty seconds")
    func limit() {
        var model = ResolverModel()
        model.servers = (0..<4).map { SocketAddress(v4(192, 0, 2, $0), port: 53) }
        let begin = model.now
        let ticket = model.ask("a.example")
        while true {
            let action = model.next(ticket)
            if action == .finished { break }
            if case .wait(let deadline) = action { model.now = deadline }
        }
        #expect(seen(model.now.nanoseconds - begin.nanoseconds == 20_000_000_000))
    }
}
