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
            #expect(limits.contains { $0.wholeMatch(of: /Max open files +1 +1 .*/) != nil })
            #expect(limits.contains { $0.wholeMatch(of: /Max core file size +0 +0 .*/) != nil })
            // Output and errors, errors again, the processor, the link.
            #expect(try FileSystem.names(in: FilePath("/proc/\(process)/fd")).count == 5)
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
