// What all connections of one server share: configuration, handler, the Date line, the scratch
// buffer that heads are written in.

import _Concurrency

/// A server without its listener. One executor runs all its connections; nothing here is locked.
public final class HTTPService<Transport: HTTPTransport>: @unchecked Sendable {
    /// Answers one request. Runs where the connection's task runs.
    public typealias Handler =
        nonisolated(nonsending) @Sendable (
            HTTPServerRequest<Transport>, HTTPServerResponse<Transport>
        ) async throws(HTTPError) -> Void

    public var limits: HTTPLimits {
        didSet { recentHead = RecentHead() }
    }
    public var timeouts: HTTPTimeouts
    let handler: Handler

    var recentHead = RecentHead()
    /// Responses are written here and handed to the transport before anything waits.
    var scratch = OctetBuffer(capacity: 1024)
    /// `Date: …\r\n` of the second that ends at `dateExpires`; empty without a clock.
    private var dateLine = OctetBuffer(capacity: 64)
    private var dateExpires: UInt64 = 0
    /// Octets at the front of `scratch` that begin a plain 200 of `prefixType`, up to the value of
    /// Content-Length; 0 if something else was written there.
    private var prefixCount = 0
    private var prefixType: StaticString = ""

    /// Octets of storage for heads that connections hold aside.
    var slowHeads = 0
    /// True once no further requests are to be taken.
    public private(set) var isStopping = false
    private var connections: [HTTPServerConnection<Transport>] = []

    public init(limits: HTTPLimits, timeouts: HTTPTimeouts, handler: @escaping Handler) {
        self.limits = limits
        self.timeouts = timeouts
        self.handler = handler
    }

    /// Connections being served.
    public var connectionCount: Int { connections.count }

    /// Serves one connection until it ends.
    nonisolated(nonsending)
        public func serve(_ transport: Transport) async
    {
        let connection = HTTPServerConnection(transport: transport, service: self)
        connection.slot = connections.count
        connections.append(connection)
        await connection.serve()
        connection.releaseHead()
        let last = connections.removeLast()
        if last !== connection {
            last.slot = connection.slot
            connections[connection.slot] = last
        }
    }

    /// Lets every connection finish the request it is at, and ends those that wait for one.
    public func stop() {
        isStopping = true
        for connection in connections { connection.endIfIdle() }
    }

    /// Gives up the connection whose head has been on its way longest: who is quick has come later.
    ///
    /// - Returns: false if no head of another than `own` is held in part.
    @inline(never) func giveUpSlowest(but own: HTTPServerConnection<Transport>) -> Bool {
        var victim: HTTPServerConnection<Transport>?
        var earliest = UInt64.max
        for connection in connections where connection !== own {
            guard let deadline = connection.slowHeadDeadline, deadline < earliest else { continue }
            earliest = deadline
            victim = connection
        }
        guard let victim else { return false }
        victim.giveUp()
        return true
    }

    /// Appends the Date line (RFC 9110 §6.6.1), made once a second.
    @inline(__always) func appendDate(_ transport: Transport) {
        let now = transport.now
        if now >= dateExpires { renewDate(transport, now: now) }
        dateLine.withOctets { scratch.append($0) }
    }

    /// Empties the scratch buffer.
    @inline(__always) func beginScratch() {
        prefixCount = 0
        scratch.removeAll()
    }

    /// Writes a plain 200 on a connection that stays open. All such responses begin alike for a
    /// while, so the beginning is left standing in the scratch buffer.
    ///
    /// - Returns: false if the content is too long for the buffer; the head is there.
    @inline(__always)
    func writePlain(
        _ transport: Transport, contentType: StaticString, content: RawSpan
    ) -> Bool {
        // The same literal has the same address.
        if prefixCount > 0, contentType.utf8Start == prefixType.utf8Start,
            transport.now < dateExpires
        {
            scratch.truncate(to: prefixCount)
        } else {
            writePrefix(transport, contentType: contentType)
        }
        return scratch.appendEnd(length: UInt64(content.byteCount), content: content)
    }

    @inline(never) private func writePrefix(_ transport: Transport, contentType: StaticString) {
        scratch.removeAll()
        scratch.append("HTTP/1.1 200 OK\r\n")
        appendDate(transport)
        scratch.append("Content-Type: ")
        scratch.append(contentType)
        scratch.append("\r\nContent-Length: ")
        prefixCount = scratch.count
        prefixType = contentType
    }

    @inline(never) private func renewDate(_ transport: Transport, now: UInt64) {
        // Within a tenth of a second of the truth is near enough for a format of whole seconds.
        dateExpires = now &+ 100_000_000
        dateLine.removeAll()
        guard let seconds = transport.unixSeconds else { return }
        dateLine.append("Date: ")
        HTTPDate(unixSeconds: seconds).append(to: &dateLine)
        dateLine.append("\r\n")
    }
}
