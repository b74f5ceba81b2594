// Guests that were taken over, in the built-in monitor: each attack ends in a clear word and a
// documented exit code, or in nothing at all; the monitor stays within its bounds.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite(
    "Hostile guests", .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment), .serialized)
struct HostileGuestTests {
    /// What the guest tries, by its number in the fixture, and how it ends.
    struct Attempt: CustomTestStringConvertible {
        var number: Int
        var what: String
        var report = "general protection fault"
        var code: UInt8 = 139
        /// As hosts tell it whose KVM works without the processor's help.
        var otherReport: String?
        var otherCode: UInt8 = 132
        var testDescription: String { what }
    }

    static let attempts: [Attempt] = [
        Attempt(number: 0, what: "cli"), Attempt(number: 1, what: "sti"),
        Attempt(number: 2, what: "hlt"), Attempt(number: 3, what: "in from another port"),
        Attempt(number: 4, what: "out to the port of faults"),
        Attempt(number: 5, what: "wrmsr EFER"), Attempt(number: 6, what: "mov to CR3"),
        Attempt(number: 7, what: "mov from CR0"),
        Attempt(number: 8, what: "syscall", report: "illegal instruction", code: 132),
        Attempt(number: 9, what: "int3", otherReport: "breakpoint", otherCode: 139),
        Attempt(number: 10, what: "int 0x80", otherReport: "illegal instruction"),
        Attempt(
            number: 11, what: "int 14: a fault that was none", otherReport: "illegal instruction"),
        Attempt(number: 12, what: "ltr"), Attempt(number: 13, what: "iretq into ring 0"),
        Attempt(number: 14, what: "popf with IOPL 3, then cli"),
        Attempt(number: 15, what: "the trap flag", report: "debug exception"),
        Attempt(
            number: 16, what: "a call to the monitor's stub",
            report: "page fault: executing 0xffff800000001000"),
        Attempt(
            number: 17, what: "reading descriptors",
            report: "page fault: reading 0xffff800000000000"),
        Attempt(
            number: 18, what: "writing a gate",
            report: "page fault: writing 0xffff800000000080"),
        Attempt(
            number: 19, what: "reading behind RAM",
            report: "page fault: reading 0x0000400400000000, where nothing is mapped"),
        Attempt(number: 20, what: "lgdt"), Attempt(number: 21, what: "mov to DR7"),
    ]

