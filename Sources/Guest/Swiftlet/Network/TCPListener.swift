// A TCP port that clients connect to.

import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// Accepts connections to one port.
    public final class TCPListener: @unchecked Sendable {
        let network: Network
        private let id: TCPListenerID
        private var isClosed = false
        private var closesWhenRequested = false

        /// Listens.
        ///
        /// - Parameters:
        ///   - port: 1 to 65535.
        ///   - backlog: connections that wait for `accept` at most; beyond, clients try again.
        /// - Throws: `.addressInUse`, `.noNetwork`, `.tooMany`.
        public init(port: UInt16, backlog: Int = 1024) throws(NetworkError) {
            network = try Network.shared()
            do throws(TCPError) {
                id = try network.stack.listen(port: port, backlog: backlog)
            } catch {
                throw NetworkError(error).noted()
            }
        }

        deinit { close() }

        /// Waits for the next client.
        ///
        /// - Throws: `.closed` once the listener is, `.cancelled`.
        nonisolated(nonsending)
            public func accept() async throws(NetworkError) -> TCPConnection
        {
            while true {
                if isClosed || isClosedByRequest { throw .closed }
                if let connection = network.stack.accept(id) {
                    return TCPConnection(network: network, id: connection)
                }
                if await Waits.cancellableWait({ network.setAcceptor(id, $0) }) == .cancelled {
                    throw .cancelled
                }
            }
        }

        /// As good as closed once the host has asked the application to finish.
        func closeWhenRequested() {
            closesWhenRequested = true
            StopRequests.tellServers = { Network.wakeAcceptors() }
            StopRequests.listen()
        }

        var isClosedByRequest: Bool { closesWhenRequested && StopRequests.isRequested }

        /// Stops listening. Connections that were accepted go on.
        public func close() {
            guard !isClosed else { return }
            isClosed = true
            network.stack.closeListener(id)
            network.wakeAcceptor(id)
        }
    }
#endif
