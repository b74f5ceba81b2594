// A machine under test: boots an image, collects its console, talks to its ports.

import Glibc
import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage

/// Why boots cannot be tested here; nil if they can.
enum Requirement {
    static let missing: String? =
        has("qemu-system-x86_64")
        ? nil : "qemu-system-x86_64 is not installed (`make setup` installs it)"

    /// Whether a program is installed.
    static func has(_ program: String) -> Bool {
        (FileSystem.environment("PATH") ?? "").split(separator: ":")
            .contains { access("\($0)/\(program)", X_OK) == 0 }
    }

    static var isMet: Bool { missing == nil }
    static var reason: String { missing ?? "" }
}

/// What a machine was to print or do, and did not.
struct MachineFailure: Error, CustomStringConvertible {
    var description: String
}

/// What a machine printed, as it comes.
actor ConsoleLog {
    /// Decoded as a whole: a piece may end within a character.
    private var octets: [UInt8] = []

    var text: String { String(decoding: octets, as: UTF8.self) }

    func append(_ octets: ArraySlice<UInt8>) { self.octets += octets }
}

/// A machine that runs.
struct Machine: Sendable {
    let console: ConsoleLog
    let ports: [PublishedPort]
    let task: Task<MachineExit, any Error>
    /// Where the guest is reached on a tap; nil if it is through published ports.
    var network: NetworkNamespace?

    /// Everything printed so far.
    var output: String {
        get async { await console.text }
    }

    /// Waits until the console holds `text`; throws with the console if it does not come in time.
    func waitFor(_ text: String, seconds: Int = 30) async throws {
        for _ in 0..<(seconds * 50) {
            if await console.text.contains(text) { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw MachineFailure(
            description: "'\(text)' did not come in \(seconds) s; the console:\n\(await output)")
    }

    /// Asks the guest over HTTP, by curl, on the first published port. Retries while the guest is
    /// not listening yet.
    func curl(_ path: String, _ arguments: [String] = []) async throws -> ProcessOutcome {
        let host =
            network == nil ? "127.0.0.1:\(ports[0].host)" : NetworkNamespace.guestAddress
        let command =
            (network?.enter ?? []) + [
                "curl", "--silent", "--show-error", "--max-time", "60", "--retry", "20",
                "--retry-delay", "1", "--retry-connrefused",
            ] + arguments + ["http://\(host)\(path)"]
        return try await ProcessRunner.collect(command[0], Array(command.dropFirst()))
    }

    /// Boots `image` and hands the running machine to `body`; stops it afterwards. On `network` it
    /// has the static address there; else it is on QEMU's own network.
    static func with<R: Sendable>(
        _ image: Image, type: MachineKind = .microvm, memory: Int = 64 << 20,
        disk: MachineDisk? = nil, publishing guestPorts: [UInt16] = [],
        datagrams: [UInt16] = [], publishedOn hostAddress: String = PublishedPort.loopback,
        on network: NetworkNamespace? = nil, address: BootCommandLine.Network? = nil,
        monitor: (any Monitor)? = nil, nameServers: [String] = [], arguments: [String] = [],
        environment: [(String, String)] = [],
        _ body: (Machine) async throws -> R
    ) async throws -> R {
        let ports =
            try guestPorts.map {
                PublishedPort(host: try freePort(), guest: $0, address: hostAddress)
            }
            + datagrams.map {
                PublishedPort(
                    host: try freePort(SOCK_DGRAM), guest: $0, address: hostAddress,
                    transport: .udp)
            }
        let usual = try await type.monitor(on: network)
        let monitor = monitor ?? usual
        var request = MachineRequest(
            image: image, type: type.machine, memory: memory, ports: ports,
            disk: disk)
        request.commandLine.arguments = arguments
        request.commandLine.environment = environment.map { (name: $0.0, value: $0.1) }
        request.commandLine.nameServers = nameServers
        if network != nil {
            request.commandLine.network = .fixed(
                address: NetworkNamespace.guestAddress, prefixLength: 24,
                gateway: NetworkNamespace.hostAddress)
        }
        if let address { request.commandLine.network = address }
        let console = ConsoleLog()
        let task = Task { [request] in
            try await monitor.run(request) { await console.append($0) }
        }
        let result: Result<R, any Error>
        do {
            result = .success(
                try await body(
                    Machine(console: console, ports: ports, task: task, network: network)))
        } catch {
            result = .failure(error)
        }
        task.cancel()
        _ = await task.result
        return try result.get()
    }

    /// Boots `image` and waits for its end; stops it after `seconds`.
    static func run(
        _ image: Image, type: MachineKind = .microvm, memory: Int = 64 << 20,
        disk: MachineDisk? = nil, monitor: (any Monitor)? = nil, arguments: [String] = [],
        environment: [(String, String)] = [],
        seconds: Int = 60
    ) async throws -> (exit: MachineExit, output: String) {
        try await with(
            image, type: type, memory: memory, disk: disk, monitor: monitor,
            arguments: arguments, environment: environment
        ) { machine in
            let alarm = Task {
                try await Task.sleep(for: .seconds(seconds))
                machine.task.cancel()
            }
            defer { alarm.cancel() }
            return (try await machine.task.value, await machine.output)
        }
    }

    /// The command line, which was built beside these tests.
    static var tool: String {
        FileSystem.resolve("/proc/self/exe").removingLastComponent().appending("swiftlet").string
    }

    /// A port of the loopback interface on which nobody listens.
    static func freePort(_ type: __socket_type = SOCK_STREAM) throws -> UInt16 {
        let socket = Glibc.socket(AF_INET, Int32(type.rawValue), 0)
        defer { close(socket) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
            }
        }
        guard isBound else { throw MachineFailure(description: "no port is free") }
        return UInt16(bigEndian: name.sin_port)
    }
}
