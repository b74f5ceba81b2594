// The request head parser (RFC 9112 §§2–6): strict, incremental, in place.
//
// It reads whole lines from the octets received so far and remembers only where the next line
// starts, so it may be called again with more octets, split anywhere. What smuggling attacks live
// on (RFC 9112 §11.2) is refused, never repaired: bare CR or LF, folded lines, blanks around
// names, two lengths, lengths with a transfer coding, two hosts.

/// Parses one request head at a time.
public struct RequestParser: Sendable {
    /// What came of a call.
    public enum Outcome: Equatable, Sendable {
        /// The head is not whole yet; call again with the same octets and more behind them.
        case needsMore
        /// `head` is whole.
        case complete
        /// The request is refused with this status, and the connection has to be closed.
        case failed(HTTPStatus)
    }

    enum Step: Equatable {
        case line(next: Int)
        case end(next: Int)
        case needsMore
        case failed(HTTPStatus)
    }

    public internal(set) var head = RequestHead()
    /// Where the line to parse next starts.
    private(set) var position = 0
    private var headerCount = 0
    private var hasRequestLine = false

    public init() {}

    /// True once any octet of a request was seen.
    public var hasBegun: Bool { hasRequestLine || position > 0 }

    /// Parses a head that lies at the front of `bytes`, perhaps whole. What it shares with the
    /// `recent` one is not looked at again; a whole one becomes the recent one.
    @inline(__always)
    public mutating func parse(
        _ bytes: RawSpan, limits: HTTPLimits, recent: inout RecentHead
    ) -> Outcome {
        if recent.isWhole(bytes) {
            self = recent.parser
            return .complete
        }
        self = RequestParser()
        let outcome = parse(bytes, limits: limits, after: &recent)
        if outcome == .complete, !recent.lent { recent.remember(bytes, self) }
        return outcome
    }

    /// Parses on. `bytes` begins with the head's first octet at every call for that head.
    public mutating func parse(_ bytes: RawSpan, limits: HTTPLimits) -> Outcome {
        var none = RecentHead()
        return parse(bytes, limits: limits, after: &none)
    }

    @inline(never) @_optimize(speed)
    private mutating func parse(
        _ bytes: RawSpan, limits: HTTPLimits, after recent: inout RecentHead
    ) -> Outcome {
        if !hasRequestLine {
            // An empty line before the request is skipped: old clients end a body with one
            // (RFC 9112 §2.2).
            if position == 0, bytes.octet(0) == ASCII.carriageReturn {
                guard bytes.byteCount > 1 else { return .needsMore }
                guard bytes.octet(1) == ASCII.lineFeed else { return .failed(.badRequest) }
                position = 2
            }
            switch parseRequestLine(bytes, limit: limits.requestLine) {
            case .line(let next):
                position = next
                hasRequestLine = true
                head.fields = OctetRange(start: next, end: next)
                if recent.hasLines(of: bytes, at: next) {
                    return adoptLines(recent, limits: limits)
                }
            case .needsMore:
                return bytes.byteCount > limits.head ? .failed(.uriTooLong) : .needsMore
            case .failed(let status): return .failed(status)
            case .end: return .failed(.badRequest)
            }
        }
        while true {
            switch parseFieldLine(bytes) {
            case .line(let next):
                headerCount &+= 1
                position = next
                if headerCount > limits.headerCount || next > limits.head {
                    return .failed(.headerFieldsTooLarge)
                }
            case .end(let next):
                head.fields = OctetRange(start: Int(head.fields.start), end: position)
                head.length = next
                return finish()
            case .needsMore:
                return bytes.byteCount > limits.head ? .failed(.headerFieldsTooLarge) : .needsMore
            case .failed(let status):
                return .failed(status)
            }
        }
    }

    /// Takes over what the header lines of another head said: this one's are the same.
    @inline(__always)
    private mutating func adoptLines(
        _ recent: borrowing RecentHead, limits: HTTPLimits
    ) -> Outcome {
        let distance = Int(head.fields.start) &- Int(recent.parser.head.fields.start)
        let end = Int(recent.parser.head.fields.end) &+ distance
        if end > limits.head { return .failed(.headerFieldsTooLarge) }
        head.fields = OctetRange(start: position, end: end)
        head.length = recent.parser.head.length &+ distance
        head.seen = recent.parser.head.seen
        headerCount = recent.parser.headerCount
        return finish()
    }

    // MARK: The request line (RFC 9112 §3)

