// The response as an application reads it.

import _Concurrency

/// One response: status and header lines at once, content in pieces as it comes.
///
/// Its connection is used again once all content was read; letting go of a response before that
/// closes the connection, unless what is left is little and there already.
public final class HTTPIncomingResponse<Connector: HTTPConnector>: @unchecked Sendable {
    public typealias Failure = HTTPClientFailure<Connector.Failure>

    /// Nil once the connection went back, or ended.
    private var connection: HTTPClientConnection<Connector.Transport>?
    private let client: HTTPClientService<Connector>
    private let origin: HTTPOrigin
    private let head: ResponseHead
    private var octets = OctetBuffer()
    private let hasContent: Bool
    private var failure: HTTPExchangeError?

    init(
        _ connection: HTTPClientConnection<Connector.Transport>,
        client: HTTPClientService<Connector>, origin: HTTPOrigin, method: HTTPMethod
    ) {
        self.connection = connection
        self.client = client
        self.origin = origin
        head = connection.head
        hasContent = !connection.head.hasNoContent(method)
        swap(&octets, &connection.headOctets)
        if connection.hasEndedBody { end() }
    }

    deinit {
        connection?.discardAtOnce()
        end()
    }

    public var status: HTTPStatus { head.status }
    /// The HTTP version's minor number: 0 or 1.
    public var minorVersion: Int { Int(head.minorVersion) }

    /// Octets of the content, if the server told; nil if it comes in chunks or up to the
    /// connection's end. 0 where a response has none, whatever its head says.
    public var contentLength: UInt64? {
        if !hasContent { return 0 }
        return head.isChunked ? nil : head.contentLength
    }

    /// The value of the first header line called `name` (in any case); nil if there is none.
    public func header(_ name: StaticString) -> HTTPFieldValue? {
        octets.withOctets { octets in
            octets.field(name.octets, in: head.fields).map { HTTPFieldValue(octets.octets($0)) }
        }
    }

    /// Calls `body` with the name and value of each header line, in order, until it returns false.
    public func forEachHeader(_ body: (RawSpan, RawSpan) -> Bool) {
        octets.withOctets { octets in
            octets.forEachField(in: head.fields) { body(octets.octets($0), octets.octets($1)) }
        }
    }

    /// Reads the next piece of the content in place.
    ///
    /// - Parameter take: is shown the octets, at most `limit` of them; they are gone afterwards.
    /// - Returns: false at the end of the content, `take` not having been called.
    nonisolated(nonsending) public func readBody(
        limit: Int = .max, _ take: (RawSpan) -> Void
    ) async throws(Failure) -> Bool {
        if let failure { throw .exchange(failure) }
        guard let connection else { return false }
        do throws(HTTPExchangeError) {
            let more = try await connection.readBody(limit: limit, take)
            if connection.hasEndedBody { end() }
            return more
        } catch {
            failure = error
            end()
            throw .exchange(error)
        }
    }

    /// Reads the next piece of the content behind the octets of `buffer`.
    ///
    /// - Returns: how many octets were appended; 0 at the end of the content.
    nonisolated(nonsending) public func readBody(
        into buffer: inout [UInt8], limit: Int = 65536
    ) async throws(Failure) -> Int {
        var piece = OctetBuffer()
        _ = try await readBody(limit: limit) { piece.append($0) }
        buffer.reserveCapacity(buffer.count &+ piece.count)
        for index in 0..<piece.count { buffer.append(piece.octets.octet(index)) }
        return piece.count
    }

    /// Reads all of the content.
    ///
    /// - Parameter limit: more octets throw `.exchange(.contentTooLarge)`.
    nonisolated(nonsending) public func body(upTo limit: Int) async throws(Failure) -> [UInt8] {
        var whole: [UInt8] = []
        while try await readBody(into: &whole, limit: max(1, limit &- whole.count &+ 1)) > 0 {
            if whole.count > limit {
                close()
                throw .exchange(.contentTooLarge)
            }
        }
        return whole
    }

    /// Wants nothing more of the response.
    public func close() { end() }

    private func end() {
        guard let connection else { return }
        self.connection = nil
        client.giveBack(connection, origin)
    }
}

/// The value of a header line.
public struct HTTPFieldValue: Sendable {
    public let octets: [UInt8]

    init(_ value: RawSpan) { octets = value.copy }

    public static func == (value: HTTPFieldValue, literal: StaticString) -> Bool {
        value.octets.span.bytes.equals(literal.octets)
    }

    /// Lets a value be matched by the literals of a `switch`.
    public static func ~= (literal: StaticString, value: HTTPFieldValue) -> Bool {
        value == literal
    }

    /// True if this is `literal` in any mixture of cases.
    public func equalsIgnoringCase(_ literal: StaticString) -> Bool {
        octets.span.bytes.equalsIgnoringCase(literal)
    }

    /// The number written here in decimal; nil if it is none.
    public var integer: Int? { octets.span.bytes.decimal.flatMap { Int(exactly: $0) } }

    /// A copy as a string; what is no UTF-8 is replaced.
    public var string: String { String(decoding: octets, as: UTF8.self) }
}
