// The client against servers that are scripts: requests as they are written, responses as they come.

import Testing

@testable import SwiftletHTTP

private func receive(_ text: String) -> MemoryTransport.Event { .receive(Array(text.utf8)) }

@Suite("The HTTP client (RFC 9110, RFC 9112)")
struct ClientTests {
    @Test("RFC 9112 §3: a request as it is sent")
    func request() async throws {
        let model = ClientModel([
            [receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y z\r\n\r\nhi")]
        ])
        var request = ClientModel.Request(.get, "http://A.example:81/p?q")
        let isAdded = request.addHeader("Accept", "text/plain")
        #expect(isAdded)
        let response = try await model.service.send(request)
        #expect(
            model.connector.transports[0].text
                == "GET /p?q HTTP/1.1\r\nHost: a.example:81\r\nUser-Agent: swiftlet\r\n"
                + "Accept: text/plain\r\n\r\n")
        #expect(model.connector.asked == ["a.example:81"])
        #expect(response.status == .ok)
        #expect(response.header("x")?.string == "y z")
        #expect(response.header("y") == nil)
        #expect(response.contentLength == 2)
        #expect(try await response.body(upTo: 10) == Array("hi".utf8))
        #expect(try await response.body(upTo: 10) == [])
    }

    @Test("RFC 9110 §5.5: no header line splits the request, none of the client's own is taken")
    func headers() async {
        let model = ClientModel([])
        for (name, value) in [
            ("A B", "c"), ("", "c"), ("A", "b\r\nC: d"), ("A", "b\u{0}"), ("Host", "b"),
            ("content-length", "0"), ("Transfer-Encoding", "chunked"), ("Connection", "close"),
            ("TE", "trailers"), ("Expect", "100-continue"), ("Upgrade", "x"), ("Trailer", "x"),
        ] {
            var request = ClientModel.Request(.get, "http://a.example/")
            let (name, value) = (Array(name.utf8), Array(value.utf8))
            let isAdded = request.addHeader(name.span.bytes, value.span.bytes)
            #expect(!isAdded)
            let spoilt = request
            await #expect(throws: HTTPClientFailure<MemoryConnector.Refused>.self) {
                _ = try await model.service.send(spoilt)
            }
        }
        #expect(model.connector.asked == [])
    }

    @Test("RFC 9112 §6: content by length, in chunks, to the end of the connection; cut anywhere")
    func framings() async throws {
        let head = "HTTP/1.1 200 OK\r\n"
        let texts = [
            head + "Content-Length: 11\r\n\r\nhello world",
            head
                + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nT: v\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhello world",
        ]
        for (index, text) in texts.enumerated() {
            for size in [1, 2, 7, 1000] {
                let octets = Array(text.utf8)
                let script = stride(from: 0, to: octets.count, by: size).map {
                    MemoryTransport.Event.receive(Array(octets[$0..<min($0 + size, octets.count)]))
                }
                let model = ClientModel([script + [.end]])
                let response = try await model.get()
                #expect(response.contentLength == (index == 0 ? 11 : nil))
                #expect(try await response.body(upTo: 11) == Array("hello world".utf8))
                #expect(model.service.busyCount == 0)
                #expect(model.service.idleCount == (index < 2 ? 1 : 0))
            }
        }
    }

    @Test("RFC 9110 §9.3.2, §15.3.5, §15.4.5: responses without content")
    func noContent() async throws {
        let length = "Content-Length: 5\r\n\r\n"
        let model = ClientModel([
            [
                receive("HTTP/1.1 200 OK\r\n" + length),
                receive("HTTP/1.1 304 Not Modified\r\n" + length),
                receive("HTTP/1.1 204 No Content\r\n\r\n"),
                receive("HTTP/1.1 200 OK\r\n" + length + "hello"),
            ]
        ])
        // All over one connection: had one taken a length at its word, the next would be lost.
        for method in [HTTPMethod.head, .get, .get] {
            let response = try await model.get("http://a.example/", method)
            #expect(response.contentLength == 0)
            #expect(try await response.body(upTo: 10) == [])
        }
        #expect(try await model.get().body(upTo: 10) == Array("hello".utf8))
        #expect(model.connector.transports.count == 1)
    }

    @Test("RFC 9110 §15.2: interim responses are passed over, a few of them")
    func interim() async throws {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        let model = ClientModel([
            [receive(interim + "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")]
        ])
        let response = try await model.get()
        #expect(response.status == .created)
        #expect(response.header("Link") == nil)
        let many = String(repeating: "HTTP/1.1 102 X\r\n\r\n", count: 17)
        #expect(await ClientModel([[receive(many)]]).fault() == .response(.malformed))
        let other = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
        #expect(await ClientModel([[receive(other)]]).fault() == .response(.malformed))
    }

    @Test("RFC 9112 §8: content that is cut off is no content")
    func cutOff() async {
        let head = "HTTP/1.1 200 OK\r\n"
        for text in [
            "", head, head + "Content-Length: 5\r\n\r\nhell",
            head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        ] {
            let model = ClientModel([[receive(text), .end]])
            #expect(await model.fault() == .disconnected, "\(text)")
            #expect(model.connector.transports[0].isAborted)
            #expect(model.service.busyCount == 0)
        }
        let bad = head + "Transfer-Encoding: chunked\r\n\r\nx\r\n"
        #expect(await ClientModel([[receive(bad)]]).fault() == .response(.malformed))
    }

    @Test("Content, heads and chunk extensions are bounded; so are the octets that a caller wants")
    func bounds() async throws {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let model = ClientModel([[receive(head + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")]]) {
            $0.body = 10
        }
        #expect(await model.fault() == .contentTooLarge)
        let overhead = ClientModel([[receive(head + "5;" + String(repeating: "x", count: 100))]]) {
            $0.chunkOverhead = 99
        }
        #expect(await overhead.fault() == .response(.malformed))
        let text =
            "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + String(repeating: "x", count: 30)
        let large = ClientModel([[receive(text)]])
        let response = try await large.get()
        await #expect(throws: HTTPClientFailure<MemoryConnector.Refused>.self) {
            _ = try await response.body(upTo: 10)
        }
        #expect(large.service.busyCount == 0)
        #expect(large.connector.transports[0].isAborted)
    }

    @Test("A server that is slow: to answer, to go on, a little all the time")
    func slow() async {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
        #expect(await ClientModel([[.pass(31_000_000_000)]]).fault() == .timedOut)
        #expect(await ClientModel([[receive(head), .pass(31_000_000_000)]]).fault() == .timedOut)
        // An octet in ten seconds is progress, and none to wait for.
        var drip: [MemoryTransport.Event] = [receive(head)]
        for _ in 0..<50 { drip += [.pass(10_000_000_000), receive("x")] }
        #expect(await ClientModel([drip]).fault() == .timedOut)
        var headDrip: [MemoryTransport.Event] = []
        for _ in 0..<50 { headDrip += [.pass(1_000_000_000), receive("H")] }
        #expect(await ClientModel([headDrip]).fault() == .response(.malformed))
        let letters = head.map { receive(String($0)) }
        #expect(
            await ClientModel([letters.flatMap { [.pass(1_000_000_000), $0] }]).fault()
                == .timedOut)
    }

    @Test("Content of a request: with its length, in chunks, and not more than was declared")
    func requestContent() async throws {
        let answer = receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        func sent(_ body: ClientModel.Request.Body) async throws -> String {
            let model = ClientModel([[answer]])
            model.connector.prepare = {
                $0.sendRoom = 40
                $0.roomAfterWait = 40
            }
            let request = ClientModel.Request(.post, "http://a.example/", body: body)
            _ = try await model.service.send(request)
            let text = model.connector.transports[0].text
            let parts = text.split(separator: "swiftlet\r\n", maxSplits: 1)
            return String(try #require(parts.last))
        }
        #expect(try await sent(.none) == "Content-Length: 0\r\n\r\n")
        #expect(try await sent(.octets(Array("hello".utf8))) == "Content-Length: 5\r\n\r\nhello")
        let chunked = try await sent(
            .stream(length: nil) {
                await $0.write(Array("hello".utf8))
                await $0.write([UInt8]())
                await $0.write([UInt8](repeating: 120, count: 17))
            })
        #expect(
            chunked
                == "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n11\r\nxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n"
        )
        let whole = try await sent(
            .stream(length: 5) {
                #expect(await $0.write(Array("hel".utf8)))
                #expect(await !$0.write(Array("lo!".utf8)))
                #expect(await $0.write(Array("lo".utf8)))
            })
        #expect(whole == "Content-Length: 5\r\n\r\nhello")
        let short = ClientModel([[answer]])
        let request = ClientModel.Request(
            .put, "http://a.example/", body: .stream(length: 5) { await $0.write([1]) })
        #expect(await short.fault(request) == .bodyTooShort)
    }

    @Test("RFC 9112 §9.3: a server that answers before it has all; the connection ends with that")
    func earlyAnswer() async throws {
        let model = ClientModel([[receive("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")]])
        model.connector.prepare = {
            $0.inbox = Array("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n".utf8)
            $0.script = []
        }
        let request = ClientModel.Request(
            .post, "http://a.example/",
            body: .stream(length: 1000) {
                #expect(await !$0.write([UInt8](repeating: 0, count: 500)))
            })
        let response = try await model.service.send(request)
        #expect(response.status == .contentTooLarge)
        #expect(model.service.idleCount == 0)
        #expect(model.connector.transports[0].isAborted)
    }
}
