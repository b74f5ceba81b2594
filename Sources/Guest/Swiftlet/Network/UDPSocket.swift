// UDP for applications.

import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// Sends and receives datagrams at one port.
    public final class UDPSocket: @unchecked Sendable {
        /// A datagram and who sent it.
        public struct Datagram: Sendable {
            public var payload: [UInt8]
            public var sender: SocketAddress
        }

        let network: Network
        let id: UDPSocketID
        private var isClosed = false

        /// Binds to a port; 0 picks a free one.
        ///
        /// - Throws: `.addressInUse`, `.noNetwork`, `.tooMany`.
        public init(port: UInt16 = 0) throws(NetworkError) {
            network = try Network.shared()
            do throws(UDPError) {
                id = try network.stack.bindUDP(port: port)
            } catch {
                throw NetworkError(error).noted()
            }
        }

        deinit { close() }

        /// The port that the socket is bound to.
        public var port: UInt16 { network.stack.portUDP(id) ?? 0 }

        /// Waits for the next datagram. What arrives while nobody waits is kept, within bounds.
        public func receive(
            deadline: Instant? = nil
        ) async throws(NetworkError) -> Datagram {
            while true {
                if isClosed { throw .closed }
                let datagram = network.stack.receiveUDP(id) { payload, endpoints in
                    Datagram(
                        payload: payload.withUnsafeBytes { [UInt8]($0) },
                        sender: endpoints.remote)
                }
                if let datagram { return datagram }
                try NetworkError.check(
                    await Waits.cancellableWait(until: deadline?.nanoseconds ?? .max) {
                        network.setReceiver(id, $0)
                    })
            }
        }

        /// Sends one datagram. As any, it may be lost.
        public func send(_ payload: [UInt8], to remote: SocketAddress) throws(NetworkError) {
            do throws(UDPError) {
                try network.stack.sendUDP(
                    id, payload.span.bytes, to: remote, now: network.now)
            } catch {
                throw NetworkError(error)
            }
        }

        /// Closes the socket; whoever waits in `receive` gets `.closed`.
        public func close() {
            guard !isClosed else { return }
            isClosed = true
            network.stack.closeUDP(id)
            network.wakeReceiver(id)
        }
    }

    extension NetworkError {
        init(_ error: UDPError) {
            switch error {
            case .addressInUse: self = .addressInUse
            case .tooManySockets, .busy: self = .tooMany
            case .unreachable: self = .unreachable
            case .tooLong: self = .tooLong
            case .closed: self = .closed
            }
        }
    }
#endif
