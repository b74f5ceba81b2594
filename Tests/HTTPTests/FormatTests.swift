// Dates, paths, content types, entity tags, ranges, buffers.

import SwiftletTestSupport
import Testing

@testable import SwiftletHTTP

private func string(_ buffer: borrowing OctetBuffer) -> String {
    var bytes: [UInt8] = []
    for index in 0..<buffer.count { bytes.append(buffer.octets.octet(index)) }
    return String(decoding: bytes, as: UTF8.self)
}

@Suite struct HTTPDateTests {
    private func format(_ seconds: Int64) -> String {
        var buffer = OctetBuffer()
        HTTPDate(unixSeconds: seconds).append(to: &buffer)
        return string(buffer)
    }

    private func parse(_ text: String) -> Int64? {
        let bytes = octets(text)
        return HTTPDate(bytes.span.bytes, now: HTTPDate(unixSeconds: 1_800_000_000))?.unixSeconds
    }

    @Test(
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-5, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] as [(Int64, String)])
    func fixdate(seconds: Int64, text: String) {
        #expect(format(seconds) == text)
        #expect(text.utf8.count == HTTPDate.length)
    }

    @Test func everyDayComesBack() {
        for day in 0..<(366 * 200) {
            let seconds = Int64(day) * 86_400 + Int64(day % 86_400)
            if parse(format(seconds)) != seconds { Issue.record("day \(day)") }
        }
    }

    @Test(
        arguments: [
            ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777),
            ("Sun Nov 16 08:49:37 1994", 784_975_777),
            ("Sunday, 06-Nov-30 08:49:37 GMT", 1_920_185_377),
            ("Sun, 06 Nov 1994 08:49:60 GMT", 784_111_799),
        ] as [(String, Int64)])
    func oldFormats(text: String, seconds: Int64) {
        #expect(parse(text) == seconds)
    }

    @Test(arguments: [
        "", "Sun", "Sun,", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT", "784111777",
    ])
    func refuses(text: String) {
        let parsed = parse(text)
        #expect(parsed == nil || text.contains("1900") && parsed! < 0)
    }
}

@Suite struct RequestPathTests {
    private func path(_ text: String) -> (String, Bool)? {
        let bytes = octets(text)
        guard let path = RequestPath(bytes.span.bytes) else { return nil }
        return (string(path.text), path.isDirectory)
    }

    @Test(arguments: [
        ("/", "", true), ("/a", "a", false), ("/a/", "a", true), ("/a/b.html", "a/b.html", false),
        ("//a///b", "a/b", false), ("/./a/./b", "a/b", false), ("/a/../b", "b", false),
        ("/a/b/..", "a", true), ("/a/b/.", "a/b", true), ("/a/%2e%2E/b", "b", false),
        ("/%61%20b", "a b", false), ("/a..b/...", "a..b/...", false),
        ("/.hidden", ".hidden", false),
        ("/a/b/c/../../d/", "a/d", true), ("/%e2%82%ac", "€", false), ("/a%5cb", "a\\b", false),
        ("/a/..", "", true), ("/%252e%252e/x", "%2e%2e/x", false),
    ])
    func accepts(text: String, result: String, isDirectory: Bool) {
        let got = path(text)
        #expect(got?.0 == result)
        #expect(got?.1 == isDirectory)
    }

    @Test(arguments: [
        "", "a", "*", "/..", "/../", "/a/../..", "/%2e%2e", "/.%2e/x", "/a/b/../../../c", "/%",
        "/%4",
        "/%4g", "/%00", "/a%2fb", "/a%2F..%2Fb", "/..%2f", "//..", "/a/%2e%2e/%2e%2e/etc/passwd",
    ])
    func refuses(text: String) {
        #expect(path(text) == nil)
    }

    @Test func noResultEverClimbs() {
        var random = SeededRandom(seed: 0x5EED_0004)
        let pieces = [
            "/", ".", "..", "%2e", "%2E", "a", "%2f", "%", "//", "/..", "%5c", "%00", "%25",
        ]
        for _ in 0..<100_000 {
            var text = "/"
            for _ in 0..<(random.next() % 10) { text += pieces[Int(random.next() % 13)] }
            guard let (result, _) = path(text) else { continue }
            let segments = result.split(separator: "/", omittingEmptySubsequences: false)
            if result.hasPrefix("/") || segments.contains("..") || segments.contains(".")
                || segments.count > 1 && segments.contains("")
            {
                Issue.record("\(text) gave \(result)")
            }
        }
    }
}

