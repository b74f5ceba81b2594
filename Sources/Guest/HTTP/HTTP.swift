// HTTP/1.1 (RFC 9110, RFC 9112) as state machines over octets: no I/O, no clock, no allocation on
// the path of a request. `Protocol` has the formats, `Server` the life of one connection, generic
// over its transport, so that the guest's TCP and a test's memory run the very same code.

/// A run of octets inside a larger piece, such as a header value inside a request head.
public struct OctetRange: Equatable, Sendable {
    public var start: UInt32
    public var count: UInt32

    @inlinable public init(start: Int, end: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        count = UInt32(truncatingIfNeeded: end &- start)
    }

    @inlinable public static var empty: OctetRange { OctetRange(start: 0, end: 0) }

    @inlinable public var end: Int { Int(start) &+ Int(count) }
    @inlinable public var isEmpty: Bool { count == 0 }
}

extension RawSpan {
    /// The octets of `range`; an empty span if the range does not lie within this one.
    @inlinable @_lifetime(copy self)
    public func octets(_ range: OctetRange) -> RawSpan {
        guard range.end <= byteCount else { return extracting(first: 0) }
        return extracting(Int(range.start)..<range.end)
    }
}

/// What one server accepts, each a bound on what a single client can make it hold or do.
public struct HTTPLimits: Sendable {
    /// Octets of the request line; more is answered 414.
    public var requestLine = 8192
    /// Octets of the whole request head; more is answered 431.
    public var head = 16384
    /// Header lines; more are answered 431.
    public var headerCount = 100
    /// Octets of a request body, whatever its framing; more are answered 413.
    public var body: UInt64 = 1 << 30
    /// Octets of chunk extensions, and of trailers, in one body.
    public var chunkOverhead = 16384
    /// Octets of a body the handler left unread that are read and thrown away to keep the
    /// connection usable; with more to come it is closed.
    public var drain: UInt64 = 65536
    /// Octets held of request heads that come in pieces, or whose bodies do, of all connections
    /// together: slow clients cannot use up the memory. Beyond that, who has been sending a head for
    /// longest is cut off; without any such, the request is answered 503. Those that arrive whole are
    /// not concerned.
    public var slowHeads = 4 << 20

    public init() {}
}
