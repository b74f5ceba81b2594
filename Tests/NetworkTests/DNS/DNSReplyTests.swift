// Answers, judged one by one.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite("DNS answers (RFC 1034 §3.6.2, RFC 1035 §4, RFC 2181, RFC 2308)")
struct DNSReplyTests {
    private let asked = name("www.example.org").mixed(by: 0x1234_5678)

    private func query(_ type: DNSQuestionType = .a) -> [UInt8] {
        DNSMessage.query(id: 0xBEEF, asked, type, extended: true)
    }

    private func judge(
        _ octets: [UInt8], _ type: DNSQuestionType = .a, isStream: Bool = false,
        extended: Bool = true
    ) -> DNSReply {
        DNSReply.judge(
            octets.span.bytes, id: 0xBEEF, asked, type, extended: extended, isStream: isStream)
    }

    @Test("RFC 1035 §4.1, RFC 6891 §6.1: the question as it is sent")
    func question() {
        let octets = query()
        #expect(Array(octets[..<12]) == [0xBE, 0xEF, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])
        #expect(DNSText.asked(octets).isIdentical(to: asked))
        #expect(DNSText.question(octets).type == 1)
        // The root, OPT, 1232 octets, no flags, no options.
        #expect(Array(octets.suffix(11)) == [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0])
        let plain = DNSMessage.query(id: 1, asked, .srv, extended: false)
        #expect(plain[11] == 0)
        #expect(Array(plain.suffix(4)) == [0, 33, 0, 1])
    }

    @Test("RFC 1035 §3.4.1, RFC 3596 §2.2: addresses, and how long they hold")
    func addresses() {
        var text = DNSText(to: query(), answers: 3)
        text.address("www.example.org", [192, 0, 2, 1], life: 300)
        text.address("other.example.org", [192, 0, 2, 99])
        text.address("www.example.org", [192, 0, 2, 2], life: 200)
        // RFC 2181 §5.2: of different lives the shortest holds.
        #expect(
            judge(text.octets)
                == .answer(.addresses([v4(192, 0, 2, 1), v4(192, 0, 2, 2)]), life: 200))
        var six = DNSText(to: query(.aaaa), answers: 1)
        six.address(
            "www.example.org", [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [7])
        let address = IPAddress(high: 0x2001_0DB8_0000_0000, low: 7)
        #expect(judge(six.octets, .aaaa) == .answer(.addresses([address]), life: 60))
    }

