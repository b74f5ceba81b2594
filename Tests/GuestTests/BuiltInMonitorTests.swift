// What is the built-in monitor's alone: how little a machine takes, and what its process gives up.

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
        "A machine that is stopped stops",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func stop() async throws {
        let image = try await GuestImages.example("HelloHTTP")
        let exit = try await Machine.with(image, type: .builtIn) { machine in
            machine.task.cancel()
            return try await machine.task.value
        }
        #expect(exit == .stopped(signal: 15))
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
            #expect(limits.contains { $0.wholeMatch(of: /Max open files +2 +2 .*/) != nil })
            #expect(limits.contains { $0.wholeMatch(of: /Max core file size +0 +0 .*/) != nil })
            // The standard three, the processor, the link.
            #expect(try FileSystem.names(in: FilePath("/proc/\(process)/fd")).count == 5)
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
