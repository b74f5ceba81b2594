// Waiting for an answer to a datagram, or for word that there will be none.
//
// A file of its own: the linker keeps or drops the asynchronous functions of a file together.

import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    extension UDPSocket {
        /// What a wait for an answer came to.
        enum Arrival {
            case datagram(Datagram)
            /// The network says that what was sent there did not arrive (RFC 1122 §4.1.3.3).
            case unreachable(SocketAddress)
            case timedOut
            case cancelled
        }

        /// Waits for the next datagram, or what says that there is none to wait for.
        nonisolated(nonsending) func arrival(until deadline: Instant) async -> Arrival {
            while true {
                let datagram = network.stack.receiveUDP(id) { payload, endpoints in
                    Datagram(
                        payload: payload.withUnsafeBytes { [UInt8]($0) },
                        sender: endpoints.remote)
                }
                if let datagram { return .datagram(datagram) }
                if let place = network.stack.takeUnreachableUDP(id) { return .unreachable(place) }
                let result = await Waits.cancellableWait(until: deadline.nanoseconds) {
                    network.setReceiver(id, $0)
                }
                switch result {
                case .woken: continue
                case .timedOut: return .timedOut
                case .cancelled: return .cancelled
                }
            }
        }
    }
#endif
