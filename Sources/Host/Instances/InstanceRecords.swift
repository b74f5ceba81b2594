// What is on disk of an instance: what was asked for, and how far it has come.

import FoundationEssentials
import Glibc
import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage

/// What was asked for: everything that starting the machine once more needs. Written once.
public struct InstanceConfiguration: Codable, Equatable, Sendable {
    public struct Variable: Codable, Equatable, Sendable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    public var name: String
    /// The absolute path of the image as it was given.
    public var image: String
    /// As after `--monitor`, but never "auto".
    public var monitor = "qemu"
    public var machine = MachineType.microvm.rawValue
    /// Octets that the machine is given.
    public var memory = 64 << 20
    /// As after `-p`.
    public var ports: [String] = []
    /// As after `--disk`, with an absolute path.
    public var disk: String?
    /// Whether the guest has standard input; nil as false.
    public var interactive: Bool?
    public var environment: [Variable] = []
    /// As after `--dns`.
    public var nameServers: [String]?
    public var arguments: [String] = []
    public var restart = RestartPolicy.no
    /// The instance is forgotten at its end.
    public var removesItself = false
    /// Seconds since 1970.
    public var created: Double = 0

    public init(name: String, image: String) {
        self.name = name
        self.image = image
    }

    /// Whether the instance may outlive its machine.
    public var mayStartAgain: Bool { !removesItself || restart != .no }

    /// The machine to run, of this image.
    public func request(image: Image) throws(ToolError) -> MachineRequest {
        guard let type = MachineType(rawValue: machine) else {
            throw ToolError("instance '\(name)' is of an unknown kind of machine, '\(machine)'")
        }
        var request = MachineRequest(image: image, type: type, memory: memory)
        for port in ports { request.ports.append(try PublishedPort(port)) }
        if let disk { request.disk = try MachineDisk(disk) }
        request.hasInput = interactive ?? false
        request.commandLine.arguments = arguments
        request.commandLine.nameServers = nameServers ?? []
        request.commandLine.environment = environment.map { (name: $0.name, value: $0.value) }
        return request
    }
}

/// How far an instance has come. Written by its supervisor alone.
public struct InstanceState: Codable, Equatable, Sendable {
    public enum Phase: String, Codable, Sendable {
        case starting, running, paused, stopping
        /// It ended, and its restart policy waits before the next start.
        case restarting
        case exited
    }

    public var phase = Phase.starting
    /// The supervisor's process.
    public var supervisor: Int32 = 0
    /// The monitor's process, while there is one.
    public var machine: Int32?
    /// When that process began, in clock ticks since the host's start: tells it from another one
    /// that was given its number later.
    public var machineStart: UInt64?
    /// When the machine started last, and when it ended last; seconds since 1970.
    public var started: Double?
    public var ended: Double?
    /// Of the last end.
    public var exitCode: Int32?
    public var reason: String?
    /// Starts by the restart policy.
    public var restarts = 0

    public init() {}
}

/// An instance as it is found: its records, and whether a supervisor lives.
public struct Instance: Sendable {
    public var configuration: InstanceConfiguration
    public var state: InstanceState
    /// Whether a supervisor holds its lock.
    public var isAlive: Bool
    public var folder: InstanceFolder

    public var name: String { configuration.name }

    /// The records that `folder` holds, put right where a supervisor died without a word.
    init(_ folder: InstanceFolder, isAlive: Bool) throws(ToolError) {
        self.folder = folder
        self.isAlive = isAlive
        configuration = try folder.read(InstanceConfiguration.self, folder.configuration)
        state = (try? folder.read(InstanceState.self, folder.state)) ?? InstanceState()
        guard !isAlive, state.phase != .exited else { return }
        state.reason =
            state.phase == .starting
            ? "its start was interrupted" : "its supervisor was killed, and the machine with it"
        state.phase = .exited
        state.exitCode = ExitCode.signal + 9
        state.machine = nil
    }

    /// The machine's process, if it is the one that was started for this instance.
    public var machineProcess: ProcessUsage? {
        guard isAlive, let machine = state.machine, let usage = ProcessUsage(machine),
            usage.start == state.machineStart
        else { return nil }
        return usage
    }

    /// What the machine's monitor has counted since the machine's start; nil if it does not count,
    /// or does not run.
    public var statistics: MachineStatistics? {
        guard machineProcess != nil, let machine = state.machine else { return nil }
        return MachineStatistics(process: machine)
    }
}

/// The files of one instance.
public struct InstanceFolder: Sendable {
    public var path: FilePath

    public init(_ path: FilePath) {
        self.path = path
    }

    var configuration: FilePath { path.appending("instance.json") }
    var state: FilePath { path.appending("state.json") }
    /// Locked by the supervisor for as long as it lives; holds the exit code at the end.
    var lock: FilePath { path.appending("lock") }
    /// A FIFO that takes commands to the supervisor.
    var control: FilePath { path.appending("control") }
    /// The console's newest lines; the ones before are in `console.log.1`.
    public var log: FilePath { path.appending("console.log") }

    func read<Record: Decodable>(
        _ type: Record.Type, _ file: FilePath
    ) throws(ToolError) -> Record {
        let contents = try FileSystem.read(file)
        do {
            return try JSONDecoder().decode(type, from: Data(contents))
        } catch {
            let name = path.lastComponent?.string ?? "NAME"
            throw ToolError(
                "'\(file)' is damaged", hint: "Remove the instance: swiftlet rm -f \(name)")
        }
    }

    /// Writes how far the instance has come. On a disk that is full it takes the place of what was
    /// written before, which has its block already; if that fails too, others see the past.
    func save(_ state: InstanceState) {
        do throws(ToolError) {
            try write(state, to: self.state)
        } catch {
            guard let contents = try? Self.encode(state),
                let file = try? FileDescriptor.open(
                    self.state, .writeOnly, options: .closeOnExec)
            else { return }
            let isWritten = (try? file.writeAll(toAbsoluteOffset: 0, contents)) == contents.count
            if isWritten { ftruncate(file.rawValue, contents.count) }
            try? file.close()
        }
    }

    func write(_ record: some Encodable, to file: FilePath) throws(ToolError) {
        try FileSystem.write(try Self.encode(record), to: file)
    }

    private static func encode(_ record: some Encodable) throws(ToolError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(record) else {
            throw ToolError("a record has no JSON form")
        }
        return Array(data) + [0x0A]
    }
}
