// A client's connection (RFC 9112 §9): one request after the other, each with its response.

import _Concurrency

/// Why an exchange failed, whoever connected.
public enum HTTPExchangeError: Error, Equatable, Sendable {
    /// The server took too long.
    case timedOut
    /// The connection ended before the response did.
    case disconnected
    /// The response is not to be understood.
    case response(HTTPResponseFault)
    /// The content is longer than the limit.
    case contentTooLarge
    /// The function that writes the request's content wrote less than was declared.
    case bodyTooShort
    /// The task was cancelled.
    case cancelled
}

/// One connection. Used by one task at a time.
public final class HTTPClientConnection<Transport: HTTPTransport>: @unchecked Sendable {
    let transport: Transport
    let limits: HTTPClientLimits
    let timeouts: HTTPClientTimeouts

    /// Requests that were sent.
    private(set) var requests = 0
    private(set) var head = ResponseHead()
    /// The head's octets; a response takes them with it.
    var headOctets = OctetBuffer()
    private(set) var body = ResponseBody()
    private var bodyCount: UInt64 = 0
    private var keepsAlive = true
    private var isCancelled = false
    /// An octet of the current response has arrived.
    private(set) var hasAnswered = false
    private var patience = Patience(0)

    init(transport: Transport, limits: HTTPClientLimits, timeouts: HTTPClientTimeouts) {
        self.transport = transport
        self.limits = limits
        self.timeouts = timeouts
    }

    /// True if another request can be sent: all of the last response was read, and nothing has come
    /// since, which nobody has asked for (RFC 9112 §9.2).
    var isReusable: Bool { keepsAlive && body.hasEnded && transport.awaitsOctets }

    /// True once all of the response was read.
    var hasEndedBody: Bool { body.hasEnded }

    /// Ends the connection at once.
    func abort() {
        keepsAlive = false
        transport.abort()
    }

    func cancel() {
        isCancelled = true
        abort()
    }

    // MARK: The request

    /// Sends a request and reads the head of its response.
    nonisolated(nonsending) func exchange(
        _ request: HTTPOutgoingRequest<Transport>, _ url: HTTPURL
    ) async throws(HTTPExchangeError) {
        let head = begin(request, url)
        try await send(head.span.bytes)
        switch request.body {
        case .none: break
        case .octets(let octets): try await send(octets.span.bytes)
        case .stream(let length, let write):
            let writer = HTTPBodyWriter(self, length: length)
            await write(writer)
            try await writer.finish()
        }
        try await readHead(request.method)
    }

    /// - Returns: the request's head.
    private func begin(
        _ request: HTTPOutgoingRequest<Transport>, _ url: HTTPURL
    ) -> [UInt8] {
        requests &+= 1
        hasAnswered = false
        bodyCount = 0
        patience = Patience(timeouts.write)
        headOctets.removeAll()
        request.writeHead(url, into: &headOctets)
        // The buffer is the response's from now on.
        defer { headOctets.removeAll() }
        return headOctets.withOctets { $0.copy }
    }

    /// True if the server has begun its final response before it had the whole request: it does not
    /// want the rest (RFC 9110 §10.1.1, RFC 9112 §9.3). What it only says meanwhile has a status of
    /// 1xx.
    var isAnsweredEarly: Bool {
        transport.receivedCount > 9 && transport.withReceived { $0.octet(9) != 0x31 }
    }

    /// Sends all of `octets`, or what the server wants of them.
    nonisolated(nonsending) func send(_ octets: RawSpan) async throws(HTTPExchangeError) {
        var rest = octets
        while true {
            let count = transport.send(rest)
            rest = rest.extracting(droppingFirst: count)
            patience.earned(octets: count)
            guard rest.byteCount > 0 else { return }
            if isAnsweredEarly {
                // What is missing of the request makes the connection useless afterwards.
                keepsAlive = false
                return
            }
            try await awaitRoom()
        }
    }

    private nonisolated(nonsending) func awaitRoom() async throws(HTTPExchangeError) {
        let start = transport.now
        // Now and then it is looked whether the server has answered meanwhile.
        let end = min(patience.deadline(start), start &+ 1_000_000_000)
        let failure = await waitForRoom(until: end)
        patience.waited(transport.now &- start)
        switch failure {
        case nil: return
        case .timedOut? where patience.left > 0: return
        case .disconnected? where isAnsweredEarly: return
        case let failure?: throw failure
        }
    }

