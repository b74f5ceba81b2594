// Names: what is one, what equals what, and names in messages.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite("Domain names (RFC 1035 §2.3, §3.1, §4.1.4)")
struct DomainNameTests {
    private func parse(_ text: String) -> [UInt8]? {
        DomainName(text: Array(text.utf8).span.bytes)?.octets
    }

    @Test("§2.3.1, RFC 1123 §2.1: labels, underscores, a dot at the end")
    func names() {
        #expect(parse("a.b") == [1, 97, 1, 98, 0])
        #expect(parse("a.b.") == [1, 97, 1, 98, 0])
        #expect(parse("A-1.Example") == Array("\u{3}a-1\u{7}example\u{0}".utf8))
        #expect(parse("_http._tcp.x") != nil)
        #expect(parse("3com") != nil)
        let longest = String(repeating: "a", count: 63)
        #expect(parse(longest) != nil)
        #expect(parse(longest + "a") == nil)
        // 253 octets of text are 255 on the wire.
        let most = [longest, longest, longest, String(longest.dropLast(2))].joined(separator: ".")
        #expect(parse(most)?.count == 255)
        #expect(parse(most + ".")?.count == 255)
        #expect(parse(most + "a") == nil)
    }

    @Test("What is none: empty labels, other characters, numbers at the end")
    func noNames() {
        for text in [
            "", ".", "..", ".a", "a..b", "a b", "a/b", "ä.de", "a\u{0}", "10.0.0.256", "1", "a.1",
            "a:80", "*", "a.b..",
        ] {
            #expect(parse(text) == nil, "\(text)")
        }
    }

    @Test("RFC 4343: the case of letters is no difference")
    func equality() {
        let plain = name("www.example.org")
        let mixed = plain.mixed(by: 0x5555_5555)
        #expect(plain == mixed)
        #expect(!plain.isIdentical(to: mixed))
        #expect(plain.isIdentical(to: plain.mixed(by: 0)))
        #expect(name("a") != name("b"))
        #expect(name("a.b") != name("ab"))
        #expect(name("x.localhost").lies(in: "localhost"))
        #expect(name("LOCALHOST").lies(in: "localhost"))
        #expect(!name("xlocalhost").lies(in: "localhost"))
        #expect(!name("localhost.x").lies(in: "localhost"))
    }

    @Test("§4.1.4: pointers lead back, and never around")
    func pointers() {
        func read(_ octets: [UInt8], at start: Int) -> ([UInt8], Int)? {
            var place = start
            guard let name = DomainName(octets.span.bytes, at: &place) else { return nil }
            return (name.octets, place)
        }
        let message: [UInt8] = [1, 97, 0, 1, 98, 0xC0, 0, 0xC0, 3, 9]
        #expect(read(message, at: 3)?.0 == [1, 98, 1, 97, 0])
        #expect(read(message, at: 3)?.1 == 7)
        #expect(read(message, at: 7)?.0 == [1, 98, 1, 97, 0])
        #expect(read(message, at: 7)?.1 == 9)
        // To itself, forward, two in a circle, into the run that it ends.
        #expect(read([0xC0, 0], at: 0) == nil)
        #expect(read([0xC0, 2, 0], at: 0) == nil)
        #expect(read([0xC0, 2, 0xC0, 0], at: 2) == nil)
        #expect(read([1, 97, 0xC0, 0], at: 0) == nil)
        #expect(read([1, 97, 1, 98, 0xC0, 2], at: 0) == nil)
        // Cut off, and kinds of labels that there are none of.
        for octets in [[], [1], [1, 97], [5, 97, 0], [0xC0], [0x40, 0], [0x80, 0]] as [[UInt8]] {
            #expect(read(octets, at: 0) == nil, "\(octets)")
        }
    }

    @Test("Names that grow by pointers end at 255 octets")
    func growth() {
        // Each name is a label of 63 octets and the name before it.
        var message: [UInt8] = [0]
        var lengths: [Int?] = []
        var start = 0
        for _ in 0..<6 {
            let place = message.count
            message +=
                [63] + [UInt8](repeating: 97, count: 63) + [
                    0xC0 | UInt8(start >> 8), UInt8(start & 0xFF),
                ]
            var offset = place
            lengths.append(DomainName(message.span.bytes, at: &offset)?.octets.count)
            start = place
        }
        #expect(lengths == [65, 129, 193, nil, nil, nil])
    }
}
