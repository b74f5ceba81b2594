// The built-in monitor: a program of ours beside the command line, on Linux's KVM.

import Glibc
import Subprocess
import SwiftletBootProtocol
import SwiftletBuild
import SystemPackage

/// Runs machines in the built-in monitor, without root: ports by the user network, the guest in ring 3.
public struct BuiltIn: Monitor {
    public let name = "builtin"
    /// The monitor's program.
    public var program: FilePath

    /// The last word on the command that starts it, for tests: the program and its arguments.
    public var amend: @Sendable ([String]) -> [String] = { $0 }

    private static let programName = "swiftlet-monitor"
    private static let device = "/dev/kvm"

    public init(program: FilePath) {
        self.program = program
    }

    /// The built-in monitor of this installation.
    ///
    /// - Throws: why it cannot run here, with the remedy.
    public static func find() async throws(ToolError) -> BuiltIn { try locate() }

    /// As `find`, for those who cannot wait.
    static func locate() throws(ToolError) -> BuiltIn {
        let folder = FileSystem.resolve("/proc/self/exe").removingLastComponent()
        let program = folder.appending(programName)
        guard FileSystem.isFile(program) else {
            throw ToolError(
                "the built-in monitor is not installed: '\(program)' is missing",
                hint: "`make build` builds it beside the command line.",
                exitCode: ExitCode.notFound)
        }
        let file = open(device, O_RDWR | O_CLOEXEC)
        guard file >= 0 else {
            let reason = String(cString: strerror(errno))
            throw ToolError(
                "cannot open \(device): \(reason)",
                hint: errno == EACCES
                    ? "Become a member of the group kvm, or use --monitor qemu."
                    : "Use --monitor qemu where there is no KVM.",
                exitCode: ExitCode.monitor)
        }
        close(file)
        return BuiltIn(program: program)
    }

    /// The arguments for a machine that runs the file `image`.
    func arguments(for machine: MachineRequest) -> [String] {
        var arguments = ["--memory", "\(machine.memory)"]
        var commandLine = machine.commandLine
        QEMU.setNetwork(&commandLine)
        arguments.append("--user-network")
        for port in machine.ports {
            arguments += [
                "--publish",
                "\(port.transport.rawValue):\(port.place):\(port.host):\(port.guest)",
            ]
        }
        if let disk = machine.disk { arguments += ["--disk", disk.text] }
        if machine.hasInput { arguments += ["--input", "\(MachineCommand.inputDescriptor)"] }
        return arguments + ["--command-line", commandLine.text, machine.image.path.string]
    }

    /// Throws what this monitor cannot do of what is asked for.
    func check(_ machine: MachineRequest) throws(ToolError) {
        guard machine.type == .microvm else {
            throw ToolError(
                "the built-in monitor is no \(machine.type.rawValue)",
                hint: "Use --monitor qemu with --machine.", exitCode: ExitCode.usage)
        }
        let start = machine.image.segments[0].address
        let imageSize = max(machine.image.header.imageEnd, start) - start
        let needed = Int(clamping: MonitorCall.requiredMemory(imageSize: imageSize))
        guard machine.memory >= needed else {
            throw ToolError(
                "'\(machine.image.path)' needs \(MemorySize.text(needed)) of memory, and gets "
                    + MemorySize.text(machine.memory),
                hint: "Give it more with -m.", exitCode: ExitCode.monitor)
        }
    }

    public func run(
        _ machine: MachineRequest,
        console: @escaping @Sendable (ArraySlice<UInt8>) async -> Void
    ) async throws(ToolError) -> MachineExit {
        for port in machine.ports { try port.checkFree() }
        try machine.disk?.check()
        try check(machine)
        var machine = machine
        machine.hasInput = false
        let (status, errors) = try await MonitorProcess.run(
            amend([program.string] + arguments(for: machine)), console: console)
        if Task.isCancelled { return .stopped(signal: SIGTERM) }
        let ownWords = errors.split(separator: "\n").filter { $0.hasPrefix(Self.programName) }
        switch status {
        case .exited(ExitCode.monitor) where !ownWords.isEmpty,
            .exited(ExitCode.usage) where !ownWords.isEmpty:
            // A second line, indented, says what to do.
            let hint = errors.split(separator: "\n").first { $0.hasPrefix("  ") }
            throw ToolError(
                "cannot run '\(machine.image.path)': "
                    + ownWords[0].dropFirst(Self.programName.count + 2),
                hint: hint.map { String($0.dropFirst(2)) }, exitCode: ExitCode.monitor)
        case .exited(let code):
            MonitorProcess.show(errors) { _ in true }
            return .exited(UInt8(truncatingIfNeeded: code))
        case .signaled(let signal):
            MonitorProcess.show(errors) { _ in true }
            throw ToolError(
                "the monitor of '\(machine.image.path)' was killed by signal \(signal)",
                exitCode: ExitCode.signal + signal)
        }
    }
}
