// `swiftlet run`: builds a package if need be, boots the image, and streams its console.

import ArgumentParser
import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Boots an image or a package in a virtual machine.",
        discussion: """
            Ends with the guest's own exit code. Ctrl-C stops the machine. Nothing here needs root.
            """)

    @Argument(help: "A package's folder, or an image.")
    var path = "."

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Publish a port of the guest; on 127.0.0.1 unless an address is given.",
            valueName: "[address:]host:guest[/udp]"))
    var publish: [String] = []

    @Option(name: .shortAndLong, help: "Memory of the machine, for example 512K or 1G.")
    var memory = "64M"

    @Option(
        name: [.customShort("e"), .customLong("env")],
        help: ArgumentHelp("Set a variable of the guest's environment.", valueName: "name=value"))
    var environment: [String] = []

    @Option(help: "What runs the machine: \(Monitors.names.joined(separator: ", ")).")
    var monitor = "auto"

    @Option(help: "The kind of machine: microvm, pc or q35.")
    var machine: MachineType = .microvm

    @OptionGroup var options: BuildOptions

    @Argument(parsing: .postTerminator, help: "Arguments for the application, after --.")
    var arguments: [String] = []

    func run() async throws {
        // Everything that can be wrong with the flags, before anything is built.
        let ports = try publish.map { try PublishedPort($0) }
        let memory = try MemorySize.parse(self.memory)
        try Monitors.check(self.monitor)
        let commandLine = try guestCommandLine()
        for port in ports { try port.checkFree() }

        let choice = try await Monitors.choose(self.monitor, for: machine)
        if options.verbose {
            Terminal.note("monitor: \(choice.monitor.name) (\(choice.reason))")
        }
        let image = try await self.image()
        for case let url? in ports.map(\.url) { Terminal.note(url) }

        var request = MachineRequest(image: image, type: machine, memory: memory)
        request.ports = ports
        request.commandLine = commandLine
        MachineSignals.install()
        let filter = ConsoleFilter(symboliser: Symboliser(debug: image.debugPath))
        let end = try await choice.monitor.run(request) { octets in
            Terminal.write(await filter.pass(octets))
        }
        Terminal.write(await filter.finish())
        if end == .died {
            Terminal.note(
                ToolError(
                    "the machine ended without an exit code",
                    hint: "The console above says why, or it was reset (a triple fault)."
                ).description)
        }
        throw ArgumentParser.ExitCode(end.code)
    }

    /// The image to boot: the one given, or the one that the package makes.
    private func image() async throws(ToolError) -> Image {
        let path = FilePath(self.path)
        guard let status = FileSystem.status(path) else {
            throw ToolError(
                "nothing lies at '\(path)'", hint: "Give a package's folder or an image.",
                exitCode: SwiftletBuild.ExitCode.usage)
        }
        guard status.kind == .folder else {
            let image = try Image(path)
            guard options.files == nil else {
                throw ToolError(
                    "--files goes with a package, and '\(path)' is a finished image",
                    exitCode: SwiftletBuild.ExitCode.usage)
            }
            return image
        }
        return try Image(await options.build(self.path).image)
    }

    private func guestCommandLine() throws(ToolError) -> BootCommandLine {
        var commandLine = BootCommandLine()
        commandLine.arguments = arguments
        for setting in environment {
            guard let equals = setting.firstIndex(of: "=") else {
                throw ToolError(
                    "-e \(setting): that sets nothing", hint: "Write -e NAME=VALUE.",
                    exitCode: SwiftletBuild.ExitCode.usage)
            }
            let name = String(setting[..<equals])
            guard BootCommandLine.isVariableName(name) else {
                throw ToolError(
                    "-e \(setting): '\(name)' is no name of a variable",
                    hint: "Names have letters, digits and _, and do not begin with a digit.",
                    exitCode: SwiftletBuild.ExitCode.usage)
            }
            let value = String(setting[setting.index(after: equals)...])
            commandLine.environment.append((name, value))
        }
        let length = commandLine.text.utf8.count
        guard length <= BootCommandLine.maximumLength else {
            throw ToolError(
                "arguments and environment take \(length) octets; a machine is told "
                    + "\(BootCommandLine.maximumLength) at most",
                hint: "Pack longer things into the image with --files.",
                exitCode: SwiftletBuild.ExitCode.usage)
        }
        return commandLine
    }
}

extension MachineType: ExpressibleByArgument {}
