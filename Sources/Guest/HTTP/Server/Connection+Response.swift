// Writing a response: a whole one in one go, or a stream of declared or unknown length.

import _Concurrency

/// How far the current response has come.
struct ResponseState {
    enum Phase: Equatable {
        case notStarted
        /// Streaming; so many octets are still to come.
        case length(remaining: UInt64)
        case chunked
        /// Streaming to a client that knows no chunks: the end of the connection ends the body.
        case untilClose
        case finished
        /// The connection is gone.
        case failed
    }

    var phase = Phase.notStarted
    var status = HTTPStatus.ok
    /// True if the handler's own header lines have a Content-Type.
    var hasContentType = false
    /// True if the content is not sent: HEAD, or a status that has none.
    var omitsContent = false
    /// True if the content was too large for the buffer that the head was written in.
    var contentIsApart = false
}

extension HTTPServerConnection {
    /// What the head says of the content that follows.
    enum Framing {
        case length(UInt64)
        case chunked
        case untilClose
    }

    /// Sends all of `bytes`, waiting for room where there is none. False if the client is gone.
    @inline(never) @discardableResult
    nonisolated(nonsending) func sendAll(_ bytes: RawSpan) async -> Bool {
        let sent = transport.send(bytes)
        if sent == bytes.byteCount { return true }
        return await sendRest(bytes.extracting(droppingFirst: sent))
    }

    @inline(never)
    nonisolated(nonsending)
        func sendRest(_ bytes: RawSpan) async -> Bool
    {
        var rest = bytes
        writePatience = Patience(service.timeouts.write)
        while rest.byteCount > 0 {
            let start = transport.now
            do throws(Transport.Failure) {
                try await transport.waitUntilWritable(until: writePatience.deadline(start))
            } catch {
                fail()
                return false
            }
            let sent = transport.send(rest)
            writePatience.waited(transport.now &- start)
            writePatience.earned(octets: sent)
            rest = rest.extracting(droppingFirst: sent)
        }
        return true
    }

    /// Sends the scratch buffer, which other connections use too: what does not fit is copied
    /// before anything waits.
    @inline(never)
    nonisolated(nonsending) func sendScratch() async -> Bool {
        let sent = service.scratch.withOctets { transport.send($0) }
        if sent == service.scratch.count { return true }
        return await sendRestOfScratch(from: sent)
    }

    @inline(never)
    nonisolated(nonsending) private func sendRestOfScratch(from sent: Int) async -> Bool {
        var copy = OctetBuffer()
        service.scratch.withOctets { copy.append($0.extracting(droppingFirst: sent)) }
        return await sendRest(copy.octets)
    }

    /// Answers with `content` and ends the response. The common case is a plain function; only
    /// what does not fit at once takes the long way.
    @inline(__always)
    nonisolated(nonsending) func sendWhole(_ content: RawSpan, contentType: StaticString) async {
        let sent = sendAtOnce(content, contentType: contentType)
        if sent >= 0 { await finishWhole(content, sent: sent) }
    }

    /// Writes the head and hands it to the transport, with the content if that is small.
    ///
    /// - Returns: -1 if the response is complete, else how much of the scratch buffer was taken.
    @inline(never)
    private func sendAtOnce(_ content: RawSpan, contentType: StaticString) -> Int {
        guard response.phase == .notStarted else { return -1 }
        response.phase = .finished
        if head.method == .get, fields.count == 0, response.status == .ok, !announcesClose,
            head.minorVersion > 0, bodyIsOver, contentType.utf8CodeUnitCount > 0
        {
            response.contentIsApart = !service.writePlain(
                transport, contentType: contentType, content: content)
        } else {
            writeHead(.length(UInt64(content.byteCount)), contentType: contentType)
            // Small content goes out with its head in one copy.
            response.contentIsApart =
                !response.omitsContent && content.byteCount > service.scratch.room
            if !response.omitsContent, !response.contentIsApart { service.scratch.append(content) }
        }
        let sent = service.scratch.withOctets { transport.send($0) }
        return sent == service.scratch.count && !response.contentIsApart ? -1 : sent
    }

