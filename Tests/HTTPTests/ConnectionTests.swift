// The life of a connection: keep-alive, pipelining, streams, handlers.

import Testing

@testable import SwiftletHTTP

let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
let hello =
    "HTTP/1.1 200 OK\r\n\(date)Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\nHello"
let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
let second: UInt64 = 1_000_000_000

@Suite struct ConnectionTests {
    /// Answers with the body.
    static let echo: TestService.Handler = {
        (request: TestRequest, response: TestResponse) async throws(HTTPError) in
        await response.send(try await request.body(upTo: 1000))
    }

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
}
