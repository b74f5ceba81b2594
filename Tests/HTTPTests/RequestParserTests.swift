// The request parser against tables of good and bad heads (RFC 9110, RFC 9112).

import SwiftletTestSupport
import Testing

@testable import SwiftletHTTP

func octets(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Parses text in one go.
func parse(_ text: String, limits: HTTPLimits = HTTPLimits()) -> (
    RequestParser.Outcome, RequestHead
) {
    parse(octets(text), limits: limits)
}

func parse(
    _ bytes: [UInt8], limits: HTTPLimits = HTTPLimits()
) -> (RequestParser.Outcome, RequestHead) {
    var parser = RequestParser()
    let outcome = parser.parse(bytes.span.bytes, limits: limits)
    return (outcome, parser.head)
}

func slice(_ bytes: [UInt8], _ range: OctetRange) -> String {
    String(decoding: bytes[Int(range.start)..<range.end], as: UTF8.self)
}

/// Parses as if one more octet arrived at each call; the outcome of the call that decided.
func parseByOctets(_ bytes: [UInt8]) -> (RequestParser.Outcome, RequestHead) {
    var parser = RequestParser()
    let limits = HTTPLimits()
    for count in 0...bytes.count {
        let outcome = parser.parse(bytes.span.bytes.extracting(first: count), limits: limits)
        if outcome != .needsMore { return (outcome, parser.head) }
    }
    return (.needsMore, parser.head)
}

let goodHeads: [String] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHOST: \t a:80 \t \r\n\r\n",
    "GET / HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.9\r\nHost: a\r\n\r\n",
    "HEAD /a/b?c=d&e HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://example.com/x?y HTTP/1.1\r\nHost: b\r\n\r\n",
    "GET http://example.com HTTP/1.1\r\nHost: b\r\n\r\n",
    "GET HTTP://example.com?q HTTP/1.1\r\nHost: b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0000000000000000000000005\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-encoding:ChunKed\r\nExpect: 100-Continue\r\n\r\n",
    "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX_odd!#$%&'*+.^`|~9: value\twith\ttabs and \u{e9}\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nEmpty:\r\nEmpty2:   \r\nA:b\r\n\r\n",
    "GET / HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n"
        + "Accept-Language: de,en-US;q=0.7,en;q=0.3\r\nHost: example.com\r\n\r\n",
    "GET /%7Euser/%e2%82%ac|{}^ HTTP/1.1\r\nHost: a\r\n\r\n",
]

let badHeads: [(String, Int)] = [
    // Request line.
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    ("GET /\r\n", 400),
    ("GET / \r\nHost: a\r\n\r\n", 400),
    ("G\u{0}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\u{0} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /#frag HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http://u@h/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", 400),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    // Host (RFC 9112 §3.2).
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: \u{e9}\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    // Lines.
    ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\u{0}: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{0}c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{b}c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{7f}c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n", 400),
    // Framing (RFC 9112 §6, §11.2).
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_000\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ,5\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u{ff15}\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", 413),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n", 413),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: x\r\n\r\n",
        400
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;x=y\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\n\r\n", 417),
]

@Suite struct RequestParserTests {
    @Test func partsOfARequest() throws {
        let bytes = octets(
            "POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nX-One:  1 \r\nContent-Length: 12\r\nx-two: 2\r\n\r\nbody"
        )
        let (outcome, head) = parse(bytes)
        #expect(outcome == .complete)
        #expect(head.method == .post)
        #expect(slice(bytes, head.methodName) == "POST")
        #expect(slice(bytes, head.target) == "/a/b?c=d")
        #expect(slice(bytes, head.path) == "/a/b")
        #expect(slice(bytes, head.query) == "c=d")
        #expect(head.contentLength == 12)
        #expect(head.length == bytes.count - 4)
        #expect(head.keepsAlive && head.hasBody && !head.isChunked)
        let span = bytes.span.bytes
        let one = head.field(("X-ONE" as StaticString).octets, in: span) ?? .empty
        #expect(slice(bytes, one) == "1")
        let two = head.field(("X-Two" as StaticString).octets, in: span) ?? .empty
        #expect(slice(bytes, two) == "2")
        let three = head.field(("X-Three" as StaticString).octets, in: span)
        #expect(three == nil)
        var names: [String] = []
        head.forEachField(in: span) { name, _ in
            names.append(slice(bytes, name))
            return true
        }
        #expect(names == ["Host", "X-One", "Content-Length", "x-two"])
    }

    @Test(arguments: [
        ("GET http://h/p?q HTTP/1.1", "/p", "q"), ("GET http://h HTTP/1.1", "/", ""),
        ("GET http://h:8?q?r HTTP/1.1", "/", "q?r"), ("GET / HTTP/1.1", "/", ""),
        ("GET /? HTTP/1.1", "/", ""), ("OPTIONS * HTTP/1.1", "*", ""),
        ("GET //x/../y HTTP/1.1", "//x/../y", ""),
    ])
    func targets(line: String, path: String, query: String) {
        let bytes = octets(line + "\r\nHost: a\r\n\r\n")
        let (outcome, head) = parse(bytes)
        #expect(outcome == .complete)
        #expect(slice(bytes, head.path) == path)
        #expect(slice(bytes, head.query) == query)
    }

