// Heads of responses: what is one, what frames the content, what is refused.

import Testing

@testable import SwiftletHTTP

@Suite("Responses, parsed (RFC 9112 §§4, 5, 6)")
struct ResponseParserTests {
    private func parse(
        _ text: String, _ change: (inout HTTPClientLimits) -> Void = { _ in }
    ) -> (ResponseParser.Outcome, ResponseHead) {
        var limits = HTTPClientLimits()
        change(&limits)
        var parser = ResponseParser()
        let octets = Array(text.utf8)
        return (parser.parse(octets.span.bytes, limits: limits), parser.head)
    }

    @Test("§4: status lines")
    func statusLines() {
        for (line, code) in [
            ("HTTP/1.1 200 OK", 200), ("HTTP/1.1 204 ", 204), ("HTTP/1.0 404 Not\tFound", 404),
            ("HTTP/1.9 599 ä", 599), ("HTTP/1.1 200", 200),
        ] {
            let (outcome, head) = parse(line + "\r\n\r\n")
            #expect(outcome == .complete, "\(line)")
            #expect(head.status.code == code)
        }
        for line in [
            "HTTP/1.1  200 OK", "http/1.1 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK",
            "HTTP/11 200 OK",
            "HTTP/1.1 099 OK", "HTTP/1.1 600 OK", "HTTP/1.1\t200 OK", "ICY 200 OK and more",
            "HTTP/1.1 200 O\u{0}K", "HTTP/1.1 200 O\rK", " HTTP/1.1 200 OK",
        ] {
            #expect(parse(line + "\r\n\r\n").0 == .failed(.malformed), "\(line)")
        }
        #expect(parse("HTTP/1.1 200 OK\n\n and more").0 == .failed(.malformed))
        #expect(parse("HTTP/2.0 200 OK\r\n\r\n").0 == .failed(.version))
    }

    @Test("However a head is cut, it means the same")
    func pieces() {
        let text =
            "HTTP/1.1 206 Some\r\nContent-Length: 5\r\nConnection: a, Close\r\nX:\r\n\r\nhello"
        let octets = Array(text.utf8)
        let end = octets.count - 5
        for cut in 0...octets.count {
            var parser = ResponseParser()
            let first = parser.parse(
                octets.span.bytes.extracting(first: cut), limits: HTTPClientLimits())
            #expect(first == (cut >= end ? .complete : .needsMore), "\(cut)")
            guard first == .needsMore else { continue }
            #expect(parser.parse(octets.span.bytes, limits: HTTPClientLimits()) == .complete)
            #expect(parser.head.length == end)
            #expect(parser.head.contentLength == 5)
            #expect(!parser.head.keepsAlive)
        }
    }

