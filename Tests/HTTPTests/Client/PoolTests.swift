// Connections that are kept: used again, bounded, and what happens when they have gone.

import Testing

@testable import SwiftletHTTP

@Suite("The client's connections (RFC 9112 §9.3, RFC 9110 §9.2.2)")
struct PoolTests {
    private let answer = MemoryTransport.Event.receive(
        Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".utf8))

    private func read(_ model: ClientModel, _ url: String, _ method: HTTPMethod = .get) async throws
    {
        #expect(try await model.get(url, method).body(upTo: 10) == Array("hi".utf8))
    }

    @Test("A connection serves one request after the other, of its own origin")
    func reuse() async throws {
        let model = ClientModel([[answer, answer], [answer], [answer]])
        try await read(model, "http://a.example/")
        try await read(model, "http://A.example:80/x")
        #expect(model.connector.asked == ["a.example:80"])
        try await read(model, "http://a.example:81/")
        try await read(model, "http://b.example/")
        #expect(model.connector.asked == ["a.example:80", "a.example:81", "b.example:80"])
        #expect(model.service.idleCount == 3)
        model.service.closeAll()
        #expect(model.connector.transports.allSatisfy { $0.isAborted })
    }

    @Test("Two requests at once have two connections")
    func concurrency() async throws {
        let model = ClientModel([[answer], [answer]])
        let first = try await model.get()
        let second = try await model.get()
        #expect(model.service.busyCount == 2)
        _ = try await first.body(upTo: 10)
        _ = try await second.body(upTo: 10)
        #expect(model.service.busyCount == 0)
        #expect(model.service.idleCount == 2)
    }

    @Test("What has closed, or said something nobody asked for, is not used again")
    func stale() async throws {
        for event in [
            MemoryTransport.Event.receive(Array("HTTP/1.1 408 X\r\n\r\n".utf8)), .end, .reset,
        ] {
            let model = ClientModel([[answer], [answer]])
            try await read(model, "http://a.example/")
            let transport = model.connector.transports[0]
            if case .receive(let octets) = event {
                transport.inbox = octets
            } else {
                transport.script = [event]
            }
            try await read(model, "http://a.example/")
            #expect(model.connector.transports.count == 2)
        }
    }

    @Test("§9.2.2: only what may be asked twice is asked again, and once")
    func retries() async throws {
        func model() async throws -> ClientModel {
            let model = ClientModel([[answer, .end], [answer]])
            try await read(model, "http://a.example/")
            return model
        }
        for method in [HTTPMethod.get, .put, .delete, .options] {
            let model = try await model()
            try await read(model, "http://a.example/", method)
            #expect(model.connector.transports.count == 2)
        }
        let post = try await model()
        #expect(
            await post.fault(ClientModel.Request(.post, "http://a.example/")) == .disconnected)
        #expect(post.connector.transports.count == 1)
        let stream = try await model()
        let request = ClientModel.Request(
            .put, "http://a.example/", body: .stream(length: nil) { await $0.write([1]) })
        #expect(await stream.fault(request) == .disconnected)
        // A new connection that ends at once is the server's way to say no.
        let refusing = ClientModel([[.end], [answer]])
        #expect(await refusing.fault() == .disconnected)
        // An octet of an answer: it was at work.
        let partial = ClientModel([
            [answer, .receive(Array("HTTP".utf8)), .end], [answer],
        ])
        try await read(partial, "http://a.example/")
        #expect(await partial.fault() == .disconnected)
        #expect(partial.connector.transports.count == 1)
    }

    @Test("Idle connections are bounded in number and in time")
    func idleBounds() async throws {
        let model = ClientModel(Array(repeating: [answer], count: 10)) {
            $0.idlePerOrigin = 2
            $0.idle = 3
        }
        var responses: [HTTPIncomingResponse<MemoryConnector>] = []
        for _ in 0..<4 { responses.append(try await model.get()) }
        for response in responses { _ = try await response.body(upTo: 10) }
        #expect(model.service.idleCount == 2)
        for host in ["b", "c", "d"] { try await read(model, "http://\(host).example/") }
        #expect(model.service.idleCount == 3)
        #expect(model.connector.transports.filter { !$0.isAborted }.count == 3)
        // Twenty seconds after the clock of these transports.
        #expect(model.service.closeIdle(now: 20_999_999_999) == 21_000_000_000)
        #expect(model.service.closeIdle(now: 21_000_000_000) == nil)
        #expect(model.service.idleCount == 0)
    }

    @Test("A connection past its time is not used, though nobody closed it yet")
    func expiry() async throws {
        let model = ClientModel([[answer, answer], [answer]])
        try await read(model, "http://a.example/")
        model.connector.transports[0].now += 20_000_000_000
        try await read(model, "http://a.example/")
        #expect(model.connector.transports.count == 2)
    }

    @Test("All connections are bounded; idle ones make room")
    func allBounds() async throws {
        let model = ClientModel(Array(repeating: [answer], count: 4)) { $0.connections = 2 }
        try await read(model, "http://a.example/")
        let one = try await model.get("http://b.example/")
        let two = try await model.get("http://c.example/")
        #expect(model.service.idleCount == 0)
        do {
            _ = try await model.get("http://d.example/")
            Issue.record("a third connection")
        } catch HTTPClientFailure<MemoryConnector.Refused>.tooManyConnections {
        }
        one.close()
        two.close()
        #expect(model.service.busyCount == 0)
        #expect(model.connector.transports[1].isAborted)
        _ = try await model.get("http://d.example/").body(upTo: 10)
    }

    @Test("A response that is let go of: little that has come is thrown away, all else closes")
    func unread() async throws {
        let model = ClientModel([
            [answer], [.receive(Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi".utf8))],
        ])
        _ = try await model.get()
        #expect(model.service.busyCount == 0)
        #expect(model.service.idleCount == 1)
        model.service.closeAll()
        _ = try await model.get()
        #expect(model.service.busyCount == 0)
        #expect(model.service.idleCount == 0)
        #expect(model.connector.transports[1].isAborted)
    }

    @Test("Whom nobody can connect to")
    func refused() async throws {
        let model = ClientModel([])
        do {
            _ = try await model.get()
            Issue.record("a response from nobody")
        } catch HTTPClientFailure<MemoryConnector.Refused>.connection {
        }
        #expect(model.service.busyCount == 0)
    }
}