    @Test(arguments: [
        ("GET", HTTPMethod.get), ("HEAD", .head), ("POST", .post), ("PUT", .put),
        ("DELETE", .delete), ("OPTIONS", .options), ("PATCH", .patch), ("TRACE", .trace),
        ("get", .other), ("GETT", .other), ("PROPFIND", .other),
    ])
    func methods(name: String, method: HTTPMethod) {
        let (outcome, head) = parse("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(outcome == .complete)
        #expect(head.method == method)
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "close", false), ("HTTP/1.1", "Close", false),
        ("HTTP/1.1", "x, close ,y", false), ("HTTP/1.1", "keep-alive, close", false),
        ("HTTP/1.1", "closed", true), ("HTTP/1.0", "", false), ("HTTP/1.0", "Keep-Alive", true),
        ("HTTP/1.0", "keep-alive, close", false), ("HTTP/1.0", "te", false),
    ])
    func persistence(version: String, connection: String, keeps: Bool) {
        let (outcome, head) = parse(
            "GET / \(version)\r\nHost: a\r\nConnection: \(connection)\r\n\r\n")
        #expect(outcome == .complete)
        #expect(head.keepsAlive == keeps)
    }

    @Test(arguments: goodHeads) func accepts(text: String) {
        #expect(parse(text).0 == .complete)
        #expect(parse(text).1.length == text.utf8.count)
    }

    @Test(arguments: badHeads) func refuses(text: String, status: Int) {
        #expect(parse(text).0 == .failed(HTTPStatus(UInt16(status))))
    }

    @Test(arguments: goodHeads + badHeads.map(\.0))
    func isTheSameHoweverItIsSplit(text: String) {
        let bytes = octets(text)
        let (whole, wholeHead) = parse(bytes)
        let (single, singleHead) = parseByOctets(bytes)
        #expect(whole == single)
        if whole == .complete {
            #expect(String(describing: wholeHead) == String(describing: singleHead))
        }
        for split in 0...bytes.count {
            var parser = RequestParser()
            let limits = HTTPLimits()
            var outcome = parser.parse(bytes.span.bytes.extracting(first: split), limits: limits)
            if outcome == .needsMore { outcome = parser.parse(bytes.span.bytes, limits: limits) }
            #expect(outcome == whole, "split at \(split)")
        }
    }

    @Test func everyPrefixOfAGoodHeadIsWaitedFor() {
        for text in goodHeads {
            let bytes = octets(text)
            for count in 0..<bytes.count {
                #expect(parse(Array(bytes[..<count])).0 == .needsMore, "\(text) cut at \(count)")
            }
        }
    }

    @Test func limits() {
        var limits = HTTPLimits()
        limits.requestLine = 100
        limits.head = 200
        limits.headerCount = 3
        func status(_ text: String) -> RequestParser.Outcome { parse(text, limits: limits).0 }
        let long = String(repeating: "x", count: 300)
        #expect(status("GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n") == .failed(.uriTooLong))
        #expect(status("GET /\(long)") == .failed(.uriTooLong))
        #expect(
            status("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n")
                == .failed(.headerFieldsTooLarge))
        #expect(status("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)") == .failed(.headerFieldsTooLarge))
        #expect(status("GET / HTTP/1.1\r\nHost: a\r\n\(long)") == .failed(.headerFieldsTooLarge))
        #expect(status("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\n\r\n") == .complete)
        #expect(
            status("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\n\r\n")
                == .failed(.headerFieldsTooLarge))
    }

    @Test func mutationsNeverTrapAndSplitsNeverMatter() {
        var random = SeededRandom(seed: 0x5EED_0001)
        let seeds = (goodHeads + badHeads.map(\.0)).map(octets)
        let interesting: [UInt8] = [0, 9, 10, 13, 32, 58, 44, 47, 63, 127, 128, 255, 0x30, 0x41]
        var accepted = 0
        for _ in 0..<200_000 {
            var bytes = seeds[Int(random.next() % UInt64(seeds.count))]
            for _ in 0..<(1 + random.next() % 3) where !bytes.isEmpty {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[at] = interesting[Int(random.next() % UInt64(interesting.count))]
                case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 2: bytes.remove(at: at)
                default: bytes.insert(interesting[Int(random.next() % 14)], at: at)
                }
            }
            let (whole, head) = parse(bytes)
            var parser = RequestParser()
            let limits = HTTPLimits()
            let split = Int(random.next() % UInt64(bytes.count + 1))
            var outcome = parser.parse(bytes.span.bytes.extracting(first: split), limits: limits)
            if outcome == .needsMore { outcome = parser.parse(bytes.span.bytes, limits: limits) }
            if outcome != whole { Issue.record("\(bytes) split at \(split)") }
            if whole == .complete {
                accepted += 1
                let text = bytes[..<head.length]
                // What was taken for a head has no bare CR or LF and no NUL in it.
                for (index, octet) in text.enumerated() {
                    if octet == 10, index == 0 || bytes[index - 1] != 13 {
                        Issue.record("LF \(bytes)")
                    }
                    if octet == 13, index + 1 == text.count || bytes[index + 1] != 10 {
                        Issue.record("CR \(bytes)")
                    }
                    if octet == 0 { Issue.record("NUL \(bytes)") }
                }
            }
        }
        #expect(accepted > 1000)
    }
}
