// Bulk transfers over one connection, to and from a server: megabytes a second, and the guest's
// instructions a megabyte, of every machine and process that can be had.

import Foundation

/// One server's transfers. A megabyte is a million octets.
struct TransferResult: Codable {
    let server: String
    /// Megabytes a second from the client to the server, and the other way.
    var received: Double?
    var sent: Double?
    /// Swiftlet's figures over this server's, both in machines under TCG or both at the processor's own
    /// speed.
    var receivedRatio: Double?
    var sentRatio: Double?
    var instructionsReceived: Double?
    var instructionsSent: Double?
    var notMeasured: String?
}

extension Bench {
    func measureTransfers(progress: (String) -> Void) -> [TransferResult] {
        let image = Self.attempt { () throws(NotMeasured) in
            try SwiftletImage(package: "Benchmarks/Guests/Streams", root: root, work: work)
        }
        let machines: [(String, Result<MachineConfiguration, NotMeasured>)] = [
            (
                Self.swiftletName,
                image.flatMap { image in network.map { image.configuration(on: $0) } }
            ),
            ("Linux in a VM", linux.map { $0.configuration(command: "/streams") }),
        ]
        let inMachines = machines.map { name, configuration in
            progress("transfers: \(name)")
            return measured(name) { (result) throws(NotMeasured) in
                try measureMachine(try configuration.get(), &result)
            }
        }
        progress("transfers: \(Self.builtInName)")
        let native = [
            measured(Self.builtInName) { (result) throws(NotMeasured) in
                let command = try monitorArguments(try image.get())
                try measureProcess(command, at: NetworkNamespace.guestAddress, &result)
            },
            measured("Linux, a process over loopback") { (result) throws(NotMeasured) in
                let server = try program("Peers/streams.c", isStatic: true)
                try measureProcess([server.path], at: "127.0.0.1", &result)
            },
        ]
        return Self.withRatios(inMachines) + Self.withRatios(native)
    }

    private func measured(
        _ name: String, _ body: (inout TransferResult) throws(NotMeasured) -> Void
    ) -> TransferResult {
        var result = TransferResult(server: name)
        do { try body(&result) } catch { result.notMeasured = "\(error)" }
        return result
    }

    private static func withRatios(_ results: [TransferResult]) -> [TransferResult] {
        guard let own = results.first else { return results }
        return results.enumerated().map { index, result in
            var result = result
            guard index > 0 else { return result }
            if let mine = own.received, let theirs = result.received {
                result.receivedRatio = mine / theirs
            }
            if let mine = own.sent, let theirs = result.sent { result.sentRatio = mine / theirs }
            return result
        }
    }

    /// Speeds without the counting plugin, and then the instructions with it.
    private func measureMachine(
        _ configuration: MachineConfiguration, _ result: inout TransferResult
    ) throws(NotMeasured) {
        let file = work.appending(path: "transfers.counts")
        for counts in [false, true] {
            var configuration = configuration
            configuration.network = try network.get()
            configuration.processor = Self.pins?.machine
            if counts {
                configuration.counting = MachineConfiguration.Counting(
                    plugin: try plugin.get(), file: file)
            }
            let machine = try VirtualMachine(
                configuration, consoleFile: work.appending(path: "console-streams"))
            defer { machine.stop() }
            try waitForServer(at: NetworkNamespace.guestAddress) { machine.isRunning }
            for direction in Direction.allCases {
                let before = counts ? try InstructionCounts(readingFrom: file).total : 0
                let run = try transfer(direction, at: NetworkNamespace.guestAddress)
                guard counts else {
                    result[direction] = run.speed
                    continue
                }
                let spent = try InstructionCounts(readingFrom: file).total - before
                let each = Double(spent) / run.megabytes
                switch direction {
                case .send: result.instructionsReceived = each
                case .receive: result.instructionsSent = each
                }
            }
        }
    }

    private func measureProcess(
        _ command: [String], at address: String, _ result: inout TransferResult
    ) throws(NotMeasured) {
        try withProcess(command) { (process) throws(NotMeasured) in
            try waitForServer(at: address) { process.isRunning }
            for direction in Direction.allCases {
                result[direction] = try transfer(direction, at: address).speed
            }
        }
    }

    // MARK: The client

    /// As the client sees it.
    enum Direction: String, CaseIterable {
        case send, receive
    }

    private func waitForServer(
        at address: String, _ isRunning: () -> Bool
    ) throws(NotMeasured) {
        try network.get().setNeighbour()
        for _ in 0..<200 {
            guard isRunning() else { throw NotMeasured("the server has ended") }
            if let run = try? transfer(.send, at: address, seconds: 0), run.megabytes >= 0 {
                return
            }
            usleep(100_000)
        }
        throw NotMeasured("no server at \(address)")
    }

    private func transfer(
        _ direction: Direction, at address: String, seconds: Int? = nil
    ) throws(NotMeasured) -> (megabytes: Double, speed: Double) {
        let length = seconds ?? (quick ? 1 : 4)
        let output = try Command.run(
            ["timeout", "\(length + 10)"] + (try client("Client/transfer.c"))
                + [address, direction.rawValue, "\(length)"])
        let numbers = output.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        guard numbers.count == 2 else { throw NotMeasured("the client says '\(output)'") }
        return (numbers[0] / 1e6, numbers[1] > 0 ? numbers[0] / numbers[1] : 0)
    }
}

extension TransferResult {
    fileprivate subscript(_ direction: Bench.Direction) -> Double? {
        get { direction == .send ? received : sent }
        set {
            switch direction {
            case .send: received = newValue
            case .receive: sent = newValue
            }
        }
    }
}