    // MARK: The response's head

    /// Reads the head of the final response; those before it are passed over (RFC 9110 §15.2).
    private nonisolated(nonsending) func readHead(
        _ method: HTTPMethod
    ) async throws(HTTPExchangeError) {
        let (deadline, overflow) = transport.now.addingReportingOverflow(timeouts.head)
        var parser = ResponseParser()
        var interim = 0
        while true {
            if let outcome = takeHead(&parser) {
                guard case .complete = outcome else {
                    guard case .failed(let fault) = outcome else { continue }
                    abort()
                    throw .response(fault)
                }
                if parser.head.status.code >= 200 {
                    return begin(parser.head, to: method)
                }
                interim &+= 1
                // Nobody asked for another protocol.
                guard interim <= limits.interim, parser.head.status.code != 101 else {
                    abort()
                    throw .response(.malformed)
                }
                parser = ResponseParser()
                headOctets.removeAll()
                continue
            }
            guard try await waitForOctets(until: overflow ? .max : deadline) else {
                abort()
                throw .disconnected
            }
        }
    }

    /// Moves what has arrived of the head to its buffer, and parses on; nil if nothing has arrived.
    private func takeHead(_ parser: inout ResponseParser) -> ResponseParser.Outcome? {
        guard transport.receivedCount > 0 else { return nil }
        hasAnswered = true
        let before = headOctets.count
        let limits = limits
        let taken = transport.withReceived { run in
            let count = min(run.byteCount, max(0, limits.head &+ 1 &- before))
            headOctets.append(run.extracting(first: count))
            return count
        }
        let outcome = headOctets.withOctets { parser.parse($0, limits: limits) }
        if outcome == .complete {
            headOctets.truncate(to: parser.head.length)
            transport.consume(parser.head.length &- before)
        } else {
            transport.consume(taken)
        }
        return outcome
    }

    private func begin(_ head: ResponseHead, to method: HTTPMethod) {
        self.head = head
        body = ResponseBody(head, to: method)
        if !head.keepsAlive || body.endsWithConnection { keepsAlive = false }
        patience = Patience(timeouts.body)
    }

    // MARK: The content

    /// Shows the next octets of the content, at most `limit` of them, to `take`.
    ///
    /// - Returns: false at the end; `take` was not called.
    nonisolated(nonsending) func readBody(
        limit: Int, _ take: (RawSpan) -> Void
    ) async throws(HTTPExchangeError) -> Bool {
        while true {
            if let more = try takeBody(limit: limit, take) { return more }
            let start = transport.now
            let more = try await waitForOctets(until: patience.deadline(start))
            patience.waited(transport.now &- start)
            if !more, !body.end() {
                abort()
                throw .disconnected
            }
        }
    }

    /// The part of `readBody` that does not wait; nil if there is nothing yet.
    @inline(never)
    func takeBody(
        limit: Int, _ take: (RawSpan) -> Void
    ) throws(HTTPExchangeError) -> Bool? {
        while true {
            var isTooLarge = false
            let limits = limits
            let step = transport.withReceived { run in
                let step = body.next(run, limit: limit, overheadLimit: limits.chunkOverhead)
                if case .content(let skipped, let count) = step {
                    isTooLarge = bodyCount &+ UInt64(count) > limits.body
                    if !isTooLarge { take(run.extracting(skipped..<skipped &+ count)) }
                }
                return step
            }
            if isTooLarge {
                abort()
                throw .contentTooLarge
            }
            switch step {
            case .content(let skipped, let count):
                transport.consume(skipped &+ count)
                bodyCount &+= UInt64(count)
                patience.earned(octets: count)
                return true
            case .end(let consumed):
                if consumed > 0 { transport.consume(consumed) }
                return false
            case .malformed:
                abort()
                throw .response(.malformed)
            case .needsMore(let consumed):
                guard consumed > 0 else { return nil }
                transport.consume(consumed)
                patience.earned(octets: consumed)
                // The rest may lie beyond the end of a ring.
                if transport.receivedCount == 0 { return nil }
            }
        }
    }

