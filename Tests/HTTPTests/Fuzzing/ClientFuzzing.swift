// Responses, and servers as a whole, as targets of a fuzzer.

import Dispatch
import SwiftletTestSupport

@testable import SwiftletHTTP

/// Heads of responses: however they are cut, they mean the same.
enum ResponseParserFuzzing: FuzzTarget {
    static let name = "response"
    static let seeds = [
        "\u{0}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "\u{9}HTTP/1.0 404 \r\nConnection: keep-alive, x\r\nA:\tb c \r\n\r\n",
        "\u{3}HTTP/1.1 206\r\nTransfer-Encoding: chunked\r\nconnection: close\r\n\r\n",
        "\u{5}HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ].map { Array($0.utf8) }

    /// The first octet says where the head is cut.
    static func run(_ octets: RawSpan) {
        guard octets.byteCount > 0 else { return }
        let split = Int(octets.octet(0))
        let text = octets.extracting(droppingFirst: 1)
        let limits = HTTPClientLimits()
        var parser = ResponseParser()
        let whole = parser.parse(text, limits: limits)
        var pieces = ResponseParser()
        var outcome = pieces.parse(text.extracting(first: split), limits: limits)
        if outcome == .needsMore { outcome = pieces.parse(text, limits: limits) }
        precondition(outcome == whole)
        guard whole == .complete else { return }
        precondition(parser.head.contentLength == nil || !parser.head.isChunked)
        checkHead(of: text, length: parser.head.length)
    }
}

/// Whole clients: whatever servers send, every request comes to an end, and nothing is left over.
enum ClientFuzzing: FuzzTarget {
    static let name = "client"
    static let seeds = [
        "\u{40}\u{20}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 X\r\n\r\n",
        "\u{7}\u{9}HTTP/1.1 100 X\r\n\r\nHTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n",
        "\u{40}\u{40}HTTP/1.0 200 X\r\n\r\nup to the end",
        "\u{40}\u{40}HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\nHTTP/1.1 413 X\r\nConnection: close\r\n\r\n",
    ].map { Array($0.utf8) }

    /// The first octet says how long the pieces are that arrive, the second how much of what has
    /// arrived is shown at once.
    static func run(_ octets: RawSpan) {
        guard octets.byteCount > 2 else { return }
        let size = 1 + Int(octets.octet(0))
        let runLimit = 1 + Int(octets.octet(1))
        var script: [MemoryTransport.Event] = []
        var rest = octets.extracting(droppingFirst: 2)
        while rest.byteCount > 0 {
            script.append(.receive(rest.extracting(first: size).withUnsafeBytes { Array($0) }))
            rest = rest.extracting(droppingFirst: size)
        }
        let connector = MemoryConnector([script + [.end], script])
        connector.prepare = { $0.runLimit = runLimit }
        var limits = HTTPClientLimits()
        limits.body = 3000
        limits.idlePerOrigin = 1
        let service = HTTPClientService(
            connector: connector, limits: limits, timeouts: HTTPClientTimeouts())
        let done = DispatchSemaphore(value: 0)
        Task.detached {
            for method in [HTTPMethod.get, .head, .post] {
                let request = HTTPOutgoingRequest<MemoryTransport>(method, "http://a.test/")
                guard let response = try? await service.send(request) else { continue }
                _ = response.header("x")
                if let body = try? await response.body(upTo: 2000) {
                    precondition(body.count <= 2000)
                    precondition(
                        response.contentLength.map { $0 == UInt64(body.count) } ?? true)
                }
            }
            done.signal()
        }
        done.wait()
        precondition(service.busyCount == 0 && service.idleCount <= 1)
        precondition(connector.transports.allSatisfy { $0.text.hasSuffix("\r\n\r\n") })
    }
}
