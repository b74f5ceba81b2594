// A machine as a command line, for whoever starts and watches the process: what instances need.

import SwiftletBuild
import SystemPackage

/// A program that runs one machine in the foreground: the guest's console on its standard output,
/// complaints on its standard error, the host's word (`ConsoleControl`) on its standard input.
public struct MachineCommand: Sendable {
    /// By name, to be found in PATH, or by path.
    public var program: String
    public var arguments: [String]
    /// The file whose last octet is the guest's exit code; empty or missing if the guest ended
    /// without one. Nil if the program ends with the guest's exit code itself.
    public var exitFile: FilePath?
    /// How to get the program where it is missing.
    public var installation: String?
    /// Whether it takes the guest's standard input, in pieces (`InputPiece`), from a socket that is
    /// its descriptor `inputDescriptor`.
    public var hasInput = false
    public static let inputDescriptor: Int32 = 3

    public init(
        program: String, arguments: [String], exitFile: FilePath? = nil,
        installation: String? = nil, hasInput: Bool = false
    ) {
        self.program = program
        self.arguments = arguments
        self.exitFile = exitFile
        self.installation = installation
        self.hasInput = hasInput
    }
}

/// A monitor whose machines can be had as command lines.
public protocol CommandLineMonitor: Monitor {
    /// Puts what the machine needs into `folder` and says how to run it. What an earlier run left
    /// in the folder does no harm.
    func command(
        for machine: MachineRequest, in folder: FilePath
    ) throws(ToolError) -> MachineCommand
}

extension Monitors {
    /// The monitor of this name, which is that of a choice made before.
    public static func commandLine(
        _ name: String
    ) throws(ToolError) -> any CommandLineMonitor {
        try check(name)
        return name == "builtin" ? try BuiltIn.locate() : QEMU()
    }
}

extension BuiltIn: CommandLineMonitor {
    public func command(
        for machine: MachineRequest, in folder: FilePath
    ) throws(ToolError) -> MachineCommand {
        try check(machine)
        return MachineCommand(
            program: program.string, arguments: arguments(for: machine),
            hasInput: machine.hasInput)
    }
}

extension QEMU: CommandLineMonitor {
    static let installation = "On Debian and Ubuntu: apt-get install qemu-system-x86"

    public func command(
        for machine: MachineRequest, in folder: FilePath
    ) throws(ToolError) -> MachineCommand {
        try Self.check(machine.ports)
        let exitFile = folder.appending("exit")
        FileSystem.remove(exitFile)
        let placement = machine.image.placement(hasBIOS: machine.type.hasBIOS)
        let needed = machine.image.requiredMemory(placement)
        guard machine.memory >= needed else {
            throw ToolError(
                "'\(machine.image.path)' needs \(MemorySize.text(needed)) of memory on "
                    + "\(machine.type), and gets \(MemorySize.text(machine.memory))",
                hint: "Give it more with -m.", exitCode: ExitCode.monitor)
        }
        var kernel = machine.image.path
        if placement != .asBuilt {
            kernel = folder.appending("placed-image")
            try FileSystem.write(try machine.image.placed(placement), to: kernel)
        }
        return MachineCommand(
            program: program,
            arguments: arguments(for: machine, kernel: kernel, exitFile: exitFile),
            exitFile: exitFile, installation: Self.installation, hasInput: machine.hasInput)
    }
}
