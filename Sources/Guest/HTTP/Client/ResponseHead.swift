// A parsed response head: where its parts lie in the octets received, and what frames the message.

/// The head of one response (RFC 9112 §2.1, §4). Ranges count from the first octet that the parser
/// was given.
public struct ResponseHead: Sendable {
    public var status = HTTPStatus.ok
    /// The minor version of HTTP/1; 1 for anything above.
    public var minorVersion: UInt8 = 1
    /// From the first header line to the empty line, exclusively.
    public var fields = OctetRange.empty
    /// Octets of the whole head, the empty line included.
    public var length = 0
    /// The value of Content-Length; nil without it.
    public var contentLength: UInt64?
    /// True if the content has chunked coding (RFC 9112 §7.1).
    public var isChunked = false
    var announcesClose = false
    var announcesKeepAlive = false

    public init() {}

    /// True if the connection may carry another request after this one (RFC 9112 §9.3).
    public var keepsAlive: Bool { !announcesClose && (minorVersion > 0 || announcesKeepAlive) }

    /// True if no content follows, whatever the head says of one (RFC 9112 §6.3, 1 and 2).
    func hasNoContent(_ method: HTTPMethod) -> Bool { method == .head || status.forbidsContent }
}

/// How a response ends the patience of a client.
public enum HTTPResponseFault: Error, Equatable, Sendable {
    /// It is no HTTP response, or one that two readers could understand in two ways.
    case malformed
    /// Its head is longer than the limit.
    case headTooLarge
    /// It is of another major version than 1.
    case version
    /// Its content has a coding besides chunked, which was not asked for.
    case coding
}

/// What a client accepts, each a bound on what a server can make it hold or do.
public struct HTTPClientLimits: Sendable {
    /// Octets of a response's head.
    public var head = 32768
    /// Header lines.
    public var headerCount = 200
    /// Responses of status 1xx before the one that counts.
    public var interim = 16
    /// Octets of a response's content, whatever its framing.
    public var body: UInt64 = 1 << 40
    /// Octets of chunk extensions, and of trailers, in one body.
    public var chunkOverhead = 16384
    /// Octets of a response that nobody reads which are thrown away to keep its connection.
    public var drain: UInt64 = 65536
    /// Connections at once, to all servers.
    public var connections = 256
    /// Connections that are kept for later, to one server and to all.
    public var idlePerOrigin = 8
    public var idle = 64

    public init() {}
}

/// How long a server may take, in nanoseconds.
public struct HTTPClientTimeouts: Sendable {
    /// From the name to a connection.
    public var connect: UInt64 = 15_000_000_000
    /// From the request's last octet to the end of the response's head.
    public var head: UInt64 = 30_000_000_000
    /// Without progress while content is read. Every octet earns 2^20 ns (about 1 KB a second).
    public var body: UInt64 = 30_000_000_000
    /// Without progress while the request is written, earned back in the same way.
    public var write: UInt64 = 30_000_000_000
    /// How long a connection without a request is kept. Servers keep theirs for as long or longer.
    public var idle: UInt64 = 20_000_000_000

    public init() {}
}
