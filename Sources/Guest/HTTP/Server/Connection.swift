// The life of one HTTP/1.1 connection (RFC 9112 §9): read a head, call the handler, make sure there
// is an answer, go on with the next request.
//
// The common request, a small one without a body that has arrived whole, takes no copy and no wait:
// its head is parsed where TCP received it and stays there until the response is written.

import _Concurrency

/// One connection. `HTTPServerRequest` and `HTTPServerResponse` are views of it.
public final class HTTPServerConnection<Transport: HTTPTransport>: @unchecked Sendable {
    let transport: Transport
    let service: HTTPService<Transport>
    var slot = 0

    /// Counts requests, so that a view kept beyond its request is told from a current one.
    var serial: UInt32 = 0
    var parser = RequestParser()
    /// The head's octets, if they no longer lie at the front of what was received.
    var headCopy = OctetBuffer()
    var headIsCopied = false

    var body = BodyState.none
    var bodyCount: UInt64 = 0
    var bodyPatience = Patience(0)
    var owesContinue = false

    var response = ResponseState()
    /// Header lines the handler added.
    var fields = OctetBuffer()
    var writePatience = Patience(0)

    /// When to give up waiting for a request, or for the rest of its head.
    private var deadline: UInt64 = 0
    /// An octet of the head that `readHead` reads has arrived.
    private var headHasBegun = false
    /// Others needed what this connection held of a head that did not come to its end.
    private var isGivenUp = false
    private var stage = Stage.betweenRequests
    /// What the handler threw.
    private var failure: HTTPError?
    private var isIdle = false
    private var keepsAlive = true
    /// True if the client may still be sending what nobody will read.
    private var lingers = false

    enum BodyState {
        case none
        case length(remaining: UInt64)
        case chunked(ChunkedDecoder)
        case failed(HTTPError)
    }

    init(transport: Transport, service: HTTPService<Transport>) {
        self.transport = transport
        self.service = service
    }

    var head: RequestHead { parser.head }

    /// True if there is no body, or nothing left of it. Most requests have none, and the head tells
    /// that faster.
    @inline(__always) var bodyIsOver: Bool {
        if !head.hasBody { return true }
        if case .none = body { return true }
        return false
    }

    /// Shows the octets of the current request's head.
    @inline(__always) func withHead<R: ~Copyable>(_ body: (RawSpan) -> R) -> R {
        if headIsCopied { return headCopy.withOctets(body) }
        return transport.withReceived(body)
    }

    // MARK: The life

    /// Where the connection stands between two steps.
    private enum Stage {
        case betweenRequests
        /// The head of a request was read.
        case headRead
        case handled
        case closed
    }

    /// What comes next.
    private enum Step {
        /// Call the handler.
        case handle
        /// Wait for a request; none has begun.
        case pause
        /// What takes longer than it should: `attend`.
        case attend
        case end
    }

    /// Steps until the connection ends. A task is split at each `await`, and what stands between
    /// two of them is there once for each; so that is little.
    nonisolated(nonsending) func serve() async {
        while true {
            switch nextStep() {
            case .handle:
                do throws(HTTPError) {
                    try await service.handler(
                        HTTPServerRequest(connection: self, serial: serial),
                        HTTPServerResponse(connection: self, serial: serial))
                } catch {
                    failure = error
                }
            case .pause: await transport.pause(until: deadline)
            case .attend: await attend()
            case .end: return
            }
        }
    }

    /// The straight line: one request done at once, the next one's head there as a whole.
    @inline(never) @_optimize(speed)
    private func nextStep() -> Step {
        if stage == .handled {
            guard completeAtOnce() else { return .attend }
            stage = .betweenRequests
        }
        if stage == .betweenRequests {
            guard keepsAlive else { return .attend }
            if transport.receivedCount == 0 {
                guard !isIdle, transport.awaitsOctets else { return .attend }
                isIdle = true
                deadline = transport.now &+ service.timeouts.idle
                return .pause
            }
            isIdle = false
            headIsCopied = false
            guard parseInPlace() else { return .attend }
        }
        guard stage != .closed else { return .end }
        begin()
        stage = .handled
        return .handle
    }