@Suite struct SmallFormatTests {
    @Test(arguments: [
        ("index.html", "text/html; charset=utf-8"), ("a/B.HTML", "text/html; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"), ("a.b/c", "application/octet-stream"),
        ("x.PNG", "image/png"),
        ("logo.svg", "image/svg+xml"), (".html", "text/html; charset=utf-8"),
        ("x.", "application/octet-stream"),
        ("", "application/octet-stream"), ("x.averylongextension", "application/octet-stream"),
        ("app.webmanifest", "application/octet-stream"), ("a.js", "text/javascript; charset=utf-8"),
        ("a.woff2", "font/woff2"), ("a.xhtml", "application/octet-stream"),
    ])
    func contentTypes(path: String, type: String) {
        let bytes = octets(path)
        let got = ContentType.ofPath(bytes.span.bytes)
        #expect("\(got)" == type)
    }

    @Test func numbers() {
        for value in [0, 1, 9, 10, 99, 100, 12345, UInt64.max, 1 << 60] as [UInt64] {
            var buffer = OctetBuffer()
            buffer.append(decimal: value)
            #expect(string(buffer) == String(value))
            buffer.removeAll()
            buffer.append(hexadecimal: value)
            #expect(string(buffer) == String(value, radix: 16))
        }
    }

    @Test func buffersKeepWhatIsAppended() {
        var buffer = OctetBuffer()
        var expected: [UInt8] = []
        for count in 0..<200 {
            let piece = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ count) }
            buffer.append(piece.span.bytes)
            expected += piece
        }
        let same = buffer.octets.equals(expected.span.bytes)
        #expect(same)
        expected[777] ^= 1
        let different = buffer.octets.equals(expected.span.bytes)
        #expect(!different)
    }

    @Test(arguments: [
        ("*", true, true), ("\"abc\"", true, true), ("W/\"abc\"", false, true),
        ("\"x\", \"abc\"", true, true),
        ("\"x\",W/\"abc\"", false, true), ("\"a,b\" , \"abc\"", true, true),
        ("\"abd\"", false, false),
        ("abc", false, false), ("\"abc", false, false), ("", false, false),
        ("w/\"abc\"", false, false),
        ("\"x\" \"abc\"", true, true), ("*,\"abc\"", false, false),
    ])
    func entityTags(list: String, strong: Bool, weak: Bool) {
        let bytes = octets(list)
        let tag = octets("\"abc\"")
        let strongly = EntityTag.matches(bytes.span.bytes, tag: tag.span.bytes, weakly: false)
        let weakly = EntityTag.matches(bytes.span.bytes, tag: tag.span.bytes, weakly: true)
        #expect(strongly == strong)
        #expect(weakly == weak)
    }

    /// Ranges as text: "0-5 7-9" (ends exclusive), "ignored" or "unsatisfiable".
    private func ranges(_ value: String, _ size: UInt64) -> String {
        let bytes = octets(value)
        switch ByteRanges.parse(bytes.span.bytes, size: size) {
        case .ignored: return "ignored"
        case .unsatisfiable: return "unsatisfiable"
        case .ranges(let ranges):
            return (0..<ranges.count).map { "\(ranges[$0].start)-\(ranges[$0].end)" }
                .joined(separator: " ")
        }
    }

    @Test(arguments: [
        ("bytes=0-4", "0-5"), ("bytes=0-", "0-100"), ("bytes=99-", "99-100"),
        ("bytes=-1", "99-100"),
        ("bytes=-1000", "0-100"), ("bytes=50-1000", "50-100"), ("Bytes=0-0", "0-1"),
        ("bytes=0-0,-1", "0-1 99-100"), ("bytes= 0-4 , 10-14", "0-5 10-15"),
        ("bytes=0-4,200-", "0-5"),
        ("bytes=100-", "unsatisfiable"), ("bytes=-0", "unsatisfiable"),
        ("bytes=200-300,400-", "unsatisfiable"),
        ("bytes=4-0", "ignored"), ("bytes=", "ignored"), ("bytes=-", "ignored"),
        ("bytes=a-b", "ignored"),
        ("bytes=0", "ignored"), ("bytes=0-4;5-6", "ignored"), ("items=0-4", "ignored"),
        ("bytes 0-4", "ignored"),
        ("bytes=0-4,x", "ignored"), ("bytes=0-99,0-99", "ignored"), ("bytes=--4", "ignored"),
        ("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", "ignored"),
        ("bytes=0-99999999999999999999999", "0-100"),
        ("bytes=99999999999999999999999-", "unsatisfiable"),
        ("bytes=-99999999999999999999999", "0-100"), ("bytes=0-18446744073709551615", "0-100"),
    ])
    func byteRanges(value: String, expected: String) {
        #expect(ranges(value, 100) == expected)
    }

    @Test func rangesOfNothing() {
        #expect(ranges("bytes=0-", 0) == "unsatisfiable")
        #expect(ranges("bytes=-5", 0) == "unsatisfiable")
    }
}
