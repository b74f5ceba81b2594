// The seam between the tool and whatever runs a machine: the built-in monitor, or QEMU.

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
    /// The disk; nil for a machine without one.
    public var disk: MachineDisk?
    /// Whether the guest has standard input; without, its input is at its end.
    public var hasInput = false
    /// Arguments and environment for the guest. Network and exit port are the monitor's to set.
    public var commandLine: BootCommandLine

    public init(
        image: Image, type: MachineType = .microvm, memory: Int = 64 << 20,
        ports: [PublishedPort] = [], disk: MachineDisk? = nil,
        commandLine: BootCommandLine = BootCommandLine()
    ) {
        self.image = image
        self.type = type
        self.memory = memory
        self.ports = ports
        self.disk = disk
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
    /// task stops the machine. Nobody writes to the guest's standard input here: whoever has
    /// something to write starts a `MachineCommand`.
    func run(
        _ machine: MachineRequest,
        console: @escaping @Sendable (ArraySlice<UInt8>) async -> Void
    ) async throws(ToolError) -> MachineExit
}

/// A monitor, and why it is the one.
public struct MonitorChoice: Sendable {
    public var monitor: any Monitor
    /// In words for the user.
    public var reason: String
}

/// The monitors that this version knows.
public enum Monitors {
    public static let names = ["auto", "builtin", "qemu"]

    /// Throws if there is no monitor of this name.
    public static func check(_ name: String) throws(ToolError) {
        guard names.contains(name) else {
            throw ToolError(
                "no monitor '\(name)'", hint: "There are: \(names.joined(separator: ", ")).",
                exitCode: ExitCode.usage)
        }
    }

    /// The monitor of this name; "auto" is the best that this host can run for such a machine: the
    /// built-in one where /dev/kvm opens, QEMU otherwise.
    public static func choose(
        _ name: String, for type: MachineType
    ) throws(ToolError) -> MonitorChoice {
        try check(name)
        switch name {
        case "builtin":
            return MonitorChoice(monitor: try BuiltIn.locate(), reason: "asked for")
        case "qemu":
            return MonitorChoice(monitor: QEMU(), reason: "asked for")
        default:
            guard type == .microvm else {
                return MonitorChoice(
                    monitor: QEMU(), reason: "only QEMU makes a \(type.rawValue)")
            }
            do throws(ToolError) {
                return MonitorChoice(
                    monitor: try BuiltIn.locate(), reason: "/dev/kvm opens")
            } catch {
                return MonitorChoice(monitor: QEMU(), reason: error.message)
            }
        }
    }
}
