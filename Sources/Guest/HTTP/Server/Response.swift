// The response as a handler writes it.

import _Concurrency

/// Answers one request, once: whole with `send`, or in pieces with `start`, `write` and `finish`.
///
/// What HTTP asks of every response is done here: Date, framing, Connection; no content for HEAD,
/// 204 and 304; 500 if the handler does not answer. A client that is gone makes all calls no-ops.
public struct HTTPServerResponse<Transport: HTTPTransport>: Sendable {
    let connection: HTTPServerConnection<Transport>
    let serial: UInt32

    @inline(__always) var isCurrent: Bool { connection.serial == serial }

    /// The status to be sent; 200 unless set.
    public var status: HTTPStatus {
        get { connection.response.status }
        nonmutating set { if isCurrent { connection.response.status = newValue } }
    }

    /// True once the head was sent; status and headers can no longer change.
    public var isStarted: Bool { !isCurrent || connection.response.phase != .notStarted }

    // MARK: Headers

    /// Adds a header line.
    ///
    /// - Returns: false, and nothing is added, if it is none: not a token as the name, a control
    ///   character in the value (so that no one can split the response), a field that is the
    ///   server's own (Content-Length, Transfer-Encoding, Connection, Date), or too much.
    @discardableResult
    public func addHeader(_ name: StaticString, _ value: StaticString) -> Bool {
        addHeader(name.octets, value.octets)
    }

    /// Adds a header line; see above.
    @discardableResult @_disfavoredOverload
    public func addHeader(_ name: StaticString, _ value: some StringProtocol) -> Bool {
        let characters = String(value).utf8
        return addHeader(name.octets, characters.span.bytes)
    }

    /// Adds a header line; see above.
    @discardableResult
    public func addHeader(_ name: RawSpan, _ value: RawSpan) -> Bool {
        guard isCurrent, connection.response.phase == .notStarted, name.byteCount > 0,
            connection.fields.count &+ name.byteCount &+ value.byteCount < 16384
        else { return false }
        for index in 0..<name.byteCount where !ASCII.isToken(name.octet(index)) { return false }
        for index in 0..<value.byteCount where !ASCII.isFieldValue(value.octet(index)) {
            return false
        }
        switch name.byteCount {
        case 4 where name.equalsIgnoringCase("date"),
            10 where name.equalsIgnoringCase("connection"),
            14 where name.equalsIgnoringCase("content-length"),
            17 where name.equalsIgnoringCase("transfer-encoding"):
            return false
        case 12 where name.equalsIgnoringCase("content-type"):
            guard !connection.response.hasContentType else { return false }
            connection.response.hasContentType = true
        default:
            break
        }
        connection.fields.append(name)
        connection.fields.append(": ")
        connection.fields.append(value)
        connection.fields.append("\r\n")
        return true
    }

    /// Closes the connection after this response.
    public func closeConnection() {
        if isCurrent { connection.closeAfterwards(lingering: true) }
    }

    // MARK: A whole response

    /// Answers 200 with text.
    @inline(__always) nonisolated(nonsending) public func send(_ text: StaticString) async {
        await send(octets: text.octets, contentType: "text/plain; charset=utf-8")
    }

    /// Answers with text.
    nonisolated(nonsending) public func send(status: HTTPStatus, _ text: StaticString) async {
        self.status = status
        await send(octets: text.octets, contentType: "text/plain; charset=utf-8")
    }

    /// Answers with text, 200 unless told otherwise.
    ///
    /// Generic, because a literal must choose the overload above: `String` costs an image much.
    @_disfavoredOverload
    nonisolated(nonsending)
        public func send(status: HTTPStatus? = nil, _ text: some StringProtocol) async
    {
        if let status { self.status = status }
        let characters = String(text).utf8
        await send(octets: characters.span.bytes, contentType: "text/plain; charset=utf-8")
    }

    /// Answers with octets, 200 unless told otherwise.
    @_disfavoredOverload
    nonisolated(nonsending)
        public func send(
            status: HTTPStatus? = nil, _ octets: [UInt8],
            contentType: StaticString = "application/octet-stream"
        ) async
    {
        if let status { self.status = status }
        await send(octets: octets.span.bytes, contentType: contentType)
    }

    /// Answers without content.
    nonisolated(nonsending) public func send(status: HTTPStatus) async {
        self.status = status
        await send(octets: RawSpan(), contentType: "")
    }

    /// Answers with octets.
    @inline(__always)
    nonisolated(nonsending)
        public func send(octets: RawSpan, contentType: StaticString) async
    {
        guard isCurrent else { return }
        await connection.sendWhole(octets, contentType: contentType)
    }

    // MARK: A stream

    /// Sends the head of a response whose content follows in pieces.
    ///
    /// - Parameter length: octets to come, if known; otherwise the content is sent chunked.
    nonisolated(nonsending)
        public func start(
            length: UInt64? = nil, contentType: StaticString = "application/octet-stream"
        ) async
    {
        guard isCurrent else { return }
        await connection.startStream(length: length, contentType: contentType)
    }

    /// Sends a piece, waiting while the client takes no more.
    ///
    /// - Returns: false if it was not sent: the client is gone, or it is more than was declared.
    @discardableResult
    nonisolated(nonsending)
        public func write(_ octets: RawSpan) async -> Bool
    {
        guard isCurrent else { return false }
        return await connection.writeStream(octets)
    }

    /// Sends a piece; see above.
    @discardableResult @_disfavoredOverload
    nonisolated(nonsending)
        public func write(_ octets: [UInt8]) async -> Bool
    {
        await write(octets.span.bytes)
    }

    /// Sends a piece; see above.
    @discardableResult
    nonisolated(nonsending)
        public func write(_ text: StaticString) async -> Bool
    {
        await write(text.octets)
    }

    /// Sends a piece; see above.
    @discardableResult @_disfavoredOverload
    nonisolated(nonsending)
        public func write(_ text: some StringProtocol) async -> Bool
    {
        let characters = String(text).utf8
        return await write(characters.span.bytes)
    }
}