    /// Everything else: a head in pieces or refused, a handler that failed or left something over,
    /// the end.
    @inline(never)
    nonisolated(nonsending) private func attend() async {
        if stage == .handled {
            if let failure {
                self.failure = nil
                await answer(failure)
            }
            await complete()
            stage = .betweenRequests
        } else if keepsAlive, await readHead() {
            stage = .headRead
        } else {
            await close()
            stage = .closed
        }
    }

    // MARK: Reading a head

    /// False if no whole head is there, or if it is to be refused; nothing was consumed then.
    @inline(__always) private func parseInPlace() -> Bool {
        transport.withReceived {
            parser.parse($0, limits: service.limits, recent: &service.recentHead)
        } == .complete
    }

    /// Reads the next request's head, however it arrives; false if there will be none.
    @inline(never)
    nonisolated(nonsending) private func readHead() async -> Bool {
        headHasBegun = false
        headIsCopied = false
        if !isIdle { deadline = transport.now &+ service.timeouts.idle }
        var refusal: HTTPStatus?
        repeat {
            switch takeHead() {
            case .complete: return true
            case .failed(let status): refusal = status
            case .needsMore:
                if !headHasBegun, service.isStopping { return false }
                isIdle = !headHasBegun
                do throws(Transport.Failure) {
                    let more = try await transport.waitUntilReadable(until: deadline)
                    if !more {
                        guard headHasBegun else { return false }
                        refusal = .badRequest
                    }
                } catch {
                    guard Transport.isTimeout(error), headHasBegun else { return false }
                    refusal = .requestTimeout
                }
                if isGivenUp { return false }
                isIdle = false
            }
        } while refusal == nil
        if let refusal { await refuse(refusal) }
        return false
    }

    /// The part of `readHead` that does not wait.
    @inline(never)
    private func takeHead() -> RequestParser.Outcome {
        while transport.receivedCount > 0 {
            if !headHasBegun {
                headHasBegun = true
                deadline = transport.now &+ service.timeouts.head
                if parseInPlace() { return .complete }
                headIsCopied = true
                headCopy.removeAll()
                parser = RequestParser()
            }
            let outcome = copyAndParse()
            if outcome != .needsMore { return outcome }
        }
        if !headHasBegun { fields.shrink(above: 1024) }
        return .needsMore
    }

    /// Moves received octets behind the part of the head that is kept, and parses on.
    private func copyAndParse() -> RequestParser.Outcome {
        let limits = service.limits
        let before = headCopy.count
        let taken: Int? = transport.withReceived { run in
            let count = min(run.byteCount, max(0, limits.head &+ 1 &- before))
            return holdHead(run.extracting(first: count), isWhole: false) ? count : nil
        }
        guard let taken else { return .failed(.serviceUnavailable) }
        let outcome = headCopy.withOctets { parser.parse($0, limits: limits) }
        if outcome == .complete {
            // What follows the head stays where it is.
            headCopy.truncate(to: head.length)
            transport.consume(head.length &- before)
        } else {
            transport.consume(taken)
        }
        return outcome
    }

    // MARK: Around the handler

    @inline(__always) private func begin() {
        serial &+= 1
        keepsAlive = head.keepsAlive
        response = ResponseState()
        fields.removeAll()
        if head.hasBody { beginBody() }
    }

    /// After the handler: there must be a whole answer, and nothing left of the request. False if
    /// `complete` has to see to that.
    @inline(__always) private func completeAtOnce() -> Bool {
        guard failure == nil, response.phase == .finished, !headIsCopied, bodyIsOver else {
            return false
        }
        transport.consume(head.length)
        serial &+= 1
        return true
    }

    @inline(never) nonisolated(nonsending) private func complete() async {
        if response.phase != .finished { await finishResponse() }
        if headIsCopied {
            releaseHead()
        } else {
            transport.consume(head.length)
        }
        serial &+= 1
        if case .none = body { return }
        await discardBody()
    }

