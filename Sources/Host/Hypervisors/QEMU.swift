// QEMU as a monitor: the command line that starts it, and the run.

import Glibc
import Subprocess
import SwiftletBootProtocol
import SwiftletBuild
import SystemPackage

/// Runs machines in QEMU, without root: user-mode networking, KVM only where it pays.
public struct QEMU: Monitor {
    public let name = "qemu"
    /// The program, by name or path.
    public var program: String
    public var acceleration: Acceleration
    /// Changes the whole command, program first, before it is started: how a test gives a machine
    /// another network or processor.
    public var amend: @Sendable ([String]) -> [String] = { $0 }

    /// What executes the guest's instructions.
    public enum Acceleration: Sendable {
        case kvm
        /// QEMU's own translator.
        case tcg
    }

    /// The I/O port of the device that takes the exit code.
    public static let exitPort: UInt16 = 0x501
    /// What QEMU's user-mode network expects of its guest.
    public static let network = BootCommandLine.Network.fixed(
        address: "10.0.2.15", prefixLength: 24, gateway: "10.0.2.2")
    /// Where that network answers for the host's name server.
    static let nameServer = "10.0.2.3"

    public init(
        program: String = "qemu-system-x86_64", acceleration: Acceleration = .detect()
    ) {
        self.program = program
        self.acceleration = acceleration
    }

    /// Tells a guest of the user-mode network that it is on, unless it is told of another.
    static func setNetwork(_ commandLine: inout BootCommandLine) {
        guard commandLine.network == nil else { return }
        commandLine.network = network
        if commandLine.nameServers.isEmpty { commandLine.nameServers = [nameServer] }
    }

    /// QEMU's arguments for a machine that boots the file `kernel`. `exitFile` receives the octet
    /// that the guest writes.
    public func arguments(
        for machine: MachineRequest, kernel: FilePath, exitFile: FilePath
    ) -> [String] {
        var commandLine = machine.commandLine
        commandLine.exitPort = Self.exitPort
        Self.setNetwork(&commandLine)
        // Without ACPI, microvm announces its virtio devices on the kernel's command line.
        let type =
            machine.type == .microvm ? "microvm,acpi=off" : machine.type.rawValue
        var arguments = [
            "-M", type, "-m", "\((machine.memory + 1023) / 1024)K",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", "stdio", "-kernel", kernel.string, "-append", commandLine.text,
            "-chardev", "file,id=exit,path=\(Self.escape(exitFile.string))",
            "-device", "isa-debugcon,iobase=0x\(String(Self.exitPort, radix: 16)),chardev=exit",
        ]
        switch acceleration {
        case .kvm: arguments += ["-accel", "kvm", "-cpu", "host"]
        case .tcg: arguments += ["-accel", "tcg", "-cpu", "max"]
        }
        // Without IPv6: this network leaves unanswered what its host has no way to, for a minute.
        var backend = "user,id=net,ipv6=off"
        for port in machine.ports {
            backend +=
                ",hostfwd=\(port.transport.rawValue):\(port.address):\(port.host)-:\(port.guest)"
        }
        arguments += ["-netdev", backend]
        if let disk = machine.disk {
            arguments += [
                "-drive",
                "file=\(Self.escape(disk.path.string)),format=raw,if=none,id=disk"
                    + (disk.isReadOnly ? ",readonly=on" : ""),
                "-device",
                machine.type == .microvm
                    ? "virtio-blk-device,drive=disk"
                    : "virtio-blk-pci,disable-legacy=on,drive=disk",
            ]
        }
        if machine.hasInput {
            // One port alone, which takes no control queues: the end of input is in its octets.
            arguments += [
                "-chardev", "socket,id=input,fd=\(MachineCommand.inputDescriptor)",
                "-device",
                machine.type == .microvm
                    ? "virtio-serial-device,max_ports=1"
                    : "virtio-serial-pci,disable-legacy=on,max_ports=1",
                "-device", "virtconsole,chardev=input",
            ]
        }
        switch machine.type {
        case .microvm:
            // Virtio 1.x registers; QEMU's default for MMIO is still the draft before it.
            arguments += [
                "-global", "virtio-mmio.force-legacy=false",
                "-device", "virtio-net-device,netdev=net", "-device", "virtio-rng-device",
            ]
        case .pc, .q35:
            // No boot ROM: the firmware would load and run it, and it is never used.
            arguments += [
                "-device", "virtio-net-pci,disable-legacy=on,romfile=,netdev=net",
                "-device", "virtio-rng-pci,disable-legacy=on",
            ]
        }
        return arguments
    }

    /// Throws what QEMU's user-mode network cannot do: `hostfwd` takes addresses of IPv4 alone.
    public static func check(_ ports: [PublishedPort]) throws(ToolError) {
        guard let port = ports.first(where: \.isIPv6) else { return }
        throw ToolError(
            "QEMU publishes no ports on IPv6 addresses, as \(port.place):\(port.host) is",
            hint: "Use --monitor builtin where /dev/kvm opens, or an IPv4 address.",
            exitCode: ExitCode.monitor)
    }

    /// A comma ends a value in QEMU's option lists; two stand for one.
    static func escape(_ value: String) -> String {
        value.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }

    public func run(
        _ machine: MachineRequest,
        console: @escaping @Sendable (ArraySlice<UInt8>) async -> Void
    ) async throws(ToolError) -> MachineExit {
        try Self.check(machine.ports)
        for port in machine.ports { try port.checkFree() }
        try machine.disk?.check()
        guard await ProcessRunner.find(program) != nil else {
            throw ToolError(
                "'\(program)' is not installed",
                hint: Self.installation,
                exitCode: ExitCode.notFound)
        }
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        var machine = machine
        machine.hasInput = false
        let command = try command(for: machine, in: folder)
        let (status, errors) = try await MonitorProcess.run(
            amend([program] + command.arguments), console: console)
        // What it complained of, but not that it was stopped: the user asked for that.
        MonitorProcess.show(errors) { !$0.contains(": terminating on signal ") }

        if let file = command.exitFile, let code = try? FileSystem.read(file).last {
            return .exited(code)
        }
        if Task.isCancelled { return .stopped(signal: SIGTERM) }
        guard status.isSuccess else {
            throw ToolError(
                "QEMU could not run '\(machine.image.path)' (it ended with "
                    + "\(ProcessRunner.exitCode(status)))", exitCode: ExitCode.monitor)
        }
        return .died
    }
}

extension QEMU.Acceleration {
    /// KVM where it runs ring 0 natively: the CPU's flags show vmx or svm and the device opens.
    /// Where KVM opens without them it emulates ring 0, far slower than QEMU's own translator.
    public static func detect(
        cpuInformation: FilePath = "/proc/cpuinfo", device: FilePath = "/dev/kvm"
    ) -> Self {
        guard let text = try? FileSystem.read(cpuInformation),
            hasVirtualisation(String(decoding: text, as: UTF8.self)),
            let file = try? FileDescriptor.open(device, .readWrite)
        else { return .tcg }
        try? file.close()
        return .kvm
    }

    /// Whether the text of /proc/cpuinfo has the flag vmx or svm.
    static func hasVirtualisation(_ text: String) -> Bool {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") }) else {
            return false
        }
        return line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            .contains { $0 == "vmx" || $0 == "svm" }
    }
}
