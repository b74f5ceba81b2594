// Linux programs, as they are: what one prints natively it prints in the guest, too.

import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("Linux programs", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct LinuxTests {
    /// A compiler that links static programs.
    enum Compiler: String, CaseIterable, Sendable {
        case glibc = "gcc"
        case musl = "musl-gcc"

        static let available = allCases.filter { Requirement.has($0.rawValue) }
        static let comment: Comment = "needs gcc or musl-gcc (`make setup` names them)"
    }

    /// A compiler, and an environment to run in.
    struct Case: Sendable, CustomTestStringConvertible {
        var compiler: Compiler
        var type: MachineKind
        var testDescription: String { "\(compiler.rawValue), \(type.rawValue)" }
    }

    /// Every compiler in every environment.
    static let cases = MachineKind.environments.flatMap { type in
        Compiler.available.map { Case(compiler: $0, type: type) }
    }

    static let programs = GuestImages.root.appending("Tests/GuestTests/Programs")

    /// Compiles a program of Tests/GuestTests/Programs, and hands it to `body`.
    static func with<R>(
        _ name: String, by compiler: Compiler, options: [String] = ["-static"],
        libraries: [String] = [], _ body: (FilePath) async throws -> R
    ) async throws -> R {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let program = folder.appending(name)
        let outcome = try await ProcessRunner.collect(
            compiler.rawValue,
            ["-O2", "-w", "-pthread"] + options + [
                programs.appending(name + ".c").string, "-o", program.string,
            ] + libraries)
        guard outcome.succeeded else { throw MachineFailure(description: outcome.errorOutput) }
        return try await body(program)
    }

    /// The image of a program, with the files of a folder.
    static func image(_ program: FilePath, files: FilePath? = nil) async throws -> Image {
        var request = ProgramRequest(program: program)
        request.files = files
        request.output = FilePath(program.string + ".image")
        return try Image(try await PackageBuilder.build(request).image)
    }

    /// Runs a program natively and in the guest, and compares what both print and how they end.
    private static func compare(
        _ name: String, by compiler: Compiler, options: [String] = ["-static"],
        type: MachineKind = .microvm
    ) async throws {
        try await with(name, by: compiler, options: options) { program in
            // What a run that was stopped has left behind; programs are run one after the other.
            FileSystem.remove("/tmp/swiftlet-test")
            let native = try await ProcessRunner.collect(program.string, [])
            let end = try await Machine.run(try await image(program), type: type)
            let output = end.output.replacing("\r\n", with: "\n")
            #expect(output == native.output)
            // As a shell does, the runner adds 128 to a signal's number.
            #expect(end.exit == .exited(UInt8(truncatingIfNeeded: native.exitCode)))
        }
    }

    @Test(
        "A program prints and ends as natively",
        .enabled(if: !Compiler.available.isEmpty, Compiler.comment),
        arguments: ["files", "events", "memory", "mappings", "clocks"], cases)
    func programs(name: String, run: Case) async throws {
        try await Self.compare(name, by: run.compiler, type: run.type)
    }

    /// Whether this machine has a loopback interface for IPv6, so that it can be compared with.
    private static let hasIPv6 = !((try? FileSystem.read("/proc/net/if_inet6"))?.isEmpty ?? true)

    @Test(
        "Sockets of IPv4 and IPv6",
        .enabled(if: !Compiler.available.isEmpty, Compiler.comment),
        .enabled(if: hasIPv6, "needs IPv6 on the loopback interface to compare with"),
        arguments: cases)
    func sockets(run: Case) async throws {
        try await Self.compare("sockets", by: run.compiler, type: run.type)
    }

    @Test(
        "Standard input is what a pipe is natively",
        .enabled(if: !Compiler.available.isEmpty, Compiler.comment), arguments: Compiler.available)
    func input(compiler: Compiler) async throws {
        try await Self.with("input", by: compiler) { program in
            let image = try await Self.image(program).path.string
            let text = String(repeating: "What goes in is counted. ", count: 20_000)
            let native = try await ProcessRunner.collect(program.string, [], input: text)
            let end = try await ProcessRunner.collect(
                Machine.tool, ["run", "-i", "--monitor", "qemu", image], input: text)
            #expect(native.output.contains("500000 octets"))
            #expect(end.output.replacing("\r\n", with: "\n") == native.output)
            #expect(end.exitCode == native.exitCode && end.exitCode == 5, "\(end.errorOutput)")
        }
    }

    @Test(
        "Threads and signals", .enabled(if: !Compiler.available.isEmpty, Compiler.comment),
        arguments: ["threads", "vectors"], cases)
    func threads(name: String, run: Case) async throws {
        try await Self.compare(name, by: run.compiler, type: run.type)
    }

    @Test(
        "On every kind of machine", .enabled(if: !Compiler.available.isEmpty, Compiler.comment),
        arguments: MachineKind.available)
    func machines(type: MachineKind) async throws {
        try await Self.compare("hello", by: Compiler.available[0], type: type)
    }

    @Test(
        "A position-independent program", .enabled(if: Requirement.has("gcc"), Compiler.comment),
        arguments: MachineKind.environments)
    func positionIndependent(type: MachineKind) async throws {
        try await Self.compare("hello", by: .glibc, options: ["-static-pie"], type: type)
        try await Self.compare("events", by: .glibc, options: ["-static-pie"], type: type)
    }

    @Test(
        "Calls that are made by instructions work, too, though they are no longer rewritten",
        .enabled(if: Requirement.has("gcc"), Compiler.comment),
        arguments: MachineKind.environments)
    func instruction(type: MachineKind) async throws {
        try await Self.compare("instruction", by: .glibc, type: type)
    }

    @Test(
        "Arguments and environment", .enabled(if: !Compiler.available.isEmpty, Compiler.comment),
        arguments: MachineKind.environments)
    func arguments(type: MachineKind) async throws {
        try await Self.with("hello", by: Compiler.available[0]) { program in
            let end = try await Machine.run(
                try await Self.image(program), type: type, arguments: ["a b", "%c"],
                environment: [("COLOUR", "blue = 1")])
            let output = end.output.replacing("\r\n", with: "\n")
            #expect(output == "hello, 2 arguments\na b\n%c\nCOLOUR is blue = 1\n")
            #expect(end.exit == .exited(42))
        }
    }

    @Test(
        "What is not there is said once, and a fault names its address",
        .enabled(if: !Compiler.available.isEmpty, Compiler.comment),
        arguments: MachineKind.environments)
    func unknown(type: MachineKind) async throws {
        try await Self.with("unknown", by: Compiler.available[0]) { program in
            let end = try await Machine.run(try await Self.image(program), type: type)
            let reports = end.output.split(separator: "system call io_uring_setup is not there")
            #expect(reports.count == 2, "\(end.output)")
            #expect(end.output.split(separator: "-1, 38").count == 3, "\(end.output)")
            #expect(end.output.contains("ends by signal 11: address 0x0000000000000008"))
            #expect(end.exit == .exited(139))
        }
    }

    /// The C server that benchmarks compare with.
    static let server = GuestImages.root.appending("Benchmarks/Peers/epoll_server.c")

    @Test(
        "A server on epoll answers curl",
        .enabled(if: Requirement.has("gcc"), Compiler.comment),
        arguments: MachineKind.environments)
    func server(type: MachineKind) async throws {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let program = folder.appending("server")
        let outcome = try await ProcessRunner.collect(
            "gcc",
            ["-O2", "-D_GNU_SOURCE", "-static", Self.server.string, "-o", program.string])
        #expect(outcome.succeeded, "\(outcome.errorOutput)")
        try await Machine.with(
            try await Self.image(program), type: type, publishing: [80], arguments: ["80"]
        ) { machine in
            for _ in 0..<3 {
                let page = try await machine.curl("/", ["--include"])
                #expect(page.output.hasPrefix("HTTP/1.1 200 OK\r\n"), "\(page.errorOutput)")
                #expect(page.output.hasSuffix("Hello"))
            }
        }
    }
}
