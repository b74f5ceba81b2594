// RFC 8415 and 3646: name servers by stateless DHCPv6, against servers that answer, stay silent or lie.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct DHCPv6Tests {
    private static let second: UInt64 = 1_000_000_000

    private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * Self.second) }

    /// A client that has asked, and its question.
    private func begin(random: UInt64 = 0x12_3456) throws -> (DHCPv6Client, [UInt8]) {
        var client = DHCPv6Client(hardwareAddress: LonelyStack.hardware)
        #expect(client.isDue(now: at(1)))
        client.start(now: at(1))
        guard case .send(let question) = client.nextAction(now: at(1), random: random) else {
            throw DHCPv6Failure.nothingSent
        }
        return (client, question)
    }

    private enum DHCPv6Failure: Error { case nothingSent }

    private func receive(
        _ client: inout DHCPv6Client, _ message: DHCPv6ServerMessage, now: Instant
    ) {
        let octets = message.octets
        client.receive(octets.span.bytes, now: now)
    }

    /// Lets the client ask without an answer.
    ///
    /// - Returns: when questions went out, in nanoseconds, and their times since the first.
    private func ask(
        _ client: inout DHCPv6Client, until end: Instant, _ random: (Int) -> UInt64
    ) -> [(at: UInt64, elapsed: UInt16)] {
        var now = at(1)
        var sent: [(at: UInt64, elapsed: UInt16)] = []
        var count = 0
        while now < end {
            switch client.nextAction(now: now, random: random(count)) {
            case .send(let question):
                let elapsed = UInt16(question[32]) << 8 | UInt16(question[33])
                sent.append((now.nanoseconds, elapsed))
                count += 1
            case .wait(let deadline): now = deadline
            case .finished: return sent
            }
        }
        return sent
    }

    @Test func rfc8415Section18_2_6QuestionHasWhatItMust() throws {
        let (_, question) = try begin()
        #expect(
            question == [11, 0x12, 0x34, 0x56]
                // Client identifier, by hardware address (§11.4).
                + be16(1) + be16(10) + DHCPv6ServerMessage.identifier
                // Option request: name servers, refresh time, INF_MAX_RT.
                + be16(6) + be16(6) + be16(23) + be16(32) + be16(83)
                // Elapsed time.
                + be16(8) + be16(2) + be16(0))
    }

    @Test func rfc8415Section18_2_10AnswerNamesServers() throws {
        var (client, question) = try begin()
        let servers = [v6("2001:db8::1"), v6("fe80::1")]
        receive(&client, DHCPv6ServerMessage(to: question, naming: servers), now: at(2))
        #expect(client.nameServers == servers)
        #expect(!client.isAsking)
        #expect(client.nextAction(now: at(3), random: 1) == .finished)
    }

    @Test func rfc8415Section15QuestionsGoOutAgainTwiceAsLateEachTime() throws {
        for extreme: UInt64 in [0, 1, .max] {
            var client = DHCPv6Client(hardwareAddress: LonelyStack.hardware)
            client.start(now: at(1))
            let sent = ask(&client, until: at(60_000)) { UInt64($0) &* extreme }
            var previous = 0.0
            for (earlier, later) in zip(sent, sent.dropFirst()) {
                let time = Double(later.at - earlier.at) / Double(Self.second)
                let wanted = previous == 0 ? 1 : min(previous * 2, 3600)
                // A tenth of the time before more or less; of the longest itself at the end.
                let tenth = previous == 0 ? 0.1 : wanted == 3600 ? 360 : previous / 10
                #expect(abs(time - wanted) <= tenth + 1e-6, "\(time) after \(previous)")
                previous = time
            }
            #expect(sent.count > 20)
        }
    }

    @Test func rfc8415Section16_1NumberStaysAndSection21_9TimePasses() throws {
        var client = DHCPv6Client(hardwareAddress: LonelyStack.hardware)
        client.start(now: at(1))
        var now = at(1)
        var numbers: Set<[UInt8]> = []
        for random: UInt64 in 0..<20 {
            switch client.nextAction(now: now, random: random &* 0x9E37_79B9_7F4A_7C15) {
            case .send(let question):
                numbers.insert(Array(question[1..<4]))
                let elapsed = UInt64(question[32]) << 8 | UInt64(question[33])
                let since = (now.nanoseconds - Self.second) / 10_000_000
                #expect(elapsed == min(since, 0xFFFF))
            case .wait(let deadline): now = deadline
            case .finished: Issue.record("nobody has answered")
            }
        }
        #expect(numbers.count == 1)
    }

    @Test func rfc8415Section21_25LongestTimeIsTheServers() throws {
        for (seconds, wanted) in [(59, 3600.0), (60, 60), (86_400, 86_400), (86_401, 3600)] {
            var (client, question) = try begin()
            var answer = DHCPv6ServerMessage(to: question)
            answer.set(83, be32(UInt32(seconds)))
            receive(&client, answer, now: at(1))
            client.start(now: at(1))
            let times = ask(&client, until: at(1_000_000)) { _ in 0 }.map(\.at)
            let last = Double(times[times.count - 1] - times[times.count - 2]) / 1e9
            #expect(abs(last - wanted * 0.9) < 1 || abs(last - wanted) <= wanted / 10)
        }
    }

    @Test func rfc8415Section21_23AnswersGrowOld() throws {
        let cases: [(told: UInt32?, holds: UInt64)] = [
            (nil, 86_400), (0, 600), (599, 600), (4000, 4000), (.max, .max),
        ]
        for (told, holds) in cases {
            var (client, question) = try begin()
            var answer = DHCPv6ServerMessage(to: question)
            answer.set(32, told.map(be32))
            receive(&client, answer, now: at(10))
            guard holds != .max else {
                #expect(!client.isDue(now: at(1 << 33)))
                continue
            }
            #expect(!client.isDue(now: at(10 + holds - 1)))
            #expect(client.isDue(now: at(10 + holds)))
            // What was known stays in use while it is asked for anew.
            client.start(now: at(10 + holds))
            #expect(client.nameServers.count == 1)
        }
    }

    @Test func rfc8415Section16_10AnswersThatBreakARuleAreDropped() throws {
        let (asked, question) = try begin()
        let good = DHCPv6ServerMessage(to: question)
        func isTaken(_ change: (inout DHCPv6ServerMessage) -> Void) -> Bool {
            var client = asked
            var message = good
            change(&message)
            receive(&client, message, now: at(2))
            return !client.isAsking
        }
        #expect(isTaken { _ in })
        #expect(isTaken { $0.set(13, be16(0) + Array("fine".utf8)) })
        #expect(isTaken { $0.set(0x7777, [1, 2, 3]) })
        // None is known, and none will be found by asking again.
        #expect(isTaken { $0.set(23, nil) })
        #expect(!isTaken { $0.type = 2 })
        #expect(!isTaken { $0.transaction[2] ^= 1 })
        #expect(!isTaken { $0.set(1, nil) })
        #expect(!isTaken { $0.set(1, [0, 3, 0, 1, 2, 0, 0, 0, 0, 9]) })
        #expect(!isTaken { $0.set(1, DHCPv6ServerMessage.identifier + [0]) })
        #expect(!isTaken { $0.set(2, nil) })
        #expect(!isTaken { $0.set(2, [0, 2]) })
        #expect(!isTaken { $0.set(2, [UInt8](repeating: 0, count: 131)) })
        #expect(!isTaken { $0.set(13, be16(1)) })
        #expect(!isTaken { $0.set(13, [0]) })
        #expect(!isTaken { $0.set(23, [UInt8](repeating: 1, count: 17)) })
        #expect(!isTaken { $0.set(32, [0, 0, 1]) })
        // Cut off anywhere but where an option ends.
        let whole = good.octets
        var ends = Set([4])
        for option in good.options { ends.insert((ends.max() ?? 0) + 4 + option.value.count) }
        for length in 0..<whole.count {
            var client = asked
            client.receive(whole.span.bytes.extracting(0..<length), now: at(2))
            #expect(client.isAsking || length >= (ends.sorted().dropLast().last ?? 0))
        }
    }

    @Test func rfc3646Section3ServersThatCannotBeAreLeftOut() throws {
        var (client, question) = try begin()
        let fit = v6("2001:db8::7")
        let many = (0..<20).map { IPAddress(high: fit.high, low: $0 + 1) }
        receive(
            &client,
            DHCPv6ServerMessage(
                to: question,
                naming: [v6("ff02::1"), v6("::"), v6("::1"), v6("::ffff:192.0.2.1"), fit]),
            now: at(2))
        #expect(client.nameServers == [fit])
        client.start(now: at(3))
        guard case .send(let again) = client.nextAction(now: at(3), random: 7) else {
            throw DHCPv6Failure.nothingSent
        }
        #expect(again[1..<4] != question[1..<4])
        receive(&client, DHCPv6ServerMessage(to: again, naming: many), now: at(4))
        #expect(client.nameServers == Array(many.prefix(DHCPv6Reply.mostNameServers)))
    }

    @Test func nothingIsTakenBeforeAQuestionWentOut() {
        var client = DHCPv6Client(hardwareAddress: LonelyStack.hardware)
        receive(&client, DHCPv6ServerMessage(to: [11, 0, 0, 0]), now: at(1))
        client.start(now: at(1))
        receive(&client, DHCPv6ServerMessage(to: [11, 0, 0, 0]), now: at(1))
        #expect(client.isAsking && client.nameServers.isEmpty)
        client.giveUp(now: at(1))
        #expect(!client.isDue(now: at(60)) && client.isDue(now: at(61)))
    }

    @Test func rfc8415Section6_1OverAStackWhenARouterSaysSo() throws {
        for flags: UInt8 in [0, 0x40, 0x80] {
            var peer = LonelyStack(ipv6: .automatic)
            peer.receiveRouter(flags: flags)
            #expect(seen(peer.stack.hasServersOfDHCPv6) == (flags != 0))
            // Another router that has nothing to say takes nothing back.
            peer.receiveRouter(from: v6("fe80::2"))
            #expect(seen(peer.stack.hasServersOfDHCPv6) == (flags != 0))
        }
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveRouter(
            Frames.prefixOption(LonelyStack.prefix) + [25, 3, 0, 0] + be32(600)
                + be128(v6("2001:db8::a")), flags: 0x40)
        var (client, question) = try begin()
        let socket = try peer.stack.bindUDP(port: DHCPv6Client.clientPort)
        _ = peer.sent()
        try peer.stack.sendUDP(
            socket, question.span.bytes, to: DHCPv6Client.servers, now: peer.now)
        let frame = try #require(peer.sent().first)
        // From the address of the link, to all servers of it (§7.1, §16).
        #expect(frame[0..<6].elementsEqual(be48(0x3333_0001_0002)))
        #expect(address6(frame, 22) == peer.linkLocal)
        #expect(address6(frame, 38) == v6("ff02::1:2") && holds6(frame))
        #expect(frame[54..<58].elementsEqual(be16(546) + be16(547)))
        #expect(Array(frame[62...]) == question)
        peer.receive6(
            Frames.udp6(
                from: (LonelyStack.router, 547), to: (peer.linkLocal, 546),
                DHCPv6ServerMessage(to: question).octets))
        let now = peer.now
        let taken: Void? = peer.stack.receiveUDP(socket) { payload, _ in
            client.receive(payload, now: now)
        }
        try #require(taken != nil)
        // RFC 8106 §5.3.1: before those of routers.
        #expect(
            seen(peer.stack.nameServers(stateless: client.nameServers))
                == [v6("2001:db8::53"), v6("2001:db8::a")])
    }
}
