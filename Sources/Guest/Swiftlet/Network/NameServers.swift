// Which name servers are asked: the application's choice, the host's, or what the network says.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    /// Finds the servers.
    enum NameServers {
        /// The application's; empty: none of its own.
        nonisolated(unsafe) static var chosen: [SocketAddress] = []
        /// How long an address is waited for, in nanoseconds, and how often it is looked for.
        private static let patience: UInt64 = 10_000_000_000
        private static let interval: UInt64 = 10_000_000
        /// How long routers have to answer, from the first question on, in nanoseconds.
        private static let routersPatience: UInt64 = 1_000_000_000
        private static let port: UInt16 = 53

        /// The servers, in the order in which they are to be asked. Waits for an address, with
        /// which DHCP tells of them, or for a router that does, or says who does; empty if they
        /// tell of none.
        nonisolated(nonsending) static func find(
            _ lookup: NameLookup, until deadline: UInt64
        ) async throws(NetworkError) -> [SocketAddress] {
            if !chosen.isEmpty { return chosen }
            let servers = fromCommandLine()
            if !servers.isEmpty { return servers }
            let end = min(deadline, lookup.network.now.nanoseconds &+ patience)
            while true {
                let servers = fromNetwork(lookup)
                let isAwaited = mayLearn(lookup)
                let now = lookup.network.now.nanoseconds
                if !servers.isEmpty || !isAwaited || now >= end { return servers }
                let moment = min(now &+ interval, end)
                if await Waits.cancellableWait(until: moment, { _ in }) == .cancelled {
                    throw .cancelled
                }
            }
        }

        /// True while somebody may still tell of servers.
        private static func mayLearn(_ lookup: NameLookup) -> Bool {
            let network = lookup.network
            if lookup.learnServers() || network.stack.configuration == nil { return true }
            return Features.ipv6
                && network.now.nanoseconds < lookup.began.nanoseconds &+ routersPatience
        }

        private static func fromNetwork(_ lookup: NameLookup) -> [SocketAddress] {
            var servers: [SocketAddress] = []
            for address in lookup.network.stack.nameServers(
                stateless: lookup.stateless.nameServers)
            {
                servers.append(SocketAddress(address, port: port))
            }
            return servers
        }

        private static func fromCommandLine() -> [SocketAddress] {
            let line = Boot.commandLine.bytes
            guard let range = CommandLineWords.value(of: CommandLineKey.nameServers, in: line)
            else { return [] }
            var servers: [SocketAddress] = []
            NameServerSetting.forEach(in: line, range) { setting in
                servers.append(
                    SocketAddress(
                        IPAddress(IPv4Address(bits: setting.address)), port: setting.port))
            }
            return servers
        }
    }
#endif
