// Reading the body of a request: by length or chunked, within limits of size and time; and the head,
// which is held aside meanwhile.

import _Concurrency

extension HTTPServerConnection {
    /// Moves octets of the head aside, where they may stay for long.
    ///
    /// - Returns: false if all connections together hold as much as they may, and none of them waits
    ///   for the rest of its head; nothing was moved.
    func holdHead(_ octets: RawSpan, isWhole: Bool) -> Bool {
        let before = headCopy.capacity
        while service.slowHeads &+ octets.byteCount > service.limits.slowHeads {
            guard service.giveUpSlowest(but: self) else { return false }
        }
        if isWhole, before == 0 { headCopy = OctetBuffer(capacity: octets.byteCount) }
        headCopy.append(octets)
        service.slowHeads &+= headCopy.capacity &- before
        return true
    }

    /// The head is needed no longer. Its storage goes too: were idle connections to keep theirs, they
    /// would use up what slow ones may hold.
    @inline(never)
    func releaseHead() {
        service.slowHeads &-= headCopy.capacity
        headCopy.shrink(above: 0)
        headIsCopied = false
    }

    /// The head is moved aside, so that the body is what is received next.
    @inline(never) func beginBody() {
        if !headIsCopied {
            headCopy.removeAll()
            let length = head.length
            guard
                transport.withReceived({
                    holdHead($0.extracting(first: length), isWhole: true)
                })
            else {
                body = .failed(.overloaded)
                return
            }
            headIsCopied = true
            transport.consume(length)
        }
        bodyCount = 0
        bodyPatience = Patience(service.timeouts.body)
        owesContinue = head.expectsContinue
        if head.isChunked {
            body = .chunked(ChunkedDecoder())
        } else if head.contentLength > service.limits.body {
            body = .failed(.contentTooLarge)
        } else {
            body = .length(remaining: head.contentLength)
        }
    }

    /// Shows the next octets of the body, at most `limit` of them, to `take`.
    ///
    /// - Returns: false at the end of the body; `take` was not called.
    nonisolated(nonsending) func readBody(
        limit: Int, _ take: (RawSpan) -> Void
    ) async throws(HTTPError) -> Bool {
        while true {
            if let more = try takeBody(limit: limit, take) { return more }
            try await awaitBody()
        }
    }

    /// The part of `readBody` that does not wait; nil if there is nothing yet.
    @inline(never)
    private func takeBody(limit: Int, _ take: (RawSpan) -> Void) throws(HTTPError) -> Bool? {
        while true {
            switch body {
            case .none:
                return false
            case .failed(let error):
                throw error
            case .length(let remaining):
                let count = transport.withReceived { run in
                    let count = Int(min(UInt64(min(run.byteCount, max(1, limit))), remaining))
                    if count > 0 { take(run.extracting(first: count)) }
                    return count
                }
                if count > 0 {
                    transport.consume(count)
                    bodyPatience.earned(octets: count)
                    let left = remaining &- UInt64(count)
                    body = left > 0 ? .length(remaining: left) : .none
                    return true
                }
            case .chunked(var decoder):
                let overhead = service.limits.chunkOverhead
                let step = transport.withReceived { run in
                    let step = decoder.next(run, limit: limit, overheadLimit: overhead)
                    if case .content(let skipped, let count) = step,
                        bodyCount &+ UInt64(count) <= service.limits.body
                    {
                        take(run.extracting(skipped..<skipped &+ count))
                    }
                    return step
                }
                body = .chunked(decoder)
                switch step {
                case .content(let skipped, let count):
                    transport.consume(skipped &+ count)
                    bodyCount &+= UInt64(count)
                    if bodyCount > service.limits.body { throw failBody(.contentTooLarge) }
                    bodyPatience.earned(octets: count)
                    return true
                case .end(let consumed):
                    transport.consume(consumed)
                    body = .none
                    return false
                case .malformed:
                    throw failBody(.malformed)
                case .needsMore(let consumed):
                    transport.consume(consumed)
                    bodyPatience.earned(octets: consumed)
                    // The rest may lie beyond the end of a ring.
                    if consumed > 0, transport.receivedCount > 0 { continue }
                }
            }
            return nil
        }
    }

    private func failBody(_ error: HTTPError) -> HTTPError {
        body = .failed(error)
        return error
    }

    nonisolated(nonsending) private func awaitBody() async throws(HTTPError) {
        if owesContinue {
            owesContinue = false
            if response.phase == .notStarted {
                await sendAll(("HTTP/1.1 100 Continue\r\n\r\n" as StaticString).octets)
            }
        }
        let start = transport.now
        do throws(Transport.Failure) {
            let more = try await transport.waitUntilReadable(until: bodyPatience.deadline(start))
            bodyPatience.waited(transport.now &- start)
            if more { return }
        } catch {
            if Transport.isTimeout(error) { throw failBody(.timedOut) }
        }
        throw failBody(.disconnected)
    }

    /// True if what is left of the body is little enough to be read and thrown away.
    var bodyIsDrainable: Bool {
        switch body {
        case .none: true
        case .length(let remaining): !owesContinue && remaining <= service.limits.drain
        case .chunked: !owesContinue
        case .failed: false
        }
    }

    /// Throws away what the handler left of the body, or gives the connection up.
    @inline(never) nonisolated(nonsending) func discardBody() async {
        var allowance = service.limits.drain
        while bodyIsDrainable, !announcesClose {
            var count = 0
            do throws(HTTPError) {
                guard try await readBody(limit: .max, { count = $0.byteCount }) else { return }
            } catch {
                break
            }
            guard allowance >= UInt64(count) else { break }
            allowance &-= UInt64(count)
            if case .none = body { return }
        }
        closeAfterwards(lingering: true)
    }
}
