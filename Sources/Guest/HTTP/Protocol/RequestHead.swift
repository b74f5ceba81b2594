// A parsed request head: where its parts lie in the octets received, and what frames the message.

/// The head of one request (RFC 9112 §2.1). Ranges count from the first octet that the parser was
/// given; the octets themselves stay where they were received.
public struct RequestHead: Sendable {
    public var method = HTTPMethod.other
    /// The minor version of HTTP/1; 1 for anything above.
    public var minorVersion: UInt8 = 1
    public var methodName = OctetRange.empty
    /// The request target as sent.
    public var target = OctetRange.empty
    /// The path of the target, still percent-encoded, without the query. "*" for `OPTIONS *`.
    public var path = OctetRange.empty
    /// The query, without its "?"; empty if there is none.
    public var query = OctetRange.empty
    /// From the first header line to the empty line, exclusively.
    public var fields = OctetRange.empty
    /// Octets of the whole head, the empty line included.
    public var length = 0
    /// The body's length, if it is not chunked; 0 without Content-Length.
    public var contentLength: UInt64 = 0
    var seen: Seen = []

    struct Seen: OptionSet, Sendable {
        var rawValue: UInt8
        static var host: Seen { Seen(rawValue: 1) }
        static var contentLength: Seen { Seen(rawValue: 2) }
        static var chunked: Seen { Seen(rawValue: 4) }
        static var close: Seen { Seen(rawValue: 8) }
        static var keepAlive: Seen { Seen(rawValue: 16) }
        static var expectContinue: Seen { Seen(rawValue: 32) }
    }

    public init() {}

    /// True if the body has chunked coding (RFC 9112 §7.1).
    public var isChunked: Bool { seen.contains(.chunked) }
    /// True if octets of a body follow the head.
    public var hasBody: Bool { isChunked || contentLength > 0 }
    /// True if the client waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1).
    public var expectsContinue: Bool {
        seen.contains(.expectContinue) && minorVersion > 0 && hasBody
    }
    /// True if the connection may carry another request after this one (RFC 9112 §9.3).
    public var keepsAlive: Bool {
        !seen.contains(.close) && (minorVersion > 0 || seen.contains(.keepAlive))
    }

    /// Where the value of the first header line called `name` lies in `head`; nil if there is none.
    public func field(_ name: RawSpan, in head: RawSpan) -> OctetRange? {
        head.field(name, in: fields)
    }

    /// Calls `body` with each header line's name and value, in order, until it returns false.
    @inline(__always)
    public func forEachField(
        in head: RawSpan, _ body: (_ name: OctetRange, _ value: OctetRange) -> Bool
    ) {
        head.forEachField(in: fields, body)
    }
}
