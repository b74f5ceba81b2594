// The clients: curl for one request, wrk for many, both inside the namespace.

import Foundation

struct HTTPLoad {
    let network: NetworkNamespace
    /// The processor that the client is pinned to.
    let processor: Int?

    var url = "http://\(NetworkNamespace.guestAddress)/"

    struct Result: Codable {
        let requests: Int
        let requestsPerSecond: Double
        /// wrk's "Socket errors" and "Non-2xx" lines; empty when every answer was right.
        let errors: [String]
    }

    /// One request. Returns the body's size if the answer was 200.
    func answer() -> Int? {
        let arguments = [
            "curl", "-s", "--connect-timeout", "0.1", "-m", "2", "-o", "/dev/null", "-w",
            "%{http_code} %{size_download}", url,
        ]
        guard let result = try? Command.result(network.enter + arguments), result.status == 0 else {
            return nil
        }
        let words = result.output.split(separator: " ")
        return words.count == 2 && words[0] == "200" ? Int(words[1]) : nil
    }

    struct FirstAnswer {
        let bodySize: Int
        /// Since QEMU's start; late by up to the 20 ms and the client's start between two attempts.
        let after: Duration
    }

    /// Asks until there is an answer.
    func waitForAnswer(of machine: VirtualMachine, limit: Duration) throws(NotMeasured)
        -> FirstAnswer
    {
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            if !machine.isRunning { throw NotMeasured(machine.complaint) }
            if let size = answer() {
                return FirstAnswer(bodySize: size, after: .now - machine.started)
            }
            usleep(20_000)
        }
        throw NotMeasured("no answer on port 80 within \(limit)")
    }

    /// wrk at full speed.
    ///
    /// - Parameter keepingAlive: if not, each request has a connection of its own.
    func run(
        connections: Int, seconds: Int, keepingAlive: Bool = true
    ) throws(NotMeasured) -> Result {
        var arguments = network.enter
        if let processor { arguments += ["taskset", "-c", "\(processor)"] }
        if connections > 500 { arguments += ["prlimit", "--nofile=16384:16384"] }
        arguments += ["timeout", "\(seconds + 10)", "wrk", "-t1", "-c\(connections)"]
        if !keepingAlive { arguments += ["-H", "Connection: close"] }
        arguments += ["-d\(seconds)s", "--timeout", "8s", url]
        let output = try Command.run(arguments)
        var requests: Int?
        var rate: Double?
        var errors: [String] = []
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ")
            if line.contains("requests in"), let first = words.first { requests = Int(first) }
            if line.contains("Requests/sec:"), let last = words.last { rate = Double(last) }
            if line.contains("errors") || line.contains("Non-2xx") {
                errors.append(line.trimmingCharacters(in: .whitespaces))
            }
        }
        guard let requests, let rate, requests > 0 else {
            throw NotMeasured("wrk got no answer: \(output.suffix(200))")
        }
        return Result(requests: requests, requestsPerSecond: rate, errors: errors)
    }
}
