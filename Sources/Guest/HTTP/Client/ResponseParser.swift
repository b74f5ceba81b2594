// The response head parser (RFC 9112 §§2, 4, 5, 6): strict, incremental, in place, as the request's.
//
// A client that misjudges where a response ends takes the rest for the answer to its next request
// (RFC 9112 §11.1). What invites that is refused: two lengths, a length beside a transfer coding, a
// coding in HTTP/1.0, folded lines, bare CR or LF, NUL.

/// Parses one response head.
public struct ResponseParser: Sendable {
    /// What came of a call.
    public enum Outcome: Equatable, Sendable {
        /// The head is not whole yet; call again with the same octets and more behind them.
        case needsMore
        /// `head` is whole.
        case complete
        /// The response is not to be trusted, and its connection neither.
        case failed(HTTPResponseFault)
    }

    public private(set) var head = ResponseHead()
    /// Where the line to parse next starts.
    private var position = 0
    private var headerCount = 0
    private var hasStatusLine = false

    public init() {}

    /// Parses on. `bytes` begins with the head's first octet at every call for that head.
    public mutating func parse(_ bytes: RawSpan, limits: HTTPClientLimits) -> Outcome {
        let outcome = parseLines(bytes, limits: limits)
        if outcome == .needsMore, bytes.byteCount > limits.head { return .failed(.headTooLarge) }
        return outcome
    }

    private mutating func parseLines(_ bytes: RawSpan, limits: HTTPClientLimits) -> Outcome {
        if !hasStatusLine {
            let outcome = parseStatusLine(bytes)
            guard outcome == .complete else { return outcome }
            hasStatusLine = true
            head.fields = OctetRange(start: position, end: position)
        }
        while true {
            if bytes.octet(position) == ASCII.carriageReturn {
                guard position &+ 1 < bytes.byteCount else { return .needsMore }
                guard bytes.octet(position &+ 1) == ASCII.lineFeed else {
                    return .failed(.malformed)
                }
                head.fields = OctetRange(start: Int(head.fields.start), end: position)
                head.length = position &+ 2
                return head.length > limits.head ? .failed(.headTooLarge) : finish()
            }
            switch bytes.scanField(at: position) {
            case .line(let name, let value, let next):
                headerCount &+= 1
                guard headerCount <= limits.headerCount, next <= limits.head else {
                    return .failed(.headTooLarge)
                }
                if let fault = interpret(bytes.octets(name), bytes.octets(value)) {
                    return .failed(fault)
                }
                position = next
            case .needsMore: return .needsMore
            case .malformed: return .failed(.malformed)
            }
        }
    }

    /// `HTTP/1.1 200 OK`; the reason is nobody's business (RFC 9112 §4), and may be missing with
    /// the blank before it.
    private mutating func parseStatusLine(_ bytes: RawSpan) -> Outcome {
        let expected = ("HTTP/" as StaticString).octets
        for index in 0..<min(5, bytes.byteCount) where bytes.octet(index) != expected.octet(index) {
            return .failed(.malformed)
        }
        guard bytes.byteCount > 12 else { return .needsMore }
        guard ASCII.isDigit(bytes.octet(5)), bytes.octet(6) == 0x2E, ASCII.isDigit(bytes.octet(7)),
            bytes.octet(8) == ASCII.space
        else { return .failed(.malformed) }
        guard bytes.octet(5) == 0x31 else { return .failed(.version) }
        head.minorVersion = bytes.octet(7) == 0x30 ? 0 : 1
        var code: UInt16 = 0
        for index in 9..<12 {
            guard ASCII.isDigit(bytes.octet(index)) else { return .failed(.malformed) }
            code = code &* 10 &+ UInt16(bytes.octet(index) &- 0x30)
        }
        guard code >= 100, code < 600 else { return .failed(.malformed) }
        head.status = HTTPStatus(code)
        var index = 12
        guard bytes.octet(index) == ASCII.space || bytes.octet(index) == ASCII.carriageReturn
        else { return .failed(.malformed) }
        while index < bytes.byteCount, ASCII.isFieldValue(bytes.octet(index)) { index &+= 1 }
        if index >= bytes.byteCount { return .needsMore }
        guard bytes.octet(index) == ASCII.carriageReturn else { return .failed(.malformed) }
        guard index &+ 1 < bytes.byteCount else { return .needsMore }
        guard bytes.octet(index &+ 1) == ASCII.lineFeed else { return .failed(.malformed) }
        position = index &+ 2
        return .complete
    }

    /// Takes in a field that frames the message.
    private mutating func interpret(_ name: RawSpan, _ value: RawSpan) -> HTTPResponseFault? {
        switch name.byteCount {
        case 10 where name.equalsIgnoringCase("connection"):
            var close = false
            var keepAlive = false
            value.forEachListMember { member in
                if member.equalsIgnoringCase("close") { close = true }
                if member.equalsIgnoringCase("keep-alive") { keepAlive = true }
                return true
            }
            if close { head.announcesClose = true }
            if keepAlive { head.announcesKeepAlive = true }
        case 14 where name.equalsIgnoringCase("content-length"):
            // Equal duplicates could be merged (RFC 9112 §6.3); nobody honest sends them.
            guard head.contentLength == nil, let length = value.decimal else { return .malformed }
            head.contentLength = length
        case 17 where name.equalsIgnoringCase("transfer-encoding"):
            guard !head.isChunked else { return .malformed }
            // No other coding is offered (no TE field), so none may come (RFC 9112 §7).
            guard value.equalsIgnoringCase("chunked") else { return .coding }
            head.isChunked = true
        default:
            break
        }
        return nil
    }

    /// The checks that need the whole head (RFC 9112 §6.1, §6.3).
    private func finish() -> Outcome {
        if head.isChunked, head.contentLength != nil || head.minorVersion == 0 {
            return .failed(.malformed)
        }
        return .complete
    }
}
