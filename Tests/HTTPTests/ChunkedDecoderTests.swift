// The chunked coding, read (RFC 9112 §7.1).

import SwiftletTestSupport
import Testing

@testable import SwiftletHTTP

/// Decodes text handed over in pieces of `size`; nil if it is malformed or unfinished.
private func decode(_ text: String, pieces size: Int, limit: Int = .max) -> (
    content: String, rest: Int
)? {
    let bytes = octets(text)
    var decoder = ChunkedDecoder()
    var content: [UInt8] = []
    var position = 0
    var shown = min(size, bytes.count)
    while true {
        let piece = Array(bytes[position..<shown])
        switch decoder.next(piece.span.bytes, limit: limit, overheadLimit: 100) {
        case .needsMore(let consumed):
            position += consumed
            if position != shown { return nil }
            if shown == bytes.count { return nil }
            shown = min(shown + size, bytes.count)
        case .content(let skipped, let count):
            if count > limit { return nil }
            content += piece[skipped..<skipped + count]
            position += skipped + count
        case .end(let consumed):
            position += consumed
            return (String(decoding: content, as: UTF8.self), bytes.count - position)
        case .malformed: return nil
        }
    }
}

@Suite struct ChunkedDecoderTests {
    @Test(arguments: [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\nA\r\n, chunked!\r\n0\r\n\r\n", "hello, chunked!"),
        ("5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello"),
        ("000000000000005\r\nhello\r\n000\r\n\r\n", "hello"),
        ("1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", "\r\n"),
        ("0\r\nTrailer: value\r\nOther:\r\n\r\n", ""),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ])
    func accepts(text: String, content: String) {
        for size in 1...(text.utf8.count + 3) {
            for limit in [1, 3, Int.max] {
                let decoded = decode(text + "GET", pieces: size, limit: limit)
                #expect(decoded?.content == content, "pieces of \(size)")
                #expect((decoded?.rest ?? 0) == 3)
            }
        }
    }

    @Test(arguments: [
        "", "\r\n", "g\r\n", ";\r\n", " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n",
        "5 ;x\r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n", "5\r\nhello!\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "5_\r\nhello\r\n0\r\n\r\n",
        "0000000000000005\r\nhello\r\n0\r\n\r\n", "fffffffffffffffff\r\nhello",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n", "5;\u{0}\r\nhello\r\n0\r\n\r\n", "0\r\n\n", "0\r\n\r\r",
        "0\r\n bad\r\n\r\n", "0\r\nbad\r\n\r\n", "0\r\nbad : x\r\n\r\n", "0\r\nbad: x\n\r\n",
        "0\r\n: x\r\n\r\n", "5\r\nhel",
    ])
    func refuses(text: String) {
        for size in 1...(text.utf8.count + 1) { #expect(decode(text, pieces: size) == nil) }
    }

    @Test func overheadIsBounded() {
        let x = String(repeating: "x", count: 60)
        #expect(decode("1;\(x)\r\na\r\n0\r\n\r\n", pieces: 7) != nil)
        #expect(decode("1;\(x)\r\na\r\n1;\(x)\r\na\r\n0\r\n\r\n", pieces: 7) == nil)
        #expect(decode("0\r\nA: \(x)\r\nB: \(x)\r\n\r\n", pieces: 7) == nil)
    }

    @Test func mutationsNeverTrap() {
        var random = SeededRandom(seed: 0x5EED_0003)
        let seed = octets("5;a=b\r\nhello\r\nA\r\n, chunked!\r\n0\r\nT: v\r\n\r\n")
        for _ in 0..<100_000 {
            var bytes = seed
            for _ in 0..<(1 + random.next() % 3) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            var decoder = ChunkedDecoder()
            var position = 0
            var size = 1 + Int(random.next() % 40)
            steps: while position < bytes.count {
                let piece = Array(bytes[position..<min(position + size, bytes.count)])
                size = 1 + Int(random.next() % 40)
                switch decoder.next(piece.span.bytes, limit: 9, overheadLimit: 50) {
                case .needsMore(let consumed): position += consumed
                case .content(let skipped, let count):
                    if skipped < 0 || count < 1 || count > 9 || skipped + count > piece.count {
                        Issue.record("\(bytes)")
                    }
                    position += skipped + count
                case .end, .malformed: break steps
                }
            }
        }
    }
}
