// The seam between the tool and whatever runs a machine: QEMU today, others beside it.

import SwiftletBootProtocol
import SwiftletBuild

/// The kinds of machine that a monitor can offer.
public enum MachineType: String, CaseIterable, Sendable {
    /// No PCI, no legacy devices: the fastest to start.
    case microvm
    /// Intel's 440FX of 1996, which every hypervisor can pretend to be.
    case pc
    /// Intel's Q35 of 2007, with PCI Express.
    case q35

    /// Whether firmware runs before the image, and uses low memory.
    public var hasBIOS: Bool { self != .microvm }
}

/// One machine to be run.
public struct MachineRequest: Sendable {
    public var image: Image
    public var type: MachineType
    /// Memory in octets.
    public var memory: Int
    public var ports: [PublishedPort]
    /// Arguments and environment for the guest. Network and exit port are the monitor's to set.
    public var commandLine: BootCommandLine

    public init(
        image: Image, type: MachineType = .microvm, memory: Int = 64 << 20,
        ports: [PublishedPort] = [], commandLine: BootCommandLine = BootCommandLine()
    ) {
        self.image = image
        self.type = type
        self.memory = memory
        self.ports = ports
        self.commandLine = commandLine
    }
}

/// How a machine came to its end.
public enum MachineExit: Equatable, Sendable {
    /// The guest powered off, with this exit code.
    case exited(UInt8)
    /// We stopped it because of this signal.
    case stopped(signal: Int32)
    /// The machine ended without an exit code: it was reset, or died of a triple fault.
    case died

    /// The exit code of `swiftlet run`.
    public var code: Int32 {
        switch self {
        case .exited(let code): Int32(code)
        case .stopped(let signal): ExitCode.signal + signal
        case .died: ExitCode.died
        }
    }
}

extension ExitCode {
    /// The guest ended without an exit code, as after SIGABRT.
    public static let died: Int32 = 134
}

/// Something that runs machines.
public protocol Monitor: Sendable {
    /// As after `--monitor`.
    var name: String { get }

    /// Runs a machine to its end. `console` gets what the guest prints as it comes. Cancelling the
    /// task, or a signal to `MachineSignals`, stops the machine.
    func run(
        _ machine: MachineRequest,
        console: @escaping @Sendable (ArraySlice<UInt8>) async -> Void
    ) async throws(ToolError) -> MachineExit
}

/// The monitors that this version knows.
public enum Monitors {
    public static let names = ["auto", "qemu"]

    /// The monitor of this name; "auto" is the best that this host can run.
    public static func named(_ name: String) throws(ToolError) -> any Monitor {
        switch name {
        case "auto", "qemu": return QEMU()
        default:
            throw ToolError(
                "no monitor '\(name)'", hint: "There are: \(names.joined(separator: ", ")).",
                exitCode: ExitCode.usage)
        }
    }
}
