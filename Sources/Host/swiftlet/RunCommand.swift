// `swiftlet run`: builds a package if need be, boots the image, and streams its console.

import ArgumentParser
import Glibc
import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import SwiftletInstances
import SystemPackage

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Boots an image, a package or a Linux program in a virtual machine.",
        discussion: """
            Ends with the guest's own exit code. Ctrl-C asks the application to finish, a second \
            one stops the machine. Nothing here needs root.
            """)

    @Argument(help: "A package's folder, an image, or a static Linux executable.")
    var path = "."

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Publish a port of the guest; on 127.0.0.1 unless an address is given, of IPv6 in [].",
            valueName: "[address:]host:guest[/udp]"))
    var publish: [String] = []

    @Option(name: .shortAndLong, help: "Memory of the machine, for example 512K or 1G.")
    var memory = "64M"

    @Option(
        help: ArgumentHelp(
            "Give the machine this file as its disk, to be read only with :ro.",
            valueName: "file[:ro]"))
    var disk: String?

    @Option(
        name: [.customShort("e"), .customLong("env")],
        help: ArgumentHelp("Set a variable of the guest's environment.", valueName: "name=value"))
    var environment: [String] = []

    @Option(
        help: ArgumentHelp(
            "Have the application ask this name server; repeat it for several.",
            valueName: "address[:port]"))
    var dns: [String] = []

    @Option(help: "What runs the machine: \(Monitors.names.joined(separator: ", ")).")
    var monitor = "auto"

    @Option(help: "The kind of machine: microvm, pc or q35.")
    var machine: MachineType = .microvm

    @Flag(
        name: .shortAndLong,
        help: "Pass standard input on to the application; without, it is at its end.")
    var interactive = false

    @Flag(name: .shortAndLong, help: "Run in the background, and print the instance's name.")
    var detach = false

    @Option(help: "The instance's name; one is made up without.")
    var name: String?

    @Option(
        help: ArgumentHelp(
            "Start the machine again after its end: no, on-failure, on-failure:N or always.",
            valueName: "policy"))
    var restart = "no"

    @Flag(
        name: .customLong("rm"),
        help: "Forget the instance at its end, as is done without --name in the foreground.")
    var remove = false

    @OptionGroup var options: BuildOptions

    @Argument(parsing: .postTerminator, help: "Arguments for the application, after --.")
    var arguments: [String] = []

    /// What lies at `path`.
    enum Given {
        case package
        /// A Linux program.
        case program
        /// Octets of what may be an image; nil if there are none to be had.
        case file([UInt8]?)
    }

    /// Looks at what lies at `path`, and reads it once.
    func given() -> Given {
        if FileSystem.isFolder(FilePath(path)) { return .package }
        guard FileSystem.isFile(FilePath(path)),
            let contents = try? FileSystem.read(FilePath(path))
        else { return .file(nil) }
        return LinuxProgram.isProgram(contents) ? .program : .file(contents)
    }

    func run() async throws {
        let plan = try plan()
        let image = try await self.image()
        let configuration = plan.configuration(of: image)
        if detach { return try start(configuration, consume image, plan.ports) }
        for case let url? in plan.ports.map(\.url) { Terminal.note(url) }
        // The image's octets are not kept for as long as the machine lives.
        let debug = (consume image).debugPath
        throw ArgumentParser.ExitCode(try await runHere(configuration, debug: debug))
    }

    /// As `run` for an image that is started in the background, without a thread or task besides this
    /// one: that takes longer than all the rest. False, and nothing was done, for anything else.
    func runImmediately() throws -> Bool {
        guard detach, case .file(let contents) = given() else { return false }
        let plan = try plan()
        let image = try finishedImage(consume contents)
        try start(plan.configuration(of: image), consume image, plan.ports)
        return true
    }

    private struct Plan {
        var configuration: InstanceConfiguration
        var ports: [PublishedPort]

        func configuration(of image: Image) -> InstanceConfiguration {
            var configuration = configuration
            configuration.image = FileSystem.resolve(image.path).string
            return configuration
        }
    }

    /// Everything that can be wrong with the flags, before anything is built.
    private func plan() throws -> Plan {
        guard !interactive || !detach else {
            throw ToolError(
                "-i and -d exclude each other: nobody types into an instance in the background",
                hint: "Leave out one; files for the application go into the image by --files.",
                exitCode: SwiftletBuild.ExitCode.usage)
        }
        let ports = try publish.map { try PublishedPort($0) }
        let memory = try MemorySize.parse(self.memory)
        try Monitors.check(self.monitor)
        let commandLine = try guestCommandLine()
        for port in ports { try port.checkFree() }
        let disk = try self.disk.map { try MachineDisk($0) }
        try disk?.check()
        let policy = try RestartPolicy(restart)
        if let name { try InstanceName.check(name) }
        let choice = try Monitors.choose(self.monitor, for: machine)
        if choice.monitor is QEMU { try QEMU.check(ports) }
        if options.verbose {
            Terminal.note("monitor: \(choice.monitor.name) (\(choice.reason))")
        }
        var configuration = InstanceConfiguration(name: name ?? "", image: "")
        configuration.monitor = choice.monitor.name
        configuration.machine = machine.rawValue
        configuration.memory = memory
        configuration.ports = publish
        configuration.disk = disk?.text
        configuration.interactive = interactive ? true : nil
        configuration.environment = commandLine.environment.map {
            InstanceConfiguration.Variable(name: $0.name, value: $0.value)
        }
        configuration.nameServers = dns.isEmpty ? nil : dns
        configuration.arguments = arguments
        configuration.restart = policy
        configuration.removesItself = remove || (name == nil && !detach)
        return Plan(configuration: configuration, ports: ports)
    }

    /// Runs the instance in the background.
    private func start(
        _ configuration: InstanceConfiguration, _ image: consuming Image, _ ports: [PublishedPort]
    ) throws(ToolError) {
        let claim = try InstanceStore.standard().create(
            configuration, keepsImage: configuration.mayStartAgain)
        do throws(ToolError) {
            // The image goes before the fork: what is in memory here, the supervisor has, too.
            let machine = try Supervisor.machine(claim, of: consume image)
            try SupervisorProcess.start(claim, machine)
        } catch {
            claim.abandon()
            throw error
        }
        for case let url? in ports.map(\.url) { Terminal.note(url) }
        Terminal.result(claim.configuration.name)
    }

    /// Runs the instance in the foreground. One without a name needs no lasting place: where the
    /// user's state folder cannot be had, a temporary one does.
    private func runHere(
        _ configuration: InstanceConfiguration, debug: FilePath
    ) async throws(ToolError) -> Int32 {
        let claim: ClaimedInstance
        do throws(ToolError) {
            claim = try InstanceStore.standard().create(
                configuration, keepsImage: configuration.mayStartAgain)
        } catch {
            guard name == nil else { throw error }
            let folder = try FileSystem.makeTemporaryFolder()
            defer { FileSystem.remove(folder) }
            let temporary = try InstanceStore(folder).create(configuration)
            return try await Foreground.run(temporary, debug: debug)
        }
        return try await Foreground.run(claim, debug: debug)
    }

    /// The image to boot: the one given, or the one that the package or the program makes.
    private func image() async throws(ToolError) -> Image {
        if case .file(let contents) = given() { return try finishedImage(contents) }
        return try Image(await options.build(path).image)
    }

    /// The image at `path`, which has these octets.
    private func finishedImage(_ contents: [UInt8]?) throws(ToolError) -> Image {
        guard FileSystem.status(FilePath(path)) != nil else {
            throw ToolError(
                "nothing lies at '\(path)'",
                hint: "Give a package's folder, an image or a Linux program.",
                exitCode: SwiftletBuild.ExitCode.usage)
        }
        let image =
            if let contents {
                try Image(FilePath(path), contents: contents)
            } else {
                try Image(FilePath(path))
            }
        guard options.files == nil else {
            throw ToolError(
                "--files goes with a package, and '\(path)' is a finished image",
                exitCode: SwiftletBuild.ExitCode.usage)
        }
        return image
    }

    private func guestCommandLine() throws(ToolError) -> BootCommandLine {
        var commandLine = BootCommandLine()
        commandLine.arguments = arguments
        for server in dns {
            guard NameServerSetting.isValid(Array(server.utf8)) else {
                throw ToolError(
                    "--dns \(server): that is no name server",
                    hint: "Write its IPv4 address, with a port behind a colon if it is not 53.",
                    exitCode: SwiftletBuild.ExitCode.usage)
            }
        }
        commandLine.nameServers = dns
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
