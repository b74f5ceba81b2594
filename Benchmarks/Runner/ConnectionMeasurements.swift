// Connections: how many a second a server takes and ends, and what one that is idle holds.

import Foundation

/// One server's connections.
struct ConnectionResult: Codable {
    let server: String
    /// Requests on a connection of their own each.
    var perSecond: Double?
    /// Swiftlet's figure over this server's, both in machines under TCG or both at the processor's own
    /// speed.
    var ratio: Double?
    /// Idle connections that were all answered again, and the octets of memory that each takes.
    var idle: Int?
    var octetsPerIdle: Double?
    var errors: [String] = []
    var notMeasured: String?
}

extension Bench {
    private static let idleCount = 10_000

    func measureConnections(progress: (String) -> Void) -> [ConnectionResult] {
        let inMachines = servers.map { name, configuration in
            progress("connections: \(name)")
            return measured(name) { (result) throws(NotMeasured) in
                try withServer(try configuration.get()) { (load, _) throws(NotMeasured) in
                    try measure(load, &result)
                    if name == LinuxPeer.Server.epoll.rawValue {
                        try measureIdle(at: NetworkNamespace.guestAddress, 80, &result)
                    }
                }
            }
        }
        let native = nativeServers.map { name, address, arguments in
            progress("connections: \(name)")
            return measured(name) { (result) throws(NotMeasured) in
                try withProcess(try arguments(), servingAt: address) {
                    (process, load) throws(NotMeasured) in
                    try measure(load, &result)
                }
                guard name == Self.builtInName else { return }
                // Anew, so that what the connections before have left behind is not counted.
                try withProcess(try arguments(), servingAt: address) {
                    (process, load) throws(NotMeasured) in
                    try measureIdle(
                        at: NetworkNamespace.guestAddress, 80, of: process.identifier, &result)
                }
            }
        }
        return Self.withRatios(inMachines) + Self.withRatios(native)
    }

    private func measured(
        _ name: String, _ body: (inout ConnectionResult) throws(NotMeasured) -> Void
    ) -> ConnectionResult {
        var result = ConnectionResult(server: name)
        do { try body(&result) } catch { result.notMeasured = "\(error)" }
        return result
    }

    private static func withRatios(_ results: [ConnectionResult]) -> [ConnectionResult] {
        guard let own = results.first?.perSecond else { return results }
        return results.enumerated().map { index, result in
            var result = result
            if index > 0, let peer = result.perSecond, peer > 0 { result.ratio = own / peer }
            return result
        }
    }

    /// The median of three runs of wrk, with a new connection for each request.
    private func measure(
        _ load: HTTPLoad, _ result: inout ConnectionResult
    ) throws(NotMeasured) {
        var rates: [Double] = []
        for _ in 0..<(quick ? 1 : 3) {
            let run = try load.run(connections: 64, seconds: quick ? 2 : 3, keepingAlive: false)
            rates.append(run.requestsPerSecond)
            result.errors += run.errors
        }
        result.perSecond = rates.median
    }

    private func measureIdle(
        at address: String, _ port: Int, of process: pid_t? = nil,
        _ result: inout ConnectionResult
    ) throws(NotMeasured) {
        let count = Self.idleCount
        var words = ["timeout", "60"] + (try client("Client/idle.c"))
        words += [address, "\(port)", "\(count)"]
        if let process { words.append("\(process)") }
        let numbers = try Command.run(words).split(whereSeparator: \.isWhitespace)
            .compactMap { Double($0) }
        guard numbers.count == 3, numbers[2] >= 0 else { throw NotMeasured("no idle connections") }
        result.idle = Int(numbers[1])
        if Int(numbers[0]) < count || numbers[1] < numbers[0] {
            result.errors.append(
                "of \(count) idle connections \(Int(numbers[0])) were answered, "
                    + "\(Int(numbers[1])) again")
        }
        if numbers[0] > 0 { result.octetsPerIdle = numbers[2] / numbers[0] }
    }
}
