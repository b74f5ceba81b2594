// Name servers by stateless DHCPv6, where a router says that there is such a thing.
//
// A file of its own: the linker keeps or drops the asynchronous functions of a file together.

import SwiftletMachine
import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    extension NameLookup {
        /// Begins to ask servers of DHCPv6, if there are any and what they said has grown old.
        ///
        /// - Returns: true while an answer may come.
        func learnServers() -> Bool {
            guard Features.ipv6, network.stack.hasServersOfDHCPv6 else { return false }
            if stateless.isDue(now: network.now) {
                stateless.start(now: network.now)
                Task { await self.askServers() }
            }
            return stateless.isAsking
        }

        /// Asks until there is an answer (RFC 8415 §18.2.6).
        nonisolated(nonsending) private func askServers() async {
            guard let socket = try? UDPSocket(port: DHCPv6Client.clientPort) else {
                return stateless.giveUp(now: network.now)
            }
            while true {
                var random: UInt64 = 0
                withUnsafeMutableBytes(of: &random) { Randomness.fill($0) }
                switch stateless.nextAction(now: network.now, random: random) {
                case .send(let message):
                    // Lost or not: it goes again.
                    try? socket.send(message, to: DHCPv6Client.servers)
                case .wait(let deadline):
                    if case .datagram(let datagram) = await socket.arrival(until: deadline) {
                        stateless.receive(datagram.payload.span.bytes, now: network.now)
                    }
                case .finished: return
                }
            }
        }
    }
#endif
