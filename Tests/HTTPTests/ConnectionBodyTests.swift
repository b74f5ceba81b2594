// Bodies of requests: framing, limits, what becomes of those that nobody reads.

import Testing

@testable import SwiftletHTTP

@Suite struct ConnectionBodyTests {
    @Test func bodiesInEveryFramingAndSplit() async {
        let requests = [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5;x=y\r\nhello\r\n006\r\n world\r\n0\r\nT: v\r\n\r\n",
        ]
        for request in requests {
            let bytes = octets(request + get)
            for split in 0...bytes.count {
                let transport = await serve(
                    MemoryTransport([
                        .receive(Array(bytes[..<split])), .receive(Array(bytes[split...])), .end,
                    ]), ConnectionTests.echo)
                #expect(
                    transport.text.contains("Content-Length: 11\r\n\r\nhello worldHTTP/1.1 200"))
                #expect(transport.text.hasSuffix("Content-Length: 0\r\n\r\n"), "split at \(split)")
            }
            for limit in 1..<bytes.count {
                let transport = MemoryTransport([.receive(bytes), .end])
                transport.runLimit = limit
                await serve(transport, ConnectionTests.echo)
                #expect(
                    transport.text.contains("\r\n\r\nhello worldHTTP/1.1 200"), "ring of \(limit)")
            }
        }
    }

    @Test func headersAreThereWhileTheBodyIsRead() async {
        let transport = MemoryTransport([
            .receive(
                octets("POST /p?q HTTP/1.1\r\nHost: a\r\nX-Name: v\r\nContent-Length: 4\r\n\r\nab")),
            .receive(octets("cd" + get)), .end,
        ])
        await serve(transport) { request, response in
            let body = try? await request.body(upTo: 10)
            let name = request.header("x-name")?.string ?? "?"
            await response.send(
                "\(request.path.string) \(request.query.string) \(name) \(body ?? []) \(request.method)"
            )
        }
        #expect(transport.text.contains("/p q v [97, 98, 99, 100] post"))
        #expect(transport.text.contains("/  ? [] get"))
    }

    @Test func expectContinue() async {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        // Read: told to continue, once.
        let read = await serve(
            MemoryTransport([
                .receive(octets(head)), .receive(octets("a")), .receive(octets("b")), .end,
            ]),
            ConnectionTests.echo)
        #expect(read.text.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
        #expect(read.text.hasSuffix("\r\n\r\nab"))
        // Already there: no need to tell.
        let there = await serve(
            MemoryTransport([.receive(octets(head + "ab")), .end]), ConnectionTests.echo)
        #expect(there.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        // Not read: the client may or may not send it, so the connection ends.
        let unread = await serve(MemoryTransport([.receive(octets(head)), .end]))
        #expect(unread.text.hasPrefix("HTTP/1.1 200 OK\r\n\(date)Connection: close\r\n"))
    }

    @Test func bodiesNotReadAreDrainedWithinABound() async {
        let small = await serve(
            MemoryTransport(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\r\ncd"
                    .replacing("\r\ncd", with: "cde") + get))
        #expect(small.text == hello + hello)
        let chunked = await serve(
            MemoryTransport(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
                    + get))
        #expect(chunked.text == hello + hello)
        let large = MemoryTransport([
            .receive(octets("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")),
            .receive([UInt8](repeating: 0x61, count: 100_000)), .receive(octets(get)), .end,
        ])
        await serve(large)
        #expect(large.text.hasPrefix("HTTP/1.1 200 OK\r\n\(date)Connection: close\r\n"))
        #expect(large.text.hasSuffix("\r\n\r\nHello"))
        #expect(large.isFinished)
        var limits = HTTPLimits()
        limits.drain = 3
        let endless = await serve(
            MemoryTransport(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcdefghi\r\n0\r\n\r\n"
                    + get), limits: limits)
        #expect(endless.text == hello)
    }

    @Test func bodyLimits() async {
        let declared = await serve(
            MemoryTransport("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"),
            ConnectionTests.echo)
        #expect(declared.text.hasPrefix("HTTP/1.1 413 "))
        let long = String(repeating: "x", count: 1001)
        let chunked = await serve(
            MemoryTransport(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n\(long)\r\n0\r\n\r\n"
            ),
            ConnectionTests.echo)
        #expect(chunked.text.hasPrefix("HTTP/1.1 413 "))
        var limits = HTTPLimits()
        limits.body = 10
        for request in [
            "Content-Length: 11\r\n\r\nhello world",
            "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
        ] {
            let transport = await serve(
                MemoryTransport("POST / HTTP/1.1\r\nHost: a\r\n" + request), limits: limits,
                ConnectionTests.echo)
            #expect(transport.text.hasPrefix("HTTP/1.1 413 "))
            #expect(transport.isFinished)
        }
    }

    @Test func malformedChunksAreAnswered400() async {
        let transport = await serve(
            MemoryTransport(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + get),
            ConnectionTests.echo)
        #expect(transport.text.hasPrefix("HTTP/1.1 400 "))
        #expect(!transport.text.contains("Hello"))
    }
}
