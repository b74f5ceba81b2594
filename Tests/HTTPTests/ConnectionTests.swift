// The life of a connection: keep-alive, pipelining, bodies, limits, timeouts, the end.

import Testing

@testable import SwiftletHTTP

private let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
private let hello =
    "HTTP/1.1 200 OK\r\n\(date)Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nHello"
private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
private let second: UInt64 = 1_000_000_000

@Suite struct ConnectionTests {
    @Test func oneRequest() async {
        let transport = await serve(MemoryTransport(get))
        #expect(transport.text == hello)
        #expect(transport.isFinished)
        #expect(!transport.isAborted)
    }

    @Test func pipelinedRequestsAreAnsweredInOrderWithoutWaiting() async {
        let transport = MemoryTransport([
            .receive(octets(get + "GET /x HTTP/1.1\r\nHost: a\r\n\r\n" + get)), .end,
        ])
        await serve(transport)
        #expect(
            transport.text == hello
                + "HTTP/1.1 404 Not Found\r\n\(date)Content-Type: text/plain; charset=utf-8\r\n"
                + "Content-Length: 12\r\n\r\nno such page" + hello)
        #expect(transport.waits == 2)
    }

    @Test func headsSplitAnywhere() async {
        let bytes = octets(get + "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        let whole = await serve(MemoryTransport([.receive(bytes), .end]))
        #expect(
            whole.text.hasSuffix(
                "Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\n"
            ))
        for split in 0...bytes.count {
            let transport = await serve(
                MemoryTransport([
                    .receive(Array(bytes[..<split])), .receive(Array(bytes[split...])), .end,
                ]))
            #expect(transport.text == whole.text, "split at \(split)")
        }
        for limit in 1...bytes.count {
            let transport = MemoryTransport([.receive(bytes), .end])
            transport.runLimit = limit
            await serve(transport)
            #expect(transport.text == whole.text, "ring ends at \(limit)")
        }
    }
}