    @Test("§5.1, §5.2: folded lines, blanks before a colon, control characters")
    func fields() {
        for line in [
            "A: b\r\n c", "A : b", ": b", "A\r\n", "A: b\u{0}c", "A: b\rc", "A: b\nB: c", "Ä: b",
        ] {
            #expect(
                parse("HTTP/1.1 200 OK\r\n" + line + "\r\n\r\n").0 == .failed(.malformed), "\(line)"
            )
        }
    }

    @Test("§6.3: one length, or chunked, and not both")
    func framing() {
        func framing(_ lines: String...) -> ResponseParser.Outcome {
            parse("HTTP/1.1 200 OK\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n").0
        }
        #expect(framing("Content-Length: 0") == .complete)
        #expect(framing("Transfer-Encoding: Chunked") == .complete)
        for length in ["", "-1", "+1", "1 1", "1,1", "0x1", "99999999999999999999999", "one"] {
            #expect(framing("Content-Length: \(length)") == .failed(.malformed), "\(length)")
        }
        #expect(framing("Content-Length: 1", "content-length: 1") == .failed(.malformed))
        #expect(
            framing("Content-Length: 1", "Transfer-Encoding: chunked") == .failed(.malformed))
        #expect(
            framing("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
                == .failed(.malformed))
        for coding in ["gzip", "gzip, chunked", "chunked, gzip", "", "xchunked", "chunked,"] {
            #expect(framing("Transfer-Encoding: \(coding)") == .failed(.coding), "\(coding)")
        }
        #expect(
            parse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").0
                == .failed(.malformed))
    }

    @Test("§6.3: what ends the content, by method and status")
    func content() {
        func ends(_ text: String, _ method: HTTPMethod) -> String {
            let body = ResponseBody(parse(text + "\r\n").1, to: method)
            if body.endsWithConnection { return "connection" }
            return body.remaining.map { "\($0)" } ?? "chunks"
        }
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n"
        #expect(ends(length, .get) == "7")
        #expect(ends(length, .head) == "0")
        #expect(ends("HTTP/1.1 304 X\r\nContent-Length: 7\r\n", .get) == "0")
        #expect(ends("HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n", .get) == "0")
        #expect(ends("HTTP/1.1 200 X\r\n", .get) == "connection")
        #expect(ends("HTTP/1.1 200 X\r\n", .head) == "0")
        #expect(ends("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n", .get) == "chunks")
    }

    @Test("§9.3: who keeps a connection")
    func persistence() {
        func keeps(_ text: String) -> Bool { parse(text + "\r\n").1.keepsAlive }
        #expect(keeps("HTTP/1.1 200 OK\r\n"))
        #expect(!keeps("HTTP/1.1 200 OK\r\nConnection: close\r\n"))
        #expect(!keeps("HTTP/1.0 200 OK\r\n"))
        #expect(keeps("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n"))
        #expect(!keeps("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n"))
    }

    @Test("Heads are bounded in octets and lines")
    func limits() {
        let line = "X: " + String(repeating: "y", count: 95) + "\r\n"
        let head = "HTTP/1.1 200 OK\r\n" + String(repeating: line, count: 10)
        #expect(parse(head + "\r\n") { $0.head = 1019 }.0 == .complete)
        #expect(parse(head + "\r\n") { $0.head = 1018 }.0 == .failed(.headTooLarge))
        #expect(parse(head) { $0.head = 900 }.0 == .failed(.headTooLarge))
        #expect(parse(head + "\r\n") { $0.headerCount = 9 }.0 == .failed(.headTooLarge))
        #expect(
            parse("HTTP/1.1 200 " + String(repeating: "a", count: 2000)) { $0.head = 1000 }.0
                == .failed(.headTooLarge))
    }

    @Test("URLs (RFC 9110 §4.2, RFC 3986 §3.2)")
    func urls() throws {
        func url(_ text: String) throws -> String {
            let octets = Array(text.utf8)
            let url = try HTTPURL(octets.span.bytes)
            func string(_ octets: [UInt8]) -> String { String(decoding: octets, as: UTF8.self) }
            return [string(url.host), "\(url.port)", string(url.target), string(url.authority)]
                .joined(separator: " ")
        }
        #expect(try url("http://a") == "a 80 / a")
        #expect(try url("HTTP://A.Example:8080?q#f") == "a.example 8080 /?q a.example:8080")
        #expect(try url("http://a:/x/../y%20?#") == "a 80 /x/../y%20? a")
        #expect(
            try url("http://[2001:DB8::1]:81/x") == "2001:db8::1 81 /x [2001:db8::1]:81")
        #expect(try url("http://a:80/") == "a 80 / a")
        func failure(_ text: String) -> HTTPURL.Failure? {
            do {
                _ = try url(text)
                return nil
            } catch {
                return error as? HTTPURL.Failure
            }
        }
        for text in [
            "", "a", "http:/a", "http://", "http:///x", "http://u@a/", "http://u:p@a/",
            "http://a:b/", "http://a:0/", "http://a:65536/", "http://a b/", "http://a/ b",
            "http://a/\r\nX: y", "http://a/ä", "http://ä/", "http://[::1/", "http://[::1]x/",
            "http://a]/", "http://a%2Fb/", "//a/",
        ] {
            #expect(failure(text) == .malformed, "\(text)")
        }
        #expect(failure("https://a/") == .needsTLS)
        #expect(failure("ftp://a/") == .notHTTP)
    }
}
