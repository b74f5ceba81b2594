// The request as a handler sees it.

import _Concurrency

/// One request: a view of its connection, valid until the handler returns. Kept beyond that it has
/// an empty path, no headers and no body; it never shows another request.
public struct HTTPServerRequest<Transport: HTTPTransport>: Sendable {
    let connection: HTTPServerConnection<Transport>
    let serial: UInt32

    @inline(__always) var isCurrent: Bool { connection.serial == serial }

    public var method: HTTPMethod { isCurrent ? connection.head.method : .other }
    /// The method's name, for those that `method` calls `.other`.
    public var methodName: HTTPText<Transport> { text(connection.head.methodName) }
    /// The path as sent, percent-encoded, without the query.
    public var path: HTTPText<Transport> { text(connection.head.path) }
    /// The query without its "?"; empty if there is none.
    public var query: HTTPText<Transport> { text(connection.head.query) }
    /// The request target as sent.
    public var target: HTTPText<Transport> { text(connection.head.target) }
    /// The HTTP version's minor number: 0 or 1.
    public var minorVersion: Int { Int(connection.head.minorVersion) }
    /// Who asks.
    public var remoteAddress: Transport.Address { connection.transport.remoteAddress }

    /// The value of the first header called `name` (in any case); nil if there is none.
    public func header(_ name: StaticString) -> HTTPText<Transport>? {
        field(name.octets).map { text($0) }
    }

    /// The value of the first header called `name` (in any case); nil if there is none.
    @_disfavoredOverload public func header(_ name: some StringProtocol) -> HTTPText<Transport>? {
        let characters = String(name).utf8
        return field(characters.span.bytes).map { text($0) }
    }

    /// Calls `body` with the name and value of each header, in order, until it returns false.
    public func forEachHeader(_ body: (RawSpan, RawSpan) -> Bool) {
        guard isCurrent else { return }
        connection.withHead { head in
            connection.head.forEachField(in: head) { body(head.octets($0), head.octets($1)) }
        }
    }

    /// Octets of the body, if the client told; nil for a chunked one.
    public var contentLength: UInt64? {
        connection.head.isChunked ? nil : connection.head.contentLength
    }

    /// Reads the next piece of the body in place.
    ///
    /// - Parameter take: is shown the octets, at most `limit` of them; they are gone afterwards.
    /// - Returns: false at the end of the body, `take` not having been called.
    nonisolated(nonsending)
        public func readBody(limit: Int = .max, _ take: (RawSpan) -> Void)
        async throws(HTTPError) -> Bool
    {
        guard isCurrent else { throw .finished }
        return try await connection.readBody(limit: limit, take)
    }

    /// Reads the next piece of the body behind the octets of `buffer`.
    ///
    /// - Returns: how many octets were appended; 0 at the end of the body.
    nonisolated(nonsending)
        public func readBody(into buffer: inout [UInt8], limit: Int = 65536)
        async throws(HTTPError) -> Int
    {
        let before = buffer.count
        var piece = OctetBuffer()
        _ = try await readBody(limit: limit) { piece.append($0) }
        buffer.reserveCapacity(before &+ piece.count)
        for index in 0..<piece.count { buffer.append(piece.octets.octet(index)) }
        return piece.count
    }

    /// Reads the whole body.
    ///
    /// - Parameter limit: a longer body throws `.contentTooLarge`, which answers 413 if the handler
    ///   lets it through.
    nonisolated(nonsending) public func body(upTo limit: Int) async throws(HTTPError) -> [UInt8] {
        guard isCurrent else { throw .finished }
        if let length = contentLength, length > UInt64(max(0, limit)) { throw .contentTooLarge }
        var whole: [UInt8] = []
        while try await readBody(into: &whole, limit: max(1, limit &- whole.count &+ 1)) > 0 {
            if whole.count > limit { throw .contentTooLarge }
        }
        return whole
    }

    private func text(_ range: OctetRange) -> HTTPText<Transport> {
        HTTPText(connection: connection, serial: serial, range: isCurrent ? range : .empty)
    }

    private func field(_ name: RawSpan) -> OctetRange? {
        guard isCurrent else { return nil }
        return connection.withHead { connection.head.field(name, in: $0) }
    }
}

/// A piece of a request's head, compared in place. `string` makes a `String` of it.
public struct HTTPText<Transport: HTTPTransport>: Sendable {
    let connection: HTTPServerConnection<Transport>
    let serial: UInt32
    let range: OctetRange

    /// Octets of the text.
    public var count: Int { Int(range.count) }
    public var isEmpty: Bool { range.isEmpty }

    /// Shows the octets; none once the request is over.
    @inline(__always) public func withOctets<R: ~Copyable>(_ body: (RawSpan) -> R) -> R {
        guard connection.serial == serial else { return body(RawSpan()) }
        return connection.withHead { body($0.octets(range)) }
    }

    @inline(__always) public static func == (text: HTTPText, literal: StaticString) -> Bool {
        text.count == literal.utf8CodeUnitCount && text.withOctets { $0.equals(literal.octets) }
    }

    @inline(__always) public static func != (text: HTTPText, literal: StaticString) -> Bool {
        !(text == literal)
    }

    /// Lets a text be matched by the literals of a `switch`.
    @inline(__always) public static func ~= (literal: StaticString, text: HTTPText) -> Bool {
        text == literal
    }

    public func hasPrefix(_ prefix: StaticString) -> Bool {
        withOctets { $0.starts(with: prefix.octets) }
    }

    /// True if this is `literal` in any mixture of cases.
    public func equalsIgnoringCase(_ literal: StaticString) -> Bool {
        withOctets { $0.equalsIgnoringCase(literal) }
    }

    /// The number written here in decimal; nil if it is none.
    public var integer: Int? {
        withOctets { $0.decimal }.flatMap { Int(exactly: $0) }
    }

    /// A copy of the octets.
    public var octets: [UInt8] {
        withOctets { octets in
            var copy: [UInt8] = []
            copy.reserveCapacity(octets.byteCount)
            for index in 0..<octets.byteCount { copy.append(octets.octet(index)) }
            return copy
        }
    }

    /// A copy as a string; what is no UTF-8 is replaced.
    public var string: String { String(decoding: octets, as: UTF8.self) }
}
