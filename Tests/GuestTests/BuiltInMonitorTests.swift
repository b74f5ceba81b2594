// What is the built-in monitor's alone: how little a machine takes, and what its process gives up.

import FoundationEssentials
import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("Built-in monitor")
struct BuiltInMonitorTests {
    @Test(
        "Guest tests run in it too", .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func isTested() {
        #expect(MachineKind.available.contains(.builtIn))
    }

    @Test(
        "Hello runs in half a megabyte",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func littleMemory() async throws {
        let image = try await GuestImages.guest("Hello")
        let end = try await Machine.run(image, type: .builtIn, memory: 512 << 10)
        #expect(end.output == "Hello from Swiftlet\n")
        #expect(end.exit == .exited(0))
    }

    @Test(
        "A monitor whose guest runs is confined",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func confinement() async throws {
        let image = try await GuestImages.example("HelloHTTP")
        let mark = "MARK=\(getpid())"
        try await Machine.with(
            image, type: .builtIn, publishing: [80], environment: [("MARK", "\(getpid())")]
        ) { machine in
            _ = try await machine.curl("/")
            let process = try #require(try Self.process(withArgument: mark))
            func text(_ file: String) throws -> String {
                String(
                    decoding: try FileSystem.read(FilePath("/proc/\(process)/\(file)")),
                    as: UTF8.self)
            }
            let status = try text("status").split(separator: "\n")
            #expect(status.contains("NoNewPrivs:\t1"))
            #expect(status.contains("Seccomp:\t2"))
            let limits = try text("limits").split(separator: "\n")
            #expect(limits.contains { $0.wholeMatch(of: /Max open files +3 +3 .*/) != nil })
            #expect(limits.contains { $0.wholeMatch(of: /Max core file size +0 +0 .*/) != nil })
            #expect(status.contains("CapEff:\t0000000000000000"))
            #expect(status.contains("CapPrm:\t0000000000000000"))
            // The standard three, the processor, the link, the counters.
            #expect(try FileSystem.names(in: FilePath("/proc/\(process)/fd")).count == 6)
        }
    }

    @Test(
        "It runs for those who are not root",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment),
        .enabled(if: getuid() == 0, "needs root, to be somebody else"))
    func unprivileged() async throws {
        let image = try await GuestImages.guest("Hello")
        var monitor = try await BuiltIn.find()
        // Nobody, but for the way to /dev/kvm, which may be root's alone.
        monitor.amend = { command in
            [
                "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--",
            ] + command
        }
        let end = try await Machine.run(image, type: .builtIn, monitor: monitor)
        #expect(end.output == "Hello from Swiftlet\n")
        #expect(end.exit == .exited(0))
    }

    /// Of `inspect --json`.
    private struct Inspection: Decodable {
        struct Kernel: Decodable {
            var seccomp: String
            var seccompFilters: Int
            var noNewPrivileges: Bool
            var capabilities: UInt64
        }
        var guestRing: Int
        var kernel: Kernel
        var said: [String: String]
    }

    /// Of `stats --json`.
    private struct Stats: Decodable {
        struct Counters: Decodable {
            var exits: UInt64
            var waits: UInt64
            var registerReads: UInt64
            var receivedFrames: UInt64
            var sentFrames: UInt64
            var sentOctets: UInt64
        }
        var counters: Counters?
    }

    @Test(
        "What is in force is shown, and counted what comes and goes, of each monitor what it has",
        .enabled(if: Requirement.isMet, "\(Requirement.reason)"),
        arguments: MachineKind.environments)
    func inspection(kind: MachineKind) async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            let port = try Machine.freePort()
            _ = try await swiftlet("run", "-d", "--name", "web", "-p", "\(port):80", image)
            #expect(try await swiftlet.curl(port).output == "Hello\n")

            let shown = try await swiftlet("inspect", "--json", "web").output
            let seen = try JSONDecoder().decode(Inspection.self, from: Data(shown.utf8))
            let isOurs = kind == .builtIn
            #expect(seen.kernel.seccomp == (isOurs ? "filter" : "none"), "\(shown)")
            #expect(seen.kernel.noNewPrivileges == isOurs)
            #expect((seen.kernel.capabilities == 0) == (isOurs || getuid() != 0))
            #expect(seen.guestRing == (isOurs ? 3 : 0))
            #expect(seen.said["calls"]?.contains("ioctl(KVM_RUN)") == (isOurs ? true : nil))
            #expect((seen.said["landlock"] != nil) == isOurs)

            let text = try await swiftlet("inspect", "web").output
            #expect(text.contains(isOurs ? "seccomp         filter, 1 installed" : "none: any"))
            let table = try await swiftlet("stats", "--no-stream").output
            #expect(table.contains("EXITS/S"), "\(table)")

            let row = try #require(try await swiftlet.list().first)
            for process in [try #require(row.process), try #require(row.supervisor)] {
                #expect(try Self.processors(of: process) == Self.processors(of: getpid()))
            }

            let before = try await Self.counters(swiftlet)
            for _ in 0..<5 { #expect(try await swiftlet.curl(port).output == "Hello\n") }
            let after = try await Self.counters(swiftlet)
            guard isOurs else {
                #expect(before == nil && after == nil)
                return
            }
            let (first, last) = (try #require(before), try #require(after))
            // A connection each: at least SYN, request and FIN come, and their answers go.
            #expect(last.receivedFrames >= first.receivedFrames + 15)
            #expect(last.sentFrames >= first.sentFrames + 15)
            #expect(last.sentOctets >= first.sentOctets + 5 * 60)
            #expect(last.exits >= first.exits + 5 && last.waits >= first.waits + 5)
            // Registers are read in memory.
            #expect(last.registerReads == 0)
        }
    }

    /// On which it may run.
    private static func processors(of process: Int32) throws -> Substring? {
        String(decoding: try FileSystem.read(FilePath("/proc/\(process)/status")), as: UTF8.self)
            .split(separator: "\n").first { $0.hasPrefix("Cpus_allowed:") }
    }

    private static func counters(_ swiftlet: InstanceTool) async throws -> Stats.Counters? {
        let text = try await swiftlet("stats", "--no-stream", "--json").output
        return try JSONDecoder().decode([Stats].self, from: Data(text.utf8)).first?.counters
    }

    @Test("What is neither an image nor an instance is called so")
    func unknown() async throws {
        try await InstanceTool.with { swiftlet in
            let outcome = try await swiftlet("inspect", "nobody")
            #expect(outcome.exitCode == 1)
            #expect(outcome.errorOutput.contains("there is no image and no instance 'nobody'"))
        }
    }

    @Test(
        "Memory that a guest has freed goes back to the host, and is whole when it is used again",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func memoryReturns() async throws {
        let image = try await GuestImages.guest("Fixture")
        let mark = "MARK=burst\(getpid())"
        try await Machine.with(
            image, type: .builtIn, memory: 256 << 20, arguments: ["burst"],
            environment: [("MARK", "burst\(getpid())")]
        ) { machine in
            try await machine.waitFor("burst: right", seconds: 120)
            let process = try #require(try Self.process(withArgument: mark))
            /// KiB in memory: now, or the most there ever was.
            func resident(_ key: String) throws -> Int {
                let status = String(
                    decoding: try FileSystem.read(FilePath("/proc/\(process)/status")),
                    as: UTF8.self)
                let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(key) })
                return try #require(Int(line.split(whereSeparator: \.isWhitespace)[1]))
            }
            #expect(try resident("VmHWM:") > 150 << 10)
            var now = try resident("VmRSS:")
            for _ in 0..<1500 where now > 20 << 10 {
                try await Task.sleep(for: .milliseconds(20))
                now = try resident("VmRSS:")
            }
            #expect(now <= 20 << 10)
        }
    }

    /// The monitor whose command line holds `text`.
    private static func process(withArgument text: String) throws -> Int32? {
        for name in try FileSystem.names(in: "/proc") {
            guard let process = Int32(name), process != getpid(),
                let line = try? FileSystem.read(FilePath("/proc/\(process)/cmdline")),
                let program = line.split(separator: 0).first,
                String(decoding: program, as: UTF8.self).hasSuffix("swiftlet-monitor"),
                String(decoding: line, as: UTF8.self).contains(text)
            else { continue }
            return process
        }
        return nil
    }
}
