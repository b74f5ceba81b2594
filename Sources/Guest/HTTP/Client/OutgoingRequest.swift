// A request as an application makes it, and its head as octets.

extension HTTPMethod {
    /// The method's name (RFC 9110 §9.1); empty for `.other`.
    public var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .patch: "PATCH"
        case .trace: "TRACE"
        case .connect: "CONNECT"
        case .other: ""
        }
    }

    /// True if to ask twice does no more than to ask once (RFC 9110 §9.2.2).
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        case .post, .patch, .connect, .other: false
        }
    }
}

/// A request that a client sends: method, URL, header lines, and content.
public struct HTTPOutgoingRequest<Transport: HTTPTransport>: Sendable {
    /// What is sent behind the head.
    public enum Body: Sendable {
        case none
        case octets([UInt8])
        /// Pieces that a function writes; chunked, unless their length is known before.
        case stream(length: UInt64?, @Sendable (HTTPBodyWriter<Transport>) async -> Void)
    }

    public var method: HTTPMethod
    /// In octets of ASCII.
    public var url: [UInt8]
    public var body: Body
    /// Header lines, each with its CRLF.
    private(set) var fields: [UInt8] = []
    private(set) var hasUserAgent = false
    /// A header line was refused.
    private(set) var isSpoilt = false

    private static var longestFields: Int { 16384 }

    public init(_ method: HTTPMethod, _ url: String, body: Body = .none) {
        self.method = method
        self.url = [UInt8](url.utf8)
        self.body = body
    }

    /// Adds a header line.
    ///
    /// - Returns: false if it is none: not a token as the name, a control character in the value, a
    ///   field that is the client's own (Host, Content-Length, Transfer-Encoding, Connection, TE,
    ///   Trailer, Expect, Upgrade), or too much. The request is not sent then.
    @discardableResult
    public mutating func addHeader(_ name: StaticString, _ value: some StringProtocol) -> Bool {
        let octets = [UInt8](value.utf8)
        return addHeader(name.octets, octets.span.bytes)
    }

    /// Adds a header line; see above.
    @discardableResult
    public mutating func addHeader(_ name: RawSpan, _ value: RawSpan) -> Bool {
        let length = fields.count &+ name.byteCount &+ value.byteCount
        guard name.isFieldName, value.isFieldValue, length < Self.longestFields,
            !Self.isOwn(name)
        else {
            isSpoilt = true
            return false
        }
        if name.equalsIgnoringCase("user-agent") { hasUserAgent = true }
        Self.append(name, to: &fields)
        Self.append((": " as StaticString).octets, to: &fields)
        Self.append(value, to: &fields)
        Self.append(("\r\n" as StaticString).octets, to: &fields)
        return true
    }

    /// Fields that say how the message is framed, or what becomes of the connection.
    private static func isOwn(_ name: RawSpan) -> Bool {
        switch name.byteCount {
        case 2: name.equalsIgnoringCase("te")
        case 4: name.equalsIgnoringCase("host")
        case 6: name.equalsIgnoringCase("expect")
        case 7: name.equalsIgnoringCase("trailer") || name.equalsIgnoringCase("upgrade")
        case 10: name.equalsIgnoringCase("connection")
        case 14: name.equalsIgnoringCase("content-length")
        case 17: name.equalsIgnoringCase("transfer-encoding")
        default: false
        }
    }

    private static func append(_ octets: RawSpan, to target: inout [UInt8]) {
        for index in 0..<octets.byteCount { target.append(octets.octet(index)) }
    }

    /// True if the request can be sent a second time.
    var isRepeatable: Bool {
        if case .stream = body { return false }
        return method.isIdempotent
    }

    /// Writes the head (RFC 9112 §3).
    func writeHead(_ url: HTTPURL, into head: inout OctetBuffer) {
        head.append(method.name)
        head.append(" ")
        head.append(url.target.span.bytes)
        head.append(" HTTP/1.1\r\nHost: ")
        head.append(url.authority.span.bytes)
        head.append("\r\n")
        if !hasUserAgent { head.append("User-Agent: swiftlet\r\n") }
        head.append(fields.span.bytes)
        switch body {
        case .none:
            // Who has a meaning for content says so when there is none (RFC 9110 §8.6).
            if method == .post || method == .put || method == .patch {
                head.append("Content-Length: 0\r\n")
            }
        case .octets(let octets): Self.writeLength(UInt64(octets.count), into: &head)
        case .stream(let length?, _): Self.writeLength(length, into: &head)
        case .stream(nil, _): head.append("Transfer-Encoding: chunked\r\n")
        }
        head.append("\r\n")
    }

    private static func writeLength(_ length: UInt64, into head: inout OctetBuffer) {
        head.append("Content-Length: ")
        head.append(decimal: length)
        head.append("\r\n")
    }
}
