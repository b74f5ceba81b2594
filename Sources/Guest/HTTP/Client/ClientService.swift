// The client: which connection a request goes out on, and when it goes out again.

import _Concurrency

/// Opens connections for a client: the guest's TCP, or a test's memory.
public protocol HTTPConnector: AnyObject, Sendable {
    associatedtype Transport: HTTPTransport
    /// Why there is no connection.
    associatedtype Failure: Error

    /// Connects to a host, by name or address in octets of ASCII, before `nanoseconds` have passed.
    nonisolated(nonsending) func connect(
        host: [UInt8], port: UInt16, within nanoseconds: UInt64
    ) async throws(Failure) -> Transport
}

/// Why a request failed.
public enum HTTPClientFailure<Unconnected: Error>: Error {
    /// The URL is none, or of another scheme.
    case url(HTTPURL.Failure)
    /// The request has a header line that cannot be sent, or no method.
    case badRequest
    /// As many connections as the limit allows are in use.
    case tooManyConnections
    /// No connection could be opened.
    case connection(Unconnected)
    /// The exchange itself failed.
    case exchange(HTTPExchangeError)
}

/// Host and port: what a connection can be used for again (RFC 9110 §4.3.1).
struct HTTPOrigin: Equatable, Sendable {
    var host: [UInt8]
    var port: UInt16
}

/// A client with its connections. `HTTPClient` is this on the guest's TCP.
public final class HTTPClientService<Connector: HTTPConnector>: @unchecked Sendable {
    typealias Connection = HTTPClientConnection<Connector.Transport>
    public typealias Failure = HTTPClientFailure<Connector.Failure>
    public typealias Response = HTTPIncomingResponse<Connector>
    public typealias Request = HTTPOutgoingRequest<Connector.Transport>

    private struct Idle {
        var connection: Connection
        var origin: HTTPOrigin
        /// When it is closed.
        var expiry: UInt64
    }

    public let connector: Connector
    public let limits: HTTPClientLimits
    public let timeouts: HTTPClientTimeouts
    /// The oldest first.
    private var idle: [Idle] = []
    /// Connections that a request or a response has.
    private var busy = 0

    public init(
        connector: Connector, limits: HTTPClientLimits, timeouts: HTTPClientTimeouts
    ) {
        self.connector = connector
        self.limits = limits
        self.timeouts = timeouts
    }

    /// Connections that wait for a request.
    public var idleCount: Int { idle.count }
    /// Connections in use.
    public var busyCount: Int { busy }

    /// Sends a request, and returns once the head of its response has arrived.
    ///
    /// A kept connection may have been closed by the server just now: a request that may be sent
    /// twice, and got no octet of an answer, then goes out once more on a new connection (RFC 9110
    /// §9.2.2, RFC 9112 §9.3.1).
    nonisolated(nonsending) public func send(
        _ request: Request
    ) async throws(Failure) -> Response {
        let url = try check(request)
        let origin = HTTPOrigin(host: url.host, port: url.port)
        if let connection = take(origin) {
            do throws(HTTPExchangeError) {
                return try await exchange(request, url, connection, origin)
            } catch {
                guard error == .disconnected, !connection.hasAnswered, request.isRepeatable else {
                    throw .exchange(error)
                }
            }
        }
        let connection = try await connect(url)
        do throws(HTTPExchangeError) {
            return try await exchange(request, url, connection, origin)
        } catch {
            throw .exchange(error)
        }
    }

    private func check(_ request: Request) throws(Failure) -> HTTPURL {
        guard !request.isSpoilt, request.method != .other, request.method != .connect else {
            throw .badRequest
        }
        do throws(HTTPURL.Failure) {
            return try HTTPURL(request.url.span.bytes)
        } catch {
            throw .url(error)
        }
    }

    nonisolated(nonsending) private func connect(
        _ url: HTTPURL
    ) async throws(Failure) -> Connection {
        while busy &+ idle.count >= limits.connections, !idle.isEmpty {
            idle.removeFirst().connection.abort()
        }
        guard busy < limits.connections else { throw .tooManyConnections }
        busy &+= 1
        do throws(Connector.Failure) {
            let transport = try await connector.connect(
                host: url.host, port: url.port, within: timeouts.connect)
            return Connection(transport: transport, limits: limits, timeouts: timeouts)
        } catch {
            busy &-= 1
            throw .connection(error)
        }
    }

    nonisolated(nonsending) private func exchange(
        _ request: Request, _ url: HTTPURL, _ connection: Connection, _ origin: HTTPOrigin
    ) async throws(HTTPExchangeError) -> Response {
        do throws(HTTPExchangeError) {
            try await connection.exchange(request, url)
        } catch {
            busy &-= 1
            connection.abort()
            throw error
        }
        return Response(connection, client: self, origin: origin, method: request.method)
    }

    // MARK: Kept connections

    /// A kept connection to this origin, the youngest; those that have gone are let go of.
    private func take(_ origin: HTTPOrigin) -> Connection? {
        var index = idle.count
        while index > 0 {
            index &-= 1
            guard idle[index].origin == origin else { continue }
            let kept = idle.remove(at: index)
            if kept.connection.isReusable, kept.connection.transport.now < kept.expiry {
                busy &+= 1
                return kept.connection
            }
            kept.connection.abort()
        }
        return nil
    }

    /// A response is done with its connection.
    func giveBack(_ connection: Connection, _ origin: HTTPOrigin) {
        busy &-= 1
        guard connection.isReusable, limits.idlePerOrigin > 0, limits.idle > 0 else {
            return connection.abort()
        }
        var same = 0
        var oldest: Int?
        for index in idle.indices where idle[index].origin == origin {
            same &+= 1
            if oldest == nil { oldest = index }
        }
        if same >= limits.idlePerOrigin, let oldest {
            idle.remove(at: oldest).connection.abort()
        } else if idle.count >= limits.idle {
            idle.removeFirst().connection.abort()
        }
        let (expiry, overflow) = connection.transport.now.addingReportingOverflow(timeouts.idle)
        idle.append(
            Idle(connection: connection, origin: origin, expiry: overflow ? .max : expiry))
        keptOne?(self)
    }

    /// Is told that a connection was kept, which `closeIdle` is to look at later.
    public var keptOne: ((HTTPClientService) -> Void)?
    /// For who is told: whether somebody looks already.
    public var isWatched = false

    /// Closes connections that were kept long enough, or that the server has closed.
    ///
    /// - Returns: when the next is due; nil if none is left.
    public func closeIdle(now: UInt64) -> UInt64? {
        var next: UInt64?
        var index = 0
        while index < idle.count {
            if idle[index].expiry <= now || !idle[index].connection.isReusable {
                idle.remove(at: index).connection.abort()
            } else {
                next = min(next ?? .max, idle[index].expiry)
                index &+= 1
            }
        }
        return next
    }

    /// Closes all connections that are kept.
    public func closeAll() {
        while let kept = idle.popLast() { kept.connection.abort() }
    }
}
