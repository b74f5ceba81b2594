// HTTP's parsers and connections as targets of a fuzzer.

import Dispatch
import SwiftletTestSupport

@testable import SwiftletHTTP

/// Heads of requests: however they are cut, they mean the same.
enum RequestParserFuzzing: FuzzTarget {
    static let name = "request"
    static let seeds = [
        "\u{0}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{9}POST /p?q HTTP/1.1\r\nHost: a:80\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n",
        "\u{3}PUT http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\u{5}OPTIONS * HTTP/1.0\r\nConnection: keep-alive, x\r\nRange: bytes=0-1\r\n\r\n",
    ].map { Array($0.utf8) }

    /// The first octet says where the head is cut.
    static func run(_ octets: RawSpan) {
        guard octets.byteCount > 0 else { return }
        let split = Int(octets.octet(0))
        let head = octets.extracting(droppingFirst: 1)
        let limits = HTTPLimits()
        var parser = RequestParser()
        let whole = parser.parse(head, limits: limits)
        var pieces = RequestParser()
        var outcome = pieces.parse(head.extracting(first: split), limits: limits)
        if outcome == .needsMore { outcome = pieces.parse(head, limits: limits) }
        precondition(outcome == whole)
        guard whole == .complete else { return }
        checkHead(of: head, length: parser.head.length)
    }
}

/// What holds of every head that was taken: it lies within `text`, in whole lines.
func checkHead(of text: RawSpan, length: Int) {
    precondition(length > 0 && length <= text.byteCount)
    for index in 0..<length {
        let octet = text.octet(index)
        precondition(octet != 0)
        precondition(octet != 10 || index > 0 && text.octet(index - 1) == 13)
        precondition(octet != 13 || text.octet(index + 1) == 10)
    }
}

/// Chunked bodies: what is content lies where it is said to lie.
enum ChunkedDecoderFuzzing: FuzzTarget {
    static let name = "chunked"
    static let seeds = [
        "\u{5}5;a=b\r\nhello\r\nA\r\n, chunked!\r\n0\r\nT: v\r\n\r\n",
        "\u{1}1\r\na\r\n0\r\n\r\n", "\u{9}FFFFFFFFFFFFFFFF\r\n",
    ].map { Array($0.utf8) }

    /// The first octet says how long the pieces are.
    static func run(_ octets: RawSpan) {
        guard octets.byteCount > 0 else { return }
        let size = 1 + Int(octets.octet(0))
        var decoder = ChunkedDecoder()
        var rest = octets.extracting(droppingFirst: 1)
        while rest.byteCount > 0 {
            let piece = rest.extracting(first: size)
            switch decoder.next(piece, limit: 9, overheadLimit: 50) {
            case .needsMore(let consumed):
                precondition(consumed > 0 && consumed <= piece.byteCount)
                rest = rest.extracting(droppingFirst: consumed)
            case .content(let skipped, let count):
                precondition(
                    skipped >= 0 && count > 0 && count <= 9 && skipped + count <= piece.byteCount)
                rest = rest.extracting(droppingFirst: skipped + count)
            case .end, .malformed: return
            }
        }
    }
}

/// Whole connections: whatever a client sends, it gets answers or nothing, and the connection ends.
enum ConnectionFuzzing: FuzzTarget {
    static let name = "connection"
    static let seeds = [
        "\u{40}\u{20}GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "\u{7}\u{9}POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
        "\u{40}\u{40}POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            + "Expect: 100-continue\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: v\r\n\r\n",
        "\u{40}\u{40}HEAD /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ].map { Array($0.utf8) }

    /// The first octet says how long the pieces are that arrive, the second how much of what has
    /// arrived is shown at once.
    static func run(_ octets: RawSpan) {
        guard octets.byteCount > 2 else { return }
        let size = 1 + Int(octets.octet(0))
        var script: [MemoryTransport.Event] = []
        var rest = octets.extracting(droppingFirst: 2)
        while rest.byteCount > 0 {
            script.append(.receive(rest.extracting(first: size).withUnsafeBytes { Array($0) }))
            rest = rest.extracting(droppingFirst: size)
        }
        let transport = MemoryTransport(script + [.end])
        transport.runLimit = 1 + Int(octets.octet(1))
        let service = HTTPService<MemoryTransport>(
            limits: HTTPLimits(), timeouts: HTTPTimeouts(), handler: answer)
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            await service.serve(transport)
            done.signal()
        }
        done.wait()
        precondition(transport.isFinished || transport.isAborted)
        precondition(transport.outbox.isEmpty || transport.text.hasPrefix("HTTP/1.1 "))
        precondition(service.connectionCount == 0)
    }

    private static let answer: HTTPService<MemoryTransport>.Handler = {
        (request, response) async throws(HTTPError) in
        switch request.path {
        case "/read": await response.send(try await request.body(upTo: 1000))
        case "/stream":
            await response.write("a")
            await response.write("b")
        default: await response.send("Hello")
        }
    }
}