    @Test("What only ring 0 may do is reported, with an exit code", arguments: attempts)
    func privileged(attempt: Attempt) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: .builtIn, memory: 8 << 20,
            arguments: ["hostile", "privileged", "\(attempt.number)"])
        let report = end.output.split(whereSeparator: \.isNewline).first {
            $0.hasPrefix("swiftlet: fault: ")
        }
        let isUsual =
            end.exit == .exited(attempt.code) && report?.contains(attempt.report) == true
        let isOther =
            end.exit == .exited(attempt.otherCode)
            && attempt.otherReport.map { report?.contains($0) == true } ?? false
        #expect(isUsual || isOther, "\(end.exit): \(end.output)")
        #expect(!end.output.contains("it was done"))
    }

    @Test("The console shows nothing that is not the guest's")
    func ranges() async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: .builtIn, memory: 8 << 20, arguments: ["hostile", "ranges"])
        #expect(end.output == "nothing was shown\n")
        #expect(end.exit == .exited(0))
    }

    @Test("No page is mapped that is not the guest's own, and no handler outside of its memory")
    func pages() async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: .builtIn, memory: 8 << 20, arguments: ["hostile", "pages"])
        #expect(end.output.hasPrefix("0 changes were made\n"), "\(end.output)")
        #expect(end.output.contains("page fault: reading 0xffff800000000000"), "\(end.output)")
        #expect(end.exit == .exited(139))
    }

    @Test(
        "A page that was taken is gone at once",
        arguments: [
            "reading 0x0000000080000000, where nothing is mapped",
            "writing 0x0000000080000000, which its page forbids",
            "executing 0x0000000080000000, which its page forbids", "illegal instruction",
        ].enumerated().map { ($0.offset, $0.element) })
    func lostPage(way: Int, report: String) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: .builtIn, memory: 8 << 20, arguments: ["hostile", "lose", "\(way)"])
        #expect(end.output.contains("swiftlet: fault: "), "\(end.output)")
        #expect(end.output.contains(report), "\(end.output)")
    }

    @Test("Registers at odd offsets, in all sizes, harm nobody")
    func registers() async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: .builtIn, memory: 8 << 20, arguments: ["hostile", "registers"])
        #expect(end.output == "poked\n")
        #expect(end.exit == .exited(0))
    }

    @Test("A driver that breaks a rule stops its device, and no more")
    func rules() async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: .builtIn, memory: 8 << 20, arguments: ["hostile", "rules"])
        let lines = end.output.split(whereSeparator: \.isNewline)
        #expect(lines.count == 18, "\(end.output)")
        #expect(lines.allSatisfy { $0.hasSuffix(": stopped") }, "\(end.output)")
        #expect(end.exit == .exited(0))
    }

    @Test("Noise in all rings harms nobody")
    func scribble() async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: .builtIn, memory: 8 << 20, arguments: ["hostile", "scribble"])
        #expect(end.output == "scribbled\n")
        #expect(end.exit == .exited(0))
    }

    @Test("Rules broken and noise in the console's rings stop the console's device, and no more")
    func console() async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        let end = try await ProcessRunner.collect(
            Machine.tool,
            ["run", "-i", "--monitor", "builtin", "-m", "8M", image, "--", "hostile", "console"],
            input: String(repeating: "octets that nobody takes ", count: 100))
        let lines = end.output.split(whereSeparator: \.isNewline)
        #expect(lines.count { $0.hasSuffix(": stopped") } == 9, "\(end.output)")
        #expect(lines.last == "scribbled")
        #expect(end.exitCode == 0, "\(end.errorOutput)")
    }

    @Test("A guest that loops is paused, resumed and killed; its neighbour does not notice")
    func loop() async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        let neighbour = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with(monitor: "builtin") { swiftlet in
            let port = try Machine.freePort()
            _ = try await swiftlet("run", "-d", "--name", "web", "-p", "\(port):80", neighbour)
            _ = try await swiftlet(
                "run", "-d", "--name", "bad", "-m", "8M", image, "--", "hostile", "loop")
            try await Self.waitForLog(swiftlet, "bad", "looping")
            #expect(try await swiftlet.curl(port).output == "Hello\n")

            #expect(try await swiftlet("pause", "bad").exitCode == 0)
            let row = try #require(try await swiftlet.list().first { $0.name == "bad" })
            #expect(row.state == "paused")
            // Stopped by the signal, though the guest never leaves the machine of its own will.
            let process = try #require(row.process)
            #expect(try await Self.comes { try Self.state(process) == "T" })
            #expect(try await swiftlet("resume", "bad").exitCode == 0)
            #expect(try await Self.comes { try Self.state(process) != "T" })

            #expect(try await swiftlet("stop", "--timeout", "0.2", "bad").exitCode == 0)
            let ended = try #require(try await swiftlet.list().first { $0.name == "bad" })
            #expect(ended.state == "exited" && ended.exitCode ?? 0 > 128, "\(ended)")
            #expect(try await swiftlet.curl(port).output == "Hello\n")
        }
    }

    @Test("A flood on the console costs the host two files of a mebibyte, and little memory")
    func flood() async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        try await InstanceTool.with(monitor: "builtin") { swiftlet in
            _ = try await swiftlet(
                "run", "-d", "--name", "bad", "-m", "8M", image, "--", "hostile", "flood")
            let log = swiftlet.state.appending("swiftlet/instances/bad/console.log")
            let older = FilePath(log.string + ".1")
            // Until it has turned over: what is written is then at least twice what is kept.
            for _ in 0..<3000 where FileSystem.status(older) == nil {
                try await Task.sleep(for: .milliseconds(10))
            }
            for file in [log, older] {
                #expect(try #require(FileSystem.status(file)).size < 1 << 20 + 32 << 10)
            }
            let row = try #require(try await swiftlet.list().first)
            // The guest's 8 MiB and the monitor; the supervisor alone.
            #expect(try #require(row.memoryUsed) < 16 << 20)
            #expect(try Self.residentOctets(try #require(row.supervisor)) < 64 << 20)
            #expect(try await swiftlet("kill", "bad").exitCode == 0)
            #expect(try await swiftlet("wait", "bad").output == "137\n")
        }
    }

    private static func waitForLog(
        _ swiftlet: InstanceTool, _ name: String, _ text: String
    ) async throws {
        for _ in 0..<1500 {
            if try await swiftlet("logs", name).output.contains(text) { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw MachineFailure(description: "'\(text)' did not come")
    }

    /// Whether `condition` comes true: a signal takes its time to arrive.
    private static func comes(_ condition: () throws -> Bool) async throws -> Bool {
        for _ in 0..<1500 {
            if try condition() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    /// The letter of proc_pid_stat(5): R, S, T.
    private static func state(_ process: Int32) throws -> String {
        let stat = try FileSystem.read(FilePath("/proc/\(process)/stat"))
        let text = String(decoding: stat, as: UTF8.self)
        return String(text[text.index(after: text.lastIndex(of: ")")!)...].prefix(2).suffix(1))
    }

    private static func residentOctets(_ process: Int32) throws -> Int {
        let stat = try FileSystem.read(FilePath("/proc/\(process)/statm"))
        let fields = String(decoding: stat, as: UTF8.self).split(separator: " ")
        return (Int(fields[1]) ?? 0) * Int(getpagesize())
    }
}
