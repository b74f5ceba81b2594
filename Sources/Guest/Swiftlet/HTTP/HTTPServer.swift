// The HTTP server of the SDK: a listener, a task for each connection, and an orderly end.

import SwiftletHTTP
import SwiftletMemory
import SwiftletNetwork
import _Concurrency

#if hasFeature(Embedded)
    /// One request: method, path, headers, body. Valid until the handler returns.
    public typealias HTTPRequest = HTTPServerRequest<TCPConnection>
    /// The answer to one request: status, headers, content, whole or in pieces.
    public typealias HTTPResponse = HTTPServerResponse<TCPConnection>

    /// Why a server did not start, or ended.
    public enum HTTPServerError: Error {
        /// The port could not be listened on, or the listener failed.
        case network(NetworkError)
        /// `run` was called on a server that runs.
        case alreadyRunning
    }

    extension HTTPServerError: CustomStringConvertible {
        /// Type and case, since Embedded Swift cannot tell them by itself.
        public var description: String {
            switch self {
            case .network(let error): "HTTPServerError.network: " + error.description
            case .alreadyRunning: "HTTPServerError.alreadyRunning"
            }
        }
    }

    /// What a server listens on, and what it puts up with.
    public struct HTTPServerConfiguration: Sendable {
        /// Bounds on what one client can send.
        public var limits = HTTPLimits()
        /// How long a client may take.
        public var timeouts = HTTPTimeouts()
        /// Connections served at once; a client beyond that is answered 503. One for each 6 KiB of
        /// the machine's memory, up to 16 384, unless set: one that is idle takes about 3.
        public var maximumConnections: Int
        /// Whether the server stops by itself, as with `stop()`, when the host asks the application
        /// to finish (`swiftlet stop`, Ctrl-C). See `Application.stopRequested()`.
        public var stopsWhenRequested = true

        /// The bounds suit the machine's memory: no number of clients uses it up.
        public init() {
            maximumConnections = min(PageFrames.totalCount * 2 / 3, 16_384)
            limits.slowHeads = min(limits.slowHeads, PageFrames.totalCount * PageFrames.size / 16)
        }
    }

    /// An HTTP/1.1 server (RFC 9110, RFC 9112).
    ///
    ///     let server = HTTPServer(port: 80)
    ///     try await server.run { request, response in
    ///         if request.path == "/" {
    ///             await response.send("Hello")
    ///         } else {
    ///             await response.send(status: .notFound, "no such page")
    ///         }
    ///     }
    ///
    /// A handler that reads bodies may let their errors through, and says so:
    /// `{ (request, response) async throws(HTTPError) in … }`. The client is then answered 413, 408
    /// or 400, whichever it is.
    public final class HTTPServer: @unchecked Sendable {
        public typealias Handler = HTTPService<TCPConnection>.Handler

        public let port: UInt16
        public let configuration: HTTPServerConfiguration

        private var service: HTTPService<TCPConnection>?
        private var listener: TCPListener?
        private var isStopping = false
        /// `run`, while it waits for the last connections.
        private var drained: UnsafeContinuation<Void, Never>?

        public init(port: UInt16, configuration: HTTPServerConfiguration = .init()) {
            self.port = port
            self.configuration = configuration
        }

        /// Listens, and answers requests with `handler`, until `stop` is called.
        ///
        /// - Parameter handler: runs once for each request, of many connections at a time. It
        ///   answers through the response; if it does not, the client gets 500.
        nonisolated(nonsending)
            public func run(_ handler: @escaping Handler) async throws(HTTPServerError)
        {
            guard service == nil else { throw .alreadyRunning }
            let service = HTTPService<TCPConnection>(
                limits: configuration.limits, timeouts: configuration.timeouts, handler: handler)
            self.service = service
            defer {
                self.service = nil
                isStopping = false
            }
            let listener: TCPListener
            do throws(NetworkError) {
                listener = try TCPListener(port: port)
            } catch {
                throw .network(error)
            }
            self.listener = listener
            if configuration.stopsWhenRequested { listener.closeWhenRequested() }
            var failure: NetworkError?
            while !isStopping {
                do throws(NetworkError) {
                    take(try await listener.accept(), for: service)
                } catch {
                    failure = error
                    break
                }
            }
            endListening(listener, service)
            if service.connectionCount > 0 {
                await withUnsafeContinuation { drained = $0 }
            }
            // Whoever gets no further once `run` returns must have been answered by then.
            await listener.network.waitUntilDelivered(within: configuration.timeouts.linger)
            // The listener is closed by `stop` or at the host's request.
            if let failure, failure != .closed { throw .network(failure) }
        }

        @inline(never)
        private func endListening(
            _ listener: TCPListener, _ service: HTTPService<TCPConnection>
        ) {
            isStopping = true
            listener.close()
            self.listener = nil
            service.stop()
        }

        /// Takes no more connections, lets running requests finish (with `Connection: close`), ends
        /// idle connections; then `run` returns.
        public func stop() {
            guard let service, !isStopping else { return }
            isStopping = true
            listener?.close()
            service.stop()
        }

        /// Connections open now.
        public var connectionCount: Int { service?.connectionCount ?? 0 }

        private func take(_ connection: TCPConnection, for service: HTTPService<TCPConnection>) {
            guard service.connectionCount < configuration.maximumConnections else {
                let refusal: StaticString =
                    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                _ = connection.send(refusal.octets)
                connection.finish()
                return
            }
            Task {
                await service.serve(connection)
                if self.isStopping, service.connectionCount == 0 {
                    self.drained?.resume()
                    self.drained = nil
                }
            }
        }
    }
#endif