    @_transparent
    private mutating func parseRequestLine(_ bytes: RawSpan, limit: Int) -> Step {
        var index = position
        if bytes.halfWord(position) == 0x2054_4547 {
            // "GET ", most of the time.
            index &+= 3
            head.method = .get
        } else {
            while ASCII.isToken(bytes.octet(index)) {
                index &+= 1
                if index &- position > 32 { return .failed(.notImplemented) }
            }
            if index >= bytes.byteCount { return .needsMore }
            guard index > position, bytes.octet(index) == ASCII.space else {
                return .failed(.badRequest)
            }
            head.method = HTTPMethod(bytes.extracting(position..<index))
        }
        let method = OctetRange(start: position, end: index)

        let target = index &+ 1
        var query = -1
        index = target
        while true {
            // Everything visible in ASCII, up to the first octet that is not, or is a "?" or a "#".
            let word = bytes.word(index)
            let stop =
                Word.below(word, 0x21) | Word.equal(word, 0x7F) | Word.equal(word, 0x23)
                | Word.equal(word, 0x3F) | word & Word.highs
            index &+= Word.first(stop)
            if stop != 0 {
                if bytes.octet(index) != 0x3F { break }
                if query < 0 { query = index }
                index &+= 1
            }
            if index &- position > limit { return .failed(.uriTooLong) }
        }
        if index &- position > limit { return .failed(.uriTooLong) }
        if index >= bytes.byteCount { return .needsMore }
        guard index > target, bytes.octet(index) == ASCII.space else { return .failed(.badRequest) }

        let version = index &+ 1
        // "HTTP/1.1" and CRLF, most of the time.
        if bytes.word(version) == 0x312E_312F_5054_5448, bytes.octet(version &+ 8) == 0x0D,
            bytes.octet(version &+ 9) == 0x0A, version &+ 10 &- position <= limit
        {
            head.minorVersion = 1
        } else {
            let step = parseVersion(bytes, at: version, limit: limit)
            guard case .line = step else { return step }
        }
        head.methodName = method
        head.target = OctetRange(start: target, end: index)
        if bytes.octet(target) == 0x2F, head.method != .connect {
            // origin-form, with a path from "/" on (RFC 9112 §3.2.1).
            let end = query < 0 ? index : query
            head.path = OctetRange(start: target, end: end)
            head.query = OctetRange(start: min(end &+ 1, index), end: index)
        } else {
            guard parseTarget(bytes, from: target, to: index) else { return .failed(.badRequest) }
            // No tunnels here (RFC 9110 §9.3.6).
            if head.method == .connect { return .failed(.notImplemented) }
        }
        return .line(next: version &+ 10)
    }

    /// The version, if it is not HTTP/1.1 or not whole (RFC 9112 §2.3).
    @inline(never)
    private mutating func parseVersion(_ bytes: RawSpan, at version: Int, limit: Int) -> Step {
        let room = bytes.byteCount &- version
        guard room >= 10 else {
            // So far it must at least look like a version, or garbage would be waited for.
            let expected = ("HTTP/" as StaticString).octets
            for offset in 0..<max(0, min(room, 5))
            where bytes.octet(version &+ offset) != expected.octet(offset) {
                return .failed(.badRequest)
            }
            return .needsMore
        }
        if version &+ 10 &- position > limit { return .failed(.uriTooLong) }
        switch bytes.word(version) {
        case 0x312E_312F_5054_5448: head.minorVersion = 1
        case 0x302E_312F_5054_5448: head.minorVersion = 0
        default:
            guard bytes.extracting(version..<version &+ 5).equals("HTTP/"),
                ASCII.isDigit(bytes.octet(version &+ 5)), bytes.octet(version &+ 6) == 0x2E,
                ASCII.isDigit(bytes.octet(version &+ 7))
            else { return .failed(.badRequest) }
            guard bytes.octet(version &+ 5) == 0x31 else { return .failed(.versionNotSupported) }
            head.minorVersion = 1
        }
        guard bytes.octet(version &+ 8) == ASCII.carriageReturn,
            bytes.octet(version &+ 9) == ASCII.lineFeed
        else { return .failed(.badRequest) }
        return .line(next: version &+ 10)
    }

    /// Splits a target that is not a path into path and query (RFC 9112 §3.2).
    @inline(never)
    private mutating func parseTarget(_ bytes: RawSpan, from start: Int, to end: Int) -> Bool {
        var path = start
        if bytes.octet(start) != 0x2F {
            if head.method == .connect { return true }
            if end &- start == 1, bytes.octet(start) == 0x2A {
                head.path = OctetRange(start: start, end: end)
                return head.method == .options
            }
            // absolute-form, which a server must accept (RFC 9112 §3.2.2).
            let target = bytes.extracting(start..<end)
            guard target.byteCount > 7,
                target.extracting(first: 7)
                    .equalsIgnoringCase("http://")
            else { return false }
            path = start &+ 7
            let authority = path
            while path < end, bytes.octet(path) != 0x2F, bytes.octet(path) != 0x3F {
                guard ASCII.isHost(bytes.octet(path)) else { return false }
                path &+= 1
            }
            guard path > authority else { return false }
        }
        var query = path
        while query < end {
            let octet = bytes.octet(query)
            if octet == 0x3F { break }
            // A fragment never travels (RFC 9110 §7.1).
            if octet == 0x23 { return false }
            query &+= 1
        }
        // An empty path means "/", and there is one in "http://" to point at.
        head.path =
            query > path
            ? OctetRange(start: path, end: query)
            : OctetRange(start: start &+ 6, end: start &+ 7)
        head.query = OctetRange(start: min(query &+ 1, end), end: end)
        return true
    }

    /// The checks that need the whole head.
    @inline(__always)
    private func finish() -> Outcome {
        let seen = head.seen
        if head.minorVersion > 0, !seen.contains(.host) { return .failed(.badRequest) }
        if seen.contains(.chunked), seen.contains(.contentLength) || head.minorVersion == 0 {
            return .failed(.badRequest)
        }
        return .complete
    }
}
