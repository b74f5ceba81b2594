// The life of a connection: keep-alive, pipelining, bodies, limits, timeouts, the end.

import SwiftletTestSupport
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

    @Test func headHasTheHeadOfGetAndNoContent() async {
        let transport = await serve(MemoryTransport("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get))
        #expect(transport.text == String(hello.dropLast(5)) + hello)
    }

    @Test(arguments: [204, 304])
    func statusesWithoutContent(code: UInt16) async {
        let transport = await serve(MemoryTransport(get + get)) { _, response in
            await response.send(status: HTTPStatus(code), "not to be sent")
        }
        let one = "HTTP/1.1 \(code) \(code == 204 ? "No Content" : "Not Modified")\r\n\(date)\r\n"
        #expect(transport.text == one + one)
    }

    @Test func http10ClosesUnlessAskedNotTo() async {
        let old = await serve(MemoryTransport("GET / HTTP/1.0\r\n\r\n" + get))
        #expect(
            old.text
                == hello.replacing(
                    "Content-Type", with: "Connection: close\r\nContent-Type", maxReplacements: 1))
        let keeping = await serve(
            MemoryTransport("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get))
        #expect(
            keeping.text
                == hello.replacing(
                    "Content-Type", with: "Connection: keep-alive\r\nContent-Type",
                    maxReplacements: 1)
                + hello)
    }

    @Test func malformedRequestIsAnsweredAndTheRestThrownAway() async {
        let transport = await serve(
            MemoryTransport([
                .receive(octets(get + "garbage\r\n\r\n" + get)), .receive(octets(get)), .end,
            ]))
        #expect(
            transport.text.hasPrefix(
                hello + "HTTP/1.1 400 Bad Request\r\n\(date)Connection: close\r\n"))
        #expect(transport.text.hasSuffix("\r\n\r\n400 Bad Request\n"))
        #expect(transport.isFinished)
        #expect(transport.inbox.isEmpty)
    }

    @Test func megabyteOfHeaderIsRefusedEarly() async {
        let chunk = [UInt8](repeating: 0x78, count: 65536)
        let transport = await serve(
            MemoryTransport(
                [.receive(octets("GET / HTTP/1.1\r\nX: "))]
                    + [MemoryTransport.Event](repeating: .receive(chunk), count: 16)))
        #expect(transport.text.hasPrefix("HTTP/1.1 431 "))
        #expect(transport.isFinished)
        let target = await serve(
            MemoryTransport([.receive(octets("GET /")), .receive(chunk), .receive(chunk), .end]))
        #expect(target.text.hasPrefix("HTTP/1.1 414 "))
    }

    // MARK: Bodies

    /// Answers with the body.
    static let echo: TestService.Handler = {
        (request: TestRequest, response: TestResponse) async throws(HTTPError) in
        await response.send(try await request.body(upTo: 1000))
    }

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

    // MARK: Streams

    @Test func streamsAreChunked() async {
        let transport = await serve(MemoryTransport(get + get)) { _, response in
            await response.write("Hello")
            await response.write("")
            await response.write(", a longer piece")
        }
        let one =
            "HTTP/1.1 200 OK\r\n\(date)Content-Type: application/octet-stream\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n10\r\n, a longer piece\r\n0\r\n\r\n"
        #expect(transport.text == one + one)
    }

    @Test func streamsOfDeclaredLength() async {
        let handler: TestService.Handler = { _, response in
            await response.start(length: 5, contentType: "text/plain")
            await response.write("Hel")
            let tooMuch = await response.write("lo!")
            #expect(!tooMuch)
            await response.write("lo")
        }
        let transport = await serve(MemoryTransport(get + get), handler)
        let one =
            "HTTP/1.1 200 OK\r\n\(date)Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nHello"
        #expect(transport.text == one + one)
        let head = await serve(
            MemoryTransport("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get), handler)
        #expect(head.text == String(one.dropLast(5)) + one)
        let short = await serve(MemoryTransport(get + get)) { _, response in
            await response.start(length: 5)
            await response.write("Hel")
        }
        #expect(short.isAborted)
    }

    @Test func streamToHTTP10EndsWithTheConnection() async {
        let transport = await serve(
            MemoryTransport("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        ) {
            _, response in
            await response.write("a")
            await response.write("b")
        }
        #expect(transport.text.contains("Connection: close\r\n"))
        #expect(!transport.text.contains("chunked"))
        #expect(transport.text.hasSuffix("\r\n\r\nab"))
        #expect(transport.isFinished)
    }

    @Test func largeBodiesWaitForRoom() async {
        let body = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for room in [1, 7, 100, 1000, 33_333] {
            let transport = MemoryTransport(get)
            transport.sendRoom = room
            transport.roomAfterWait = max(room, 900)
            await serve(transport) { _, response in await response.send(body) }
            #expect(Array(transport.outbox.suffix(body.count)) == body)
            #expect(!transport.isAborted)
        }
    }

    // MARK: Handlers

    @Test func handlerThatDoesNotAnswer() async {
        let transport = await serve(MemoryTransport(get + get)) { _, _ in }
        #expect(transport.text.contains("HTTP/1.1 500 Internal Server Error\r\n"))
        #expect(transport.text.split(separator: "HTTP/1.1 500").count == 2)
    }

    @Test func onlyTheFirstAnswerCounts() async {
        let transport = await serve(MemoryTransport(get)) { _, response in
            await response.send("Hello")
            await response.send("again")
            await response.write("again")
            response.addHeader("X", "y")
        }
        #expect(transport.text == hello)
    }

    @Test func headersAreCheckedSoThatNoneCanSplitTheResponse() async {
        let transport = await serve(MemoryTransport(get)) { _, response in
            #expect(response.addHeader("X-One", "1"))
            #expect(!response.addHeader("X-Two", "2\r\nX-Three: 3"))
            #expect(!response.addHeader("X Four", "4"))
            #expect(!response.addHeader("", "5"))
            #expect(!response.addHeader("Content-Length", "7"))
            #expect(!response.addHeader("transfer-encoding", "chunked"))
            #expect(response.addHeader("content-type", "text/html"))
            let dynamic = "v" + String(6)
            #expect(response.addHeader("X-Six", dynamic))
            await response.send("Hello")
        }
        #expect(
            transport.text
                == "HTTP/1.1 200 OK\r\n\(date)X-One: 1\r\ncontent-type: text/html\r\nX-Six: v6\r\n"
                + "Content-Length: 5\r\n\r\nHello")
    }

    @Test func viewsKeptBeyondTheirRequestShowNothing() async {
        final class Keeper: @unchecked Sendable {
            var request: TestRequest?
            var response: TestResponse?
        }
        let keeper = Keeper()
        let transport = await serve(
            MemoryTransport(get + "GET /secret HTTP/1.1\r\nHost: b\r\n\r\n")
        ) {
            request, response in
            if let kept = keeper.request {
                #expect(kept.path.string == "")
                #expect(kept.header("host") == nil)
                await keeper.response?.send("stale")
            }
            keeper.request = request
            keeper.response = response
            await response.send("Hello")
        }
        #expect(transport.text == hello + hello)
    }

    // MARK: Time

    @Test func slowHeadIsAnswered408() async {
        let slow = get.utf8.map { [MemoryTransport.Event.receive([$0]), .pass(2 * second)] }
        let transport = await serve(MemoryTransport(Array(slow.joined())))
        #expect(transport.text.hasPrefix("HTTP/1.1 408 "))
        #expect(transport.isFinished)
        #expect(transport.now < 16 * second)
    }

    @Test func idleConnectionEndsSilently() async {
        let transport = await serve(MemoryTransport([.receive(octets(get)), .pass(100 * second)]))
        #expect(transport.text == hello)
        #expect(transport.isFinished)
        #expect(transport.now == 61 * second)
        let patient = await serve(
            MemoryTransport([
                .receive(octets(get)), .pass(59 * second), .receive(octets(get)),
                .pass(59 * second),
                .receive(octets(get)), .end,
            ]))
        #expect(patient.text == hello + hello + hello)
    }

    @Test func slowBodyIsAnswered408ButSteadyProgressIsNot() async {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        var script: [MemoryTransport.Event] = [.receive(octets(head))]
        for _ in 0..<100 { script += [.receive([0x61]), .pass(5 * second)] }
        let slow = await serve(MemoryTransport(script), ConnectionTests.echo)
        #expect(slow.text.hasPrefix("HTTP/1.1 408 "))
        #expect(slow.now < 40 * second)
        script = [.receive(octets(head.replacing("100", with: "900")))]
        for _ in 0..<9 {
            script += [.receive([UInt8](repeating: 0x61, count: 100)), .pass(second / 20)]
        }
        let steady = await serve(MemoryTransport(script), ConnectionTests.echo)
        #expect(steady.text.hasPrefix("HTTP/1.1 200 "))
    }

    @Test func clientThatTakesNothingIsDropped() async {
        let body = [UInt8](repeating: 1, count: 10_000)
        let stalled = MemoryTransport(get)
        stalled.sendRoom = 100
        stalled.roomAfterWait = nil
        await serve(stalled) { _, response in await response.send(body) }
        #expect(stalled.isAborted)
        // One octet a second is no progress either.
        let trickle = MemoryTransport(get)
        trickle.sendRoom = 100
        trickle.roomAfterWait = 1
        await serve(trickle) { _, response in
            await response.send(body)
            let sent = await response.write("more")
            #expect(!sent)
        }
        #expect(trickle.isAborted)
        #expect(trickle.now < 60 * second)
    }

    @Test func resetsAndEndsAnywhereAreTakenCalmly() async {
        let bytes = octets("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde")
        for count in 0..<bytes.count {
            for end in [MemoryTransport.Event.end, .reset] {
                let transport = MemoryTransport([.receive(Array(bytes[..<count])), end])
                await serve(transport, ConnectionTests.echo)
                #expect(!transport.text.contains("200"))
                #expect(transport.isFinished || transport.isAborted)
            }
        }
    }

    // MARK: The end

    @Test func stopFinishesWhatRunsAndEndsIdleConnections() async {
        let service = TestService(limits: HTTPLimits(), timeouts: HTTPTimeouts()) { _, response in
            await response.send("Hello")
        }
        let busy = MemoryTransport([
            .receive(octets("GET / HT")), .receive(octets("TP/1.1\r\nHost: a\r\n\r\n" + get)),
        ])
        busy.onWait = { if busy.waits == 2 { service.stop() } }
        await service.serve(busy)
        #expect(
            busy.text
                == hello.replacing(
                    "Content-Type", with: "Connection: close\r\nContent-Type", maxReplacements: 1))
        #expect(busy.isFinished)
        let idleService = TestService(limits: HTTPLimits(), timeouts: HTTPTimeouts()) {
            _, response in
            await response.send("Hello")
        }
        let idle = MemoryTransport([.receive(octets(get)), .pass(30 * second)])
        idle.onWait = { if idle.waits == 2 { idleService.stop() } }
        await idleService.serve(idle)
        #expect(idle.text == hello)
        #expect(idle.now < 2 * second)
        // A FIN, no RST: what was sent last may still be under way.
        #expect(idle.isFinished)
        #expect(!idle.isAborted)
    }

    @Test func mutationsNeverTrap() async {
        var random = SeededRandom(seed: 0x5EED_0002)
        let seeds = [
            get, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world" + get,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
                + "5;x=y\r\nhello\r\n006\r\n world\r\n0\r\nT: v\r\n\r\n" + get,
        ].map(octets)
        for round in 0..<20_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0..<(1 + random.next() % 4) {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: at)
                default: bytes.insert([13, 10, 58, 32, 0x30, 0x46][Int(random.next() % 6)], at: at)
                }
            }
            let split = Int(random.next() % UInt64(bytes.count + 1))
            let transport = MemoryTransport([
                .receive(Array(bytes[..<split])), .receive(Array(bytes[split...])), .end,
            ])
            transport.runLimit = 1 + Int(random.next() % 200)
            await serve(transport, ConnectionTests.echo)
            #expect(transport.isFinished || transport.isAborted)
            #expect(transport.outbox.isEmpty || transport.text.hasPrefix("HTTP/1.1 "))
        }
    }
}
