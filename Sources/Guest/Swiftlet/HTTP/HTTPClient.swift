// The HTTP client of the SDK: connections by name, kept for the next request.

import SwiftletHTTP
import SwiftletMachine
import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// A request that `HTTPClient` sends.
    public typealias HTTPClientRequest = HTTPOutgoingRequest<TCPConnection>
    /// What it is answered.
    public typealias HTTPClientResponse = HTTPIncomingResponse<TCPConnector>
    /// Why it was not.
    public typealias HTTPClientError = HTTPClientFailure<ConnectError>

    extension HTTPClientFailure: CustomStringConvertible where Unconnected == ConnectError {
        /// What was wrong, in words.
        public var description: String {
            switch self {
            case .url(.malformed): "this is no URL of the form http://HOST[:PORT]/PATH"
            case .url(.notHTTP): "only http:// URLs are supported"
            case .url(.needsTLS): "https:// needs TLS, which there is not; use http://"
            case .badRequest: "the request has a header line that cannot be sent, or no method"
            case .tooManyConnections: "all connections that the client may have are in use"
            case .connection(let error): error.description
            case .exchange(let error): error.text.description
            }
        }
    }

    extension HTTPExchangeError {
        var text: StaticString {
            switch self {
            case .timedOut: "the server took too long"
            case .disconnected: "the connection ended before the response did"
            case .response(.malformed): "the response is malformed"
            case .response(.headTooLarge): "the head of the response is too large"
            case .response(.version): "the response is not of HTTP/1"
            case .response(.coding): "the response has a transfer coding that was not asked for"
            case .contentTooLarge: "the content of the response is too large"
            case .bodyTooShort: "less content was written than was declared"
            case .cancelled: "cancelled"
            }
        }
    }

    /// Opens the client's connections.
    public final class TCPConnector: HTTPConnector {
        nonisolated(nonsending) public func connect(
            host: [UInt8], port: UInt16, within nanoseconds: UInt64
        ) async throws(ConnectError) -> TCPConnection {
            let (end, overflow) = Clock.now.addingReportingOverflow(nanoseconds)
            return try await TCPConnection.connect(
                host: String(decoding: host, as: UTF8.self), port: port,
                deadline: overflow ? nil : Instant(nanoseconds: end))
        }
    }

    /// What a client puts up with.
    public struct HTTPClientConfiguration: Sendable {
        /// Bounds on what a server can send, and on connections.
        public var limits = HTTPClientLimits()
        /// How long a server may take.
        public var timeouts = HTTPClientTimeouts()

        public init() {}
    }

    /// An HTTP/1.1 client (RFC 9110, RFC 9112).
    ///
    ///     let client = HTTPClient()
    ///     let response = try await client.get("http://example.org/")
    ///     let text = try await response.body(upTo: 65536)
    ///
    /// Connections are kept and used again, a bounded number for a bounded time. Redirects are not
    /// followed: a response of status 3xx is the answer. Content is as it was sent; none of it is
    /// decompressed, and no compression is asked for. Cancelling the task ends the request and its
    /// connection.
    public final class HTTPClient: @unchecked Sendable {
        private let service: HTTPClientService<TCPConnector>

        public init(configuration: HTTPClientConfiguration = .init()) {
            service = HTTPClientService(
                connector: TCPConnector(), limits: configuration.limits,
                timeouts: configuration.timeouts)
            service.keptOne = { Self.sweep($0) }
        }

        deinit { service.closeAll() }

        /// Asks for what is at `url`.
        ///
        /// - Throws: `HTTPClientError`.
        nonisolated(nonsending) public func get(
            _ url: String
        ) async throws(HTTPClientError) -> HTTPClientResponse {
            try await send(HTTPClientRequest(.get, url))
        }

        /// Sends a request.
        ///
        /// - Throws: `HTTPClientError`.
        nonisolated(nonsending) public func send(
            _ request: HTTPClientRequest
        ) async throws(HTTPClientError) -> HTTPClientResponse {
            try await service.send(request)
        }

        /// Connections that wait for the next request.
        public var idleConnections: Int { service.idleCount }

        /// Closes the connections that wait for a request.
        public func closeIdleConnections() { service.closeAll() }

        /// Closes kept connections when their time has come.
        private static func sweep(_ service: HTTPClientService<TCPConnector>) {
            guard !service.isWatched else { return }
            service.isWatched = true
            Task {
                while let next = service.closeIdle(now: Clock.now) {
                    _ = await Waits.cancellableWait(until: next) { _ in }
                }
                service.isWatched = false
            }
        }
    }
#endif
