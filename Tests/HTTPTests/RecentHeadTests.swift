// A head whose octets were seen before is taken from memory: with the result that parsing has.

import Testing

@testable import SwiftletHTTP

@Suite("The recent head") struct RecentHeadTests {
    private static let lines =
        "Host: example.org\r\nUser-Agent: one/1.0\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"

    /// Each text after the others, through one memory, beside a parser without one.
    private func expectSame(
        _ texts: [String], limits: HTTPLimits = HTTPLimits(), recent: inout RecentHead
    ) {
        for text in texts {
            let bytes = octets(text)
            var alone = RequestParser()
            var other = RequestParser()
            let expected = alone.parse(bytes.span.bytes, limits: limits)
            let got = other.parse(bytes.span.bytes, limits: limits, recent: &recent)
            #expect(got == expected, "\(text)")
            guard got == .complete, expected == .complete else { continue }
            #expect("\(other.head)" == "\(alone.head)", "\(text)")
        }
    }

    @Test func theSameHeadAgain() {
        var recent = RecentHead()
        let text = "GET /a?b HTTP/1.1\r\n" + Self.lines
        expectSame([text, text, text + "GET / HTTP/1.1\r\n", text], recent: &recent)
    }

    @Test func theSameLinesAfterAnotherRequestLine() {
        var recent = RecentHead()
        expectSame(
            ["/", "/longer/than/that", "/?query", "*", "http://example.org/x", "/"].map {
                "GET \($0) HTTP/1.1\r\n" + Self.lines
            } + ["POST / HTTP/1.1\r\n" + Self.lines, "GET / HTTP/1.0\r\n" + Self.lines],
            recent: &recent)
    }

    @Test func anyOctetChanged() {
        let text = "GET /path HTTP/1.1\r\n" + Self.lines
        for index in text.utf8.indices {
            for octet in ["\r", "\n", " ", ":", "x", "\u{0}"] {
                var recent = RecentHead()
                let before = String(text.utf8[..<index]) ?? ""
                let after = String(text.utf8[text.utf8.index(after: index)...]) ?? ""
                expectSame([text, before + octet + after], recent: &recent)
            }
        }
    }

    @Test func everyPrefix() {
        let text = "GET /path HTTP/1.1\r\n" + Self.lines
        var recent = RecentHead()
        expectSame([text], recent: &recent)
        for length in 0...text.utf8.count {
            expectSame([String(text.prefix(length))], recent: &recent)
        }
    }

    @Test func noHostInAVersionThatNeedsOne() {
        var recent = RecentHead()
        let lines = "Accept: text/plain, text/html\r\n\r\n"
        expectSame(
            ["GET / HTTP/1.0\r\n" + lines, "GET / HTTP/1.1\r\n" + lines], recent: &recent)
    }

    @Test func limitsHoldForLinesThatAreTakenOver() {
        var limits = HTTPLimits()
        limits.head = 150
        var recent = RecentHead()
        for length in stride(from: 1, to: 120, by: 1) {
            let path = "/" + String(repeating: "a", count: length)
            expectSame(
                ["GET / HTTP/1.1\r\n" + Self.lines, "GET \(path) HTTP/1.1\r\n" + Self.lines],
                limits: limits, recent: &recent)
        }
    }

    @Test func bodiesAreFramedAnew() {
        var recent = RecentHead()
        expectSame(
            [
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            ], recent: &recent)
    }

    @Test func changedLimitsForgetIt() async {
        let service = HTTPService<MemoryTransport>(
            limits: HTTPLimits(), timeouts: HTTPTimeouts()
        ) { _, _ in }
        let text = "GET /abcdefghij HTTP/1.1\r\n" + Self.lines
        let bytes = octets(text)
        var parser = RequestParser()
        let first = parser.parse(
            bytes.span.bytes, limits: service.limits, recent: &service.recentHead)
        #expect(first == .complete)
        service.limits.head = 20
        let second = parser.parse(
            bytes.span.bytes, limits: service.limits, recent: &service.recentHead)
        #expect(second != .complete)
    }
}
