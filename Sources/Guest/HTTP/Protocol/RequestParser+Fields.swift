// The header lines of a request head (RFC 9112 §5), and the five fields that frame the message (§6).

extension RequestParser {
    /// Parses the line at `position`, or the empty one behind the last.
    @inline(__always)
    mutating func parseFieldLine(_ bytes: RawSpan) -> Step {
        if bytes.octet(position) == ASCII.carriageReturn {
            return endOfHead(bytes, at: position)
        }
        return parseField(bytes)
    }

    @inline(never)
    private mutating func parseField(_ bytes: RawSpan) -> Step {
        switch bytes.scanField(at: position) {
        case .line(let name, let value, let next):
            return take(bytes, name, value, next: next)
        case .needsMore: return .needsMore
        case .malformed: return .failed(.badRequest)
        }
    }

    @inline(__always)
    private mutating func take(
        _ bytes: RawSpan, _ name: OctetRange, _ value: OctetRange, next: Int
    ) -> Step {
        // Only the five fields that frame a request are looked at now, told apart by length first.
        switch name.count {
        case 4, 6, 10, 14, 17:
            let refusal = interpret(bytes.octets(name), value: bytes.octets(value))
            return refusal.map { .failed($0) } ?? .line(next: next)
        default:
            return .line(next: next)
        }
    }

    @inline(__always)
    private func endOfHead(_ bytes: RawSpan, at index: Int) -> Step {
        guard index &+ 1 < bytes.byteCount else { return .needsMore }
        return bytes.octet(index &+ 1) == ASCII.lineFeed
            ? .end(next: index &+ 2) : .failed(.badRequest)
    }

    /// Takes in a field that frames the message; the status to refuse the request with, if any.
    private mutating func interpret(_ name: RawSpan, value: RawSpan) -> HTTPStatus? {
        switch name.byteCount {
        case 4:
            guard name.halfWord(0) | 0x2020_2020 == 0x7473_6F68 else { return nil }
            return takeHost(value)
        case 6 where name.equalsIgnoringCase("expect"):
            guard value.equalsIgnoringCase("100-continue") else { return .expectationFailed }
            head.seen.insert(.expectContinue)
        case 10 where name.equalsIgnoringCase("connection"):
            var seen = head.seen
            value.forEachListMember { member in
                if member.equalsIgnoringCase("close") { seen.insert(.close) }
                if member.equalsIgnoringCase("keep-alive") { seen.insert(.keepAlive) }
                return true
            }
            head.seen = seen
        case 14 where name.equalsIgnoringCase("content-length"):
            return takeContentLength(value)
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            return takeTransferEncoding(value)
        default:
            break
        }
        return nil
    }

    private mutating func takeHost(_ value: RawSpan) -> HTTPStatus? {
        guard !head.seen.contains(.host) else { return .badRequest }
        head.seen.insert(.host)
        var index = 0
        while index < value.byteCount {
            let stops = Word.notPlainHost(value.word(index))
            index &+= Word.first(stops)
            if stops == 0 { continue }
            if index >= value.byteCount { break }
            guard ASCII.isHost(value.octet(index)) else { return .badRequest }
            index &+= 1
        }
        return nil
    }

    private mutating func takeContentLength(_ value: RawSpan) -> HTTPStatus? {
        // Equal duplicates could be merged (RFC 9112 §6.3); nobody honest sends them.
        guard !head.seen.contains(.contentLength) else { return .badRequest }
        head.seen.insert(.contentLength)
        guard let length = value.decimal else {
            for index in 0..<value.byteCount where !ASCII.isDigit(value.octet(index)) {
                return .badRequest
            }
            return value.byteCount == 0 ? .badRequest : .contentTooLarge
        }
        head.contentLength = length
        return nil
    }

    private mutating func takeTransferEncoding(_ value: RawSpan) -> HTTPStatus? {
        guard !head.seen.contains(.chunked), value.byteCount > 0 else { return .badRequest }
        head.seen.insert(.chunked)
        if value.equalsIgnoringCase("chunked") { return nil }
        // Codings other than chunked are not understood (501), if at least chunked comes last and
        // once: without that the body has no end that both sides agree on (§6.1, §6.3).
        var members = 0
        var chunks = 0
        var chunkedLast = false
        value.forEachListMember { member in
            members &+= 1
            chunkedLast = member.equalsIgnoringCase("chunked")
            chunks &+= chunkedLast ? 1 : 0
            return true
        }
        return members > 1 && chunks == 1 && chunkedLast ? .notImplemented : .badRequest
    }
}