    nonisolated(nonsending) private func finishResponse() async {
        switch response.phase {
        case .notStarted:
            await answerPlainly(.internalServerError)
        case .length(let remaining):
            // Less than was promised: only a broken connection tells the client.
            if remaining > 0 { fail() } else { response.phase = .finished }
        case .chunked, .untilClose:
            await endStream()
        case .finished, .failed:
            break
        }
    }

    /// Gives up on this connection.
    func fail() {
        response.phase = .failed
        keepsAlive = false
        lingers = false
        transport.abort()
    }

    /// No further request on this connection.
    func closeAfterwards(lingering: Bool) {
        keepsAlive = false
        if lingering { lingers = true }
    }

    /// True if the response must tell the client that the connection closes after it.
    var announcesClose: Bool { !keepsAlive || service.isStopping }

    /// Answers what went wrong while the request was read, if there is still a way to say so.
    nonisolated(nonsending) private func answer(_ error: HTTPError) async {
        guard response.phase == .notStarted else { return fail() }
        switch error {
        case .timedOut:
            closeAfterwards(lingering: true)
            await answerPlainly(.requestTimeout)
        case .contentTooLarge:
            closeAfterwards(lingering: true)
            await answerPlainly(.contentTooLarge)
        case .malformed:
            closeAfterwards(lingering: true)
            await answerPlainly(.badRequest)
        case .overloaded:
            closeAfterwards(lingering: true)
            await answerPlainly(.serviceUnavailable)
        case .disconnected:
            fail()
        case .finished:
            await answerPlainly(.internalServerError)
        }
    }

    /// Sends a plain answer made of the status alone.
    nonisolated(nonsending) private func answerPlainly(_ status: HTTPStatus) async {
        fields.removeAll()
        response.status = status
        response.hasContentType = false
        var text = OctetBuffer(capacity: 64)
        text.append(decimal: UInt64(status.code))
        text.append(octet: ASCII.space)
        text.append(status.reason)
        text.append(octet: ASCII.lineFeed)
        await sendWhole(text.octets, contentType: "text/plain")
    }

    /// Refuses a request whose head is not acceptable: an answer, then the end.
    nonisolated(nonsending) private func refuse(_ status: HTTPStatus) async {
        serial &+= 1
        releaseHead()
        response = ResponseState()
        // The method may not be known; an answer with content is what most clients show.
        response.omitsContent = false
        body = .none
        closeAfterwards(lingering: true)
        await answerPlainly(status)
    }

    // MARK: The end

    /// Called when the server stops: ends the wait for a request that has not begun. The
    /// connection's task then closes it in the orderly way (RFC 9112 §9.6).
    func endIfIdle() {
        if isIdle { transport.interrupt() }
    }

    /// When patience with a head ends of which a part is held aside; nil if there is none.
    var slowHeadDeadline: UInt64? {
        stage == .betweenRequests && headHasBegun && headIsCopied && !isGivenUp ? deadline : nil
    }

    /// Ends the connection without an answer, for what it holds of a head to be free at once.
    func giveUp() {
        isGivenUp = true
        releaseHead()
        transport.interrupt()
    }

    /// Closes so that the last answer arrives: were unread octets left at close, TCP would reset
    /// the connection, and the reset could overtake the answer (RFC 9112 §9.6).
    nonisolated(nonsending) private func close() async {
        guard response.phase != .failed else { return }
        transport.finish()
        guard lingers || transport.receivedCount > 0 else { return }
        let deadline = transport.now &+ service.timeouts.linger
        var allowance = 1 << 20
        while allowance > 0 {
            let count = transport.receivedCount
            if count > 0 {
                transport.consume(count)
                allowance &-= count
                continue
            }
            do throws(Transport.Failure) {
                guard try await transport.waitUntilReadable(until: deadline) else { return }
            } catch {
                break
            }
        }
        transport.abort()
    }
}
