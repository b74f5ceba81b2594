// Requests a second at the processor's own speed: the image in the built-in monitor beside servers
// that are plain processes.

import Foundation
import SwiftletBootProtocol
import SwiftletHypervisors

/// One server of those that run at the processor's own speed, at one number of connections.
struct NativeResult: Codable {
    let server: String
    let connections: Int
    var requestsPerSecond: Double?
    /// The built-in monitor's figure over this server's.
    var ratio: Double?
    /// Exits of the virtual machine for each request, by the monitor's own count.
    var exitsPerRequest: Double?
    var notMeasured: String?
}

extension Bench {
    /// What runs at the processor's own speed: names, addresses, and the words that start each.
    var nativeServers: [(String, String, () throws(NotMeasured) -> [String])] {
        [
            (
                Self.builtInName, NetworkNamespace.guestAddress + ":80",
                { () throws(NotMeasured) in try self.monitorArguments(try self.server.get()) }
            ),
            (
                "C epoll server, a process", "127.0.0.1:8081",
                { () throws(NotMeasured) in
                    [try self.program("Peers/epoll_server.c", isStatic: true).path, "8081"]
                }
            ),
            ("nginx, a process", "127.0.0.1:8082", nginxArguments),
        ]
    }

    /// Requests a second of the image in the built-in monitor and of plain processes. The monitor's
    /// clients come through a tap, those of the processes through loopback.
    func measureNative(progress: (String) -> Void) -> [NativeResult] {
        var results: [NativeResult] = []
        for (name, address, arguments) in nativeServers {
            progress("requests a second: \(name)")
            for connections in Self.connectionCounts {
                var result = NativeResult(server: name, connections: connections)
                switch Self.attempt({ () throws(NotMeasured) in
                    try rate(of: try arguments(), at: address, connections: connections)
                }) {
                case .success(let (rate, exits)):
                    result.requestsPerSecond = rate
                    result.exitsPerRequest = exits
                case .failure(let reason): result.notMeasured = "\(reason)"
                }
                results.append(result)
            }
        }
        for index in results.indices {
            let own = results.first {
                $0.server == Self.builtInName && $0.connections == results[index].connections
            }
            if results[index].server != Self.builtInName, let own = own?.requestsPerSecond,
                let peer = results[index].requestsPerSecond
            {
                results[index].ratio = own / peer
            }
        }
        return results
    }

    /// The medians of three runs of wrk, the server started anew for each: requests a second, and
    /// exits a request if the server is a machine whose monitor counts.
    private func rate(
        of command: [String], at address: String, connections: Int
    ) throws(NotMeasured) -> (rate: Double, exits: Double?) {
        var rates: [Double] = []
        var exits: [Double] = []
        for _ in 0..<(quick ? 1 : 3) {
            try withProcess(command, servingAt: address) { (process, load) throws(NotMeasured) in
                let before = MachineStatistics(process: process.identifier)
                let result = try load.run(connections: connections, seconds: quick ? 2 : 3)
                if let before, let after = MachineStatistics(process: process.identifier) {
                    exits.append(Double(after.exits - before.exits) / Double(result.requests))
                }
                guard result.errors.isEmpty else {
                    throw NotMeasured(result.errors.joined(separator: "; "))
                }
                rates.append(result.requestsPerSecond)
            }
        }
        return (rates.median ?? .nan, exits.median)
    }
}