    @inline(never)
    nonisolated(nonsending) private func finishWhole(_ content: RawSpan, sent: Int) async {
        if sent < service.scratch.count {
            guard await sendRestOfScratch(from: sent) else { return }
        }
        if response.contentIsApart { await sendAll(content) }
    }

    /// Starts a response whose content comes in pieces.
    nonisolated(nonsending)
        func startStream(length: UInt64?, contentType: StaticString) async
    {
        guard response.phase == .notStarted else { return }
        if let length {
            response.phase = .length(remaining: length)
            writeHead(.length(length), contentType: contentType)
        } else if head.minorVersion > 0 {
            response.phase = .chunked
            writeHead(.chunked, contentType: contentType)
        } else {
            response.phase = .untilClose
            closeAfterwards(lingering: false)
            writeHead(.untilClose, contentType: contentType)
        }
        _ = await sendScratch()
    }

    /// Sends one piece of a stream. False if it was not taken: the client is gone, the response is
    /// over, or the piece is more than what was declared.
    nonisolated(nonsending) func writeStream(_ bytes: RawSpan) async -> Bool {
        if response.phase == .notStarted {
            await startStream(length: nil, contentType: "application/octet-stream")
        }
        switch response.phase {
        case .length(let remaining):
            guard remaining >= UInt64(bytes.byteCount) else { return false }
            response.phase = .length(remaining: remaining &- UInt64(bytes.byteCount))
            return response.omitsContent ? true : await sendAll(bytes)
        case .chunked:
            // A chunk of no octets would end the body.
            if response.omitsContent || bytes.byteCount == 0 { return true }
            service.beginScratch()
            service.scratch.append(hexadecimal: UInt64(bytes.byteCount))
            service.scratch.append("\r\n")
            guard await sendScratch(), await sendAll(bytes) else { return false }
            return await sendAll(("\r\n" as StaticString).octets)
        case .untilClose:
            return response.omitsContent ? true : await sendAll(bytes)
        case .notStarted, .finished, .failed:
            return false
        }
    }

    /// Ends a stream of unknown length.
    nonisolated(nonsending) func endStream() async {
        let isChunked = response.phase == .chunked
        response.phase = .finished
        if isChunked, !response.omitsContent {
            await sendAll(("0\r\n\r\n" as StaticString).octets)
        }
    }

    /// Writes the response's head into the scratch buffer (RFC 9112 §4).
    private func writeHead(_ framing: Framing, contentType: StaticString) {
        let status = response.status
        if status.forbidsContent || head.method == .head { response.omitsContent = true }
        if !bodyIsDrainable { closeAfterwards(lingering: true) }
        owesContinue = false

        service.beginScratch()
        if status == .ok {
            service.scratch.append("HTTP/1.1 200 OK\r\n")
        } else {
            service.scratch.append("HTTP/1.1 ")
            service.scratch.append(decimal: UInt64(status.code))
            service.scratch.append(octet: ASCII.space)
            service.scratch.append(status.reason)
            service.scratch.append("\r\n")
        }
        service.appendDate(transport)
        if announcesClose {
            service.scratch.append("Connection: close\r\n")
            closeAfterwards(lingering: false)
        } else if head.minorVersion == 0 {
            service.scratch.append("Connection: keep-alive\r\n")
        }
        if !status.forbidsContent {
            if !response.hasContentType, contentType.utf8CodeUnitCount > 0 {
                service.scratch.append("Content-Type: ")
                service.scratch.append(contentType)
                service.scratch.append("\r\n")
            }
        }
        if fields.count > 0 { fields.withOctets { service.scratch.append($0) } }
        if status.forbidsContent {
            service.scratch.append("\r\n")
            return
        }
        switch framing {
        case .length(let length):
            service.scratch.append("Content-Length: ")
            service.scratch.append(decimal: length)
            service.scratch.append("\r\n\r\n")
        case .chunked:
            service.scratch.append("Transfer-Encoding: chunked\r\n\r\n")
        case .untilClose:
            service.scratch.append("\r\n")
        }
    }
}