    @Test("RFC 5452 §9.1: another number, question or kind of message is not ours")
    func strays() {
        var text = DNSText(to: query(), answers: 1)
        text.address("www.example.org", [192, 0, 2, 1])
        var other = text.octets
        other[1] ^= 1
        #expect(judge(other) == .stray)
        #expect(judge(text.octets, .aaaa) == .stray)
        other = text.octets
        other[2] &= 0x7F
        #expect(judge(other) == .stray)
        other = text.octets
        other[13] ^= 1
        #expect(judge(other) == .stray)
        // Class CH.
        other = text.octets
        other[DNSText.questionEnd(query()) - 1] = 3
        #expect(judge(other) == .stray)
        for count in 0..<12 { #expect(judge(Array(text.octets[..<count])) == .stray) }
        // The same name in other letters.
        other = text.octets
        other[13] ^= 0x20
        #expect(judge(other) == .caseNotKept)
    }

    @Test("RFC 1034 §3.6.2: aliases are followed, in whatever order they stand")
    func aliases() {
        var text = DNSText(to: query(), answers: 4)
        text.address("c.example.net", [192, 0, 2, 7], life: 500)
        text.alias("b.example.net", "c.example.net", life: 90)
        text.alias("www.example.org", "b.example.net", life: 400)
        text.address("www.example.org", [192, 0, 2, 66])
        #expect(judge(text.octets) == .answer(.addresses([v4(192, 0, 2, 7)]), life: 90))
    }

    @Test("An alias of which nothing more is said is to be asked for")
    func openAlias() {
        var text = DNSText(to: query(), answers: 1)
        text.alias("www.example.org", "b.example.net", life: 400)
        #expect(judge(text.octets) == .alias(name("b.example.net"), life: 400))
    }

    @Test("Two that name each other, and a long chain, end")
    func circles() {
        var text = DNSText(to: query(), answers: 2)
        text.alias("www.example.org", "b.example.net")
        text.alias("b.example.net", "www.example.org")
        #expect(judge(text.octets) == .alias(name("www.example.org"), life: 60))
        var chain = DNSText(to: query(), answers: 18)
        chain.alias("www.example.org", "n0.example")
        for index in 0..<17 { chain.alias("n\(index).example", "n\(index + 1).example") }
        #expect(judge(chain.octets) == .failed)
    }

    @Test("RFC 2308 §2: no such name, no such data, and for how long")
    func absence() {
        var text = DNSText(to: query(), code: 3, authorities: 1)
        text.start(of: "example.org", life: 900, minimum: 300)
        #expect(judge(text.octets) == .answer(.noSuchName, life: 300))
        text = DNSText(to: query(), authorities: 1)
        text.start(of: "example.org", life: 100, minimum: 300)
        #expect(judge(text.octets) == .answer(.noData, life: 100))
        // §5: without the record it is not to be kept.
        #expect(judge(DNSText(to: query(), code: 3).octets) == .answer(.noSuchName, life: 0))
        #expect(judge(DNSText(to: query()).octets) == .answer(.noData, life: 0))
        // RFC 6604: the code is the last name's.
        text = DNSText(to: query(), code: 3, answers: 1, authorities: 1)
        text.alias("www.example.org", "gone.example.net", life: 20)
        text.start(of: "example.net", life: 900, minimum: 300)
        #expect(judge(text.octets) == .answer(.noSuchName, life: 20))
        // An alias whose name has other data.
        text = DNSText(to: query(), answers: 1, authorities: 1)
        text.alias("www.example.org", "six.example.net", life: 20)
        text.start(of: "example.net", life: 900, minimum: 10)
        #expect(judge(text.octets) == .answer(.noData, life: 10))
    }

    @Test("RFC 2181 §8: a life with the highest bit is none")
    func negativeLife() {
        var text = DNSText(to: query(), answers: 1)
        text.address("www.example.org", [192, 0, 2, 1], life: 0x8000_0001)
        #expect(judge(text.octets) == .answer(.addresses([v4(192, 0, 2, 1)]), life: 0))
    }

    @Test("RFC 2181 §9: what is truncated goes over TCP, and is never used")
    func truncation() {
        var text = DNSText(to: query(), flags: 0x0200, answers: 1)
        text.address("www.example.org", [192, 0, 2, 1])
        #expect(judge(text.octets) == .truncated)
        #expect(judge(text.octets, isStream: true) == .failed)
    }

    @Test("RFC 6891 §7: servers that do not know the extension")
    func extensionRefused() {
        #expect(judge(DNSText(to: query(), code: 1).octets) == .notExtended)
        #expect(judge(DNSText(to: query(), code: 4).octets) == .notExtended)
        #expect(judge(DNSText(to: query(), code: 1).octets, extended: false) == .failed)
        // Some send no more than a header.
        let header: [UInt8] = [0xBE, 0xEF, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(judge(header) == .notExtended)
        #expect(judge(DNSText(to: query(), code: 2).octets) == .failed)
        #expect(judge(DNSText(to: query(), code: 5).octets) == .failed)
    }

    @Test("RFC 2782: services; a dot for a host says that there is none")
    func services() {
        var text = DNSText(to: query(.srv), answers: 3)
        text.service("www.example.org", 10, 5, 8080, "a.example.org")
        text.service("www.example.org", 20, 0, 80, "b.example.org")
        // A host's name that none can have.
        text.record("www.example.org", DNSText.srv, [0, 1, 0, 1, 0, 80, 3, 0x61, 0x20, 0x62, 0])
        #expect(
            judge(text.octets, .srv)
                == .answer(
                    .services([
                        DNSService(
                            host: Array("a.example.org".utf8), port: 8080, priority: 10, weight: 5),
                        DNSService(
                            host: Array("b.example.org".utf8), port: 80, priority: 20, weight: 0),
                    ]), life: 60))
        text = DNSText(to: query(.srv), answers: 1)
        text.service("www.example.org", 0, 0, 0, nil)
        #expect(judge(text.octets, .srv) == .answer(.services([]), life: 60))
    }

    @Test("Records that are cut off, or of the wrong length, are not used")
    func broken() {
        var text = DNSText(to: query(), answers: 1)
        text.address("www.example.org", [192, 0, 2, 1])
        let start = DNSText.questionEnd(query())
        for count in start..<text.octets.count {
            #expect(judge(Array(text.octets[..<count])) == .failed, "\(count)")
        }
        text = DNSText(to: query(), answers: 1)
        text.record("www.example.org", DNSText.a, [192, 0, 2])
        #expect(judge(text.octets) == .answer(.noData, life: 0))
        // More records than there are, and more than anybody sends.
        text = DNSText(to: query(), answers: 600)
        #expect(judge(text.octets) == .failed)
        // Of very many addresses some are enough.
        text = DNSText(to: query(), answers: 40)
        for index in 0..<40 { text.address("www.example.org", [192, 0, 2, UInt8(index)]) }
        guard case .answer(.addresses(let addresses), _) = judge(text.octets) else {
            Issue.record("no addresses")
            return
        }
        #expect(addresses.count == 16)
    }

    @Test("RFC 2782: low priorities first, weights by chance")
    func order() {
        func service(_ host: String, _ priority: UInt16, _ weight: UInt16) -> DNSService {
            DNSService(host: Array(host.utf8), port: 1, priority: priority, weight: weight)
        }
        let all = [
            service("c", 2, 0), service("b", 1, 10), service("a", 1, 30), service("z", 1, 0),
        ]
        func order(_ random: (UInt32) -> UInt32) -> String {
            DNSService.ordered(all, random: random).map { String(decoding: $0.host, as: UTF8.self) }
                .joined()
        }
        #expect(order { _ in 0 } == "zbac")
        #expect(order { $0 } == "abzc")
        #expect(order { min($0, 5) } == "bazc")
        // Over all numbers each is first as often as its weight says, plus the zero for none.
        var first: [Character: Int] = [:]
        for number in 0...40 as ClosedRange<UInt32> {
            var isFirst = true
            let hosts = order {
                defer { isFirst = false }
                return isFirst ? number : $0
            }
            first[hosts.first ?? "?", default: 0] += 1
        }
        #expect(first == ["z": 1, "b": 10, "a": 30])
    }
}