    /// Throws away what is left of the content if it has come and is little.
    func discardAtOnce() {
        var allowance = limits.drain
        guard body.remaining ?? 0 <= allowance else { return }
        while !body.hasEnded {
            var count = 0
            guard (try? takeBody(limit: .max, { count = $0.byteCount })) == true,
                allowance >= UInt64(count)
            else { return }
            allowance &-= UInt64(count)
        }
    }

    // MARK: Waits

    /// False at the end of the stream.
    private nonisolated(nonsending) func waitForOctets(
        until deadline: UInt64
    ) async throws(HTTPExchangeError) -> Bool {
        let result: Result<Bool, HTTPExchangeError> = await withTaskCancellationHandler {
            guard !Task.isCancelled else {
                cancel()
                return .failure(.cancelled)
            }
            do throws(Transport.Failure) {
                return .success(try await transport.waitUntilReadable(until: deadline))
            } catch {
                return .failure(outcome(error))
            }
        } onCancel: {
            cancel()
        }
        if case .failure = result { abort() }
        return try result.get()
    }

    private nonisolated(nonsending) func waitForRoom(
        until deadline: UInt64
    ) async -> HTTPExchangeError? {
        await withTaskCancellationHandler {
            guard !Task.isCancelled else {
                cancel()
                return .cancelled
            }
            do throws(Transport.Failure) {
                try await transport.waitUntilWritable(until: deadline)
                return nil
            } catch {
                return outcome(error)
            }
        } onCancel: {
            cancel()
        }
    }

    private func outcome(_ failure: Transport.Failure) -> HTTPExchangeError {
        if isCancelled { return .cancelled }
        return Transport.isTimeout(failure) ? .timedOut : .disconnected
    }
}

/// Writes the content of a request in pieces.
public final class HTTPBodyWriter<Transport: HTTPTransport>: @unchecked Sendable {
    private let connection: HTTPClientConnection<Transport>
    private var remaining: UInt64?
    private var failure: HTTPExchangeError?
    private var isOver = false

    init(_ connection: HTTPClientConnection<Transport>, length: UInt64?) {
        self.connection = connection
        remaining = length
    }

    /// Sends a piece, waiting while the server takes no more.
    ///
    /// - Returns: false if nothing more is wanted: the connection is gone, the server has answered
    ///   already, or it is more than was declared.
    @discardableResult
    nonisolated(nonsending) public func write(_ octets: RawSpan) async -> Bool {
        guard failure == nil, !isOver else { return false }
        if octets.byteCount == 0 { return true }
        if connection.isAnsweredEarly {
            isOver = true
            return false
        }
        do throws(HTTPExchangeError) {
            if let left = remaining {
                guard left >= UInt64(octets.byteCount) else { return false }
                try await connection.send(octets)
                remaining = left &- UInt64(octets.byteCount)
            } else {
                var size = OctetBuffer(capacity: 20)
                size.append(hexadecimal: UInt64(octets.byteCount))
                size.append("\r\n")
                try await connection.send(size.octets)
                try await connection.send(octets)
                try await connection.send(("\r\n" as StaticString).octets)
            }
        } catch {
            failure = error
            return false
        }
        return true
    }

    /// Sends a piece; see above.
    @discardableResult @_disfavoredOverload
    nonisolated(nonsending) public func write(_ octets: [UInt8]) async -> Bool {
        await write(octets.span.bytes)
    }

    /// The content is over.
    nonisolated(nonsending) func finish() async throws(HTTPExchangeError) {
        let wasOver = isOver
        // Who keeps the writer writes into no other request.
        isOver = true
        if let failure { throw failure }
        if wasOver || connection.isAnsweredEarly { return connection.leaveRequestOpen() }
        guard let remaining else {
            return try await connection.send(("0\r\n\r\n" as StaticString).octets)
        }
        guard remaining == 0 else {
            connection.abort()
            throw .bodyTooShort
        }
    }
}

extension HTTPClientConnection {
    /// Not all of the request was sent: nothing can follow it.
    func leaveRequestOpen() { keepsAlive = false }
}
