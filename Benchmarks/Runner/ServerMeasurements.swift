// Requests a second and instructions a request, of every server that could be started.

import Foundation

/// One server at one number of connections.
struct ServerResult: Codable {
    let server: String
    let connections: Int
    var requestsPerSecond: Double?
    var instructionsPerRequest: Double?
    /// Swiftlet's figure over this server's, at the same number of connections.
    var requestsRatio: Double?
    var instructionsRatio: Double?
    /// Milliseconds from QEMU's start to the first answer, without the plugin.
    var firstAnswer: Double?
    /// Octets of the body that it answers with.
    var bodySize: Int?
    /// wrk's complaints.
    var errors: [String] = []
    var notMeasured: String?
}

extension Bench {
    static let swiftletName = "Swiftlet"
    static let connectionCounts = [1, 64, 1000]

    /// What runs in machines under TCG: names, and how each is started.
    var servers: [(name: String, Result<MachineConfiguration, NotMeasured>)] {
        [
            (
                Self.swiftletName,
                server.flatMap { image in network.map { image.configuration(on: $0) } }
            )
        ]
            + LinuxPeer.Server.allCases.map { peer in
                (peer.rawValue, linux.map { $0.configuration(peer) })
            }
    }

    func measureServers(progress: (String) -> Void) -> [ServerResult] {
        servers.flatMap { name, configuration in
            Self.connectionCounts.map { ServerResult(server: name, connections: $0) }
        }
        .merging(rates(progress: progress)).merging(instructions(progress: progress))
        .withRatios()
    }

    /// wrk at full speed, without the plugin; every server in each round, medians of the rounds.
    private func rates(progress: (String) -> Void) -> [ServerResult] {
        let seconds = quick ? 2 : 3
        var samples: [String: [Double]] = [:]
        var starts: [String: [Double]] = [:]
        var results: [ServerResult] = []
        for round in 1...(quick ? 1 : 3) {
            for (name, configuration) in servers {
                progress("requests a second, round \(round): \(name)")
                results += measured(name, configuration, counting: nil) {
                    (load, result) throws(NotMeasured) in
                    let run = try load.run(connections: result.connections, seconds: seconds)
                    let key = "\(name) \(result.connections)"
                    if let start = result.firstAnswer { starts[key, default: []].append(start) }
                    result.firstAnswer = starts[key]?.median
                    samples[key, default: []].append(run.requestsPerSecond)
                    result.requestsPerSecond = samples[key]?.median
                    result.errors += run.errors
                }
            }
        }
        return results
    }

    /// The difference between a short and a long run under the counting plugin, over the requests
    /// between them: what connections and idling cost once cancels out.
    private func instructions(progress: (String) -> Void) -> [ServerResult] {
        let file = work.appending(path: "requests.counts")
        return servers.flatMap { name, configuration in
            progress("instructions a request: \(name)")
            let counting = plugin.map { MachineConfiguration.Counting(plugin: $0, file: file) }
            return measured(name, configuration, counting: counting) {
                (load, result) throws(NotMeasured) in
                let connections = result.connections
                // Warms the server's own caches.
                _ = try load.run(connections: connections, seconds: 1)
                var spent: [Double] = []
                var requests: [Double] = []
                for seconds in quick ? [1, 2] : [1, 4] {
                    let before = try InstructionCounts(readingFrom: file)
                    let run = try load.run(connections: connections, seconds: seconds)
                    usleep(100_000)
                    let after = try InstructionCounts(readingFrom: file)
                    spent.append(Double(after.total - before.total))
                    requests.append(Double(run.requests))
                    result.errors += run.errors
                }
                guard requests[1] > requests[0] else {
                    throw NotMeasured("the longer run made fewer requests")
                }
                result.instructionsPerRequest =
                    (spent[1] - spent[0]) / (requests[1] - requests[0])
            }
        }
    }

    private func measured(
        _ name: String, _ configuration: Result<MachineConfiguration, NotMeasured>,
        counting: Result<MachineConfiguration.Counting, NotMeasured>?,
        _ body: (HTTPLoad, inout ServerResult) throws(NotMeasured) -> Void
    ) -> [ServerResult] {
        let attempt = Self.attempt { () throws(NotMeasured) in
            let configuration = try configuration.get()
            let counting = try counting.map { result throws(NotMeasured) in try result.get() }
            return try withServer(configuration, counting: counting) {
                (load, first) throws(NotMeasured) in
                var results: [ServerResult] = []
                for connections in Self.connectionCounts {
                    var result = ServerResult(server: name, connections: connections)
                    result.bodySize = first.bodySize
                    if counting == nil { result.firstAnswer = first.after / .milliseconds(1) }
                    do { try body(load, &result) } catch { result.notMeasured = "\(error)" }
                    results.append(result)
                }
                return results
            }
        }
        switch attempt {
        case .success(let results): return results
        case .failure(let reason):
            return Self.connectionCounts.map {
                ServerResult(server: name, connections: $0, notMeasured: "\(reason)")
            }
        }
    }
}

extension [ServerResult] {
    fileprivate func withRatios() -> [ServerResult] {
        func ratio(_ own: Double?, _ peer: Double?) -> Double? {
            guard let own, let peer, peer > 0 else { return nil }
            return own / peer
        }
        return map { peer in
            var peer = peer
            guard peer.server != Bench.swiftletName,
                let own = first(where: {
                    $0.server == Bench.swiftletName && $0.connections == peer.connections
                })
            else { return peer }
            peer.requestsRatio = ratio(own.requestsPerSecond, peer.requestsPerSecond)
            peer.instructionsRatio = ratio(own.instructionsPerRequest, peer.instructionsPerRequest)
            return peer
        }
    }

    /// Takes over what `others` measured of the same server and connections; later values win.
    fileprivate func merging(_ others: [ServerResult]) -> [ServerResult] {
        map { own in
            var own = own
            for other in others
            where other.server == own.server && other.connections == own.connections {
                own.requestsPerSecond = other.requestsPerSecond ?? own.requestsPerSecond
                own.instructionsPerRequest =
                    other.instructionsPerRequest ?? own.instructionsPerRequest
                own.firstAnswer = other.firstAnswer ?? own.firstAnswer
                own.bodySize = other.bodySize ?? own.bodySize
                own.errors += other.errors
                own.notMeasured = own.notMeasured ?? other.notMeasured
            }
            return own
        }
    }
}
