// The Swift runtime in a booted guest: what works, what the application is told, how it ends.

import SwiftletBuild
import SwiftletHypervisors
import Testing

@Suite("Runtime", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct RuntimeTests {
    @Test(
        "Concurrency, collections, time, files",
        arguments: MachineKind.available)
    func checks(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(image, type: type, arguments: ["runtime"])
        let lines = end.output.split(whereSeparator: \.isNewline)
        #expect(lines.count == 17, "\(end.output)")
        #expect(lines.dropLast().allSatisfy { $0.hasPrefix("ok ") }, "\(end.output)")
        #expect(lines.last == "checks: done")
        #expect(end.exit == .exited(0))
    }

    @Test(
        "Arguments and environment arrive as they were given", arguments: MachineKind.environments)
    func arguments(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let given = ["two words", "", "--", "100%", "a=b", "tab\there", "ü", "ip=dhcp"]
        let end = try await Machine.run(
            image, type: type, arguments: ["arguments"] + given,
            environment: [("GREETING", "hällo, wörld = 1"), ("EMPTY", "")])
        let expected =
            given.map { "argument [\($0)]" }
            + ["GREETING [hällo, wörld = 1]", "EMPTY []", "MISSING [unset]"]
        #expect(end.output.split(whereSeparator: \.isNewline).map(String.init) == expected)
        #expect(end.exit == .exited(0))
    }

    @Test("A logged event is one line of logfmt", arguments: MachineKind.environments)
    func logger(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(image, type: type, arguments: ["log"])
        let line = try #require(
            try /time=(\d{4})-\d\d-\d\dT\d\d:\d\d:\d\dZ level=info (.*?)\r?\n/.wholeMatch(
                in: end.output), "\(end.output)")
        #expect(try #require(Int(line.output.1)) >= 2025)
        #expect(
            line.output.2
                == #"label=fixture message="order accepted" id=42 note="two \"words\"\nand a line""#
        )
    }

    @Test(
        "The exit code reaches the host", arguments: [0, 3, 255] as [UInt8],
        MachineKind.environments)
    func exitCode(code: UInt8, type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(image, type: type, arguments: ["exit", "\(code)"])
        #expect(end.exit == .exited(code))
        #expect(end.output == "")
    }
}

/// One way to end badly.
struct BadEnd: Sendable, CustomTestStringConvertible {
    /// The fixture's first argument.
    var mode: String
    /// What the report says.
    var report: String
    /// As a shell counts the signal.
    var code: UInt8
    /// Stands in the backtrace.
    var function: String

    var testDescription: String { mode }

    static let all = [
        BadEnd(mode: "trap", report: "illegal instruction", code: 132, function: "indexOutOfRange"),
        BadEnd(
            mode: "null", report: "page fault: reading 0x0000000000000008, a null pointer",
            code: 139, function: "readNull"),
        BadEnd(
            mode: "overflow", report: "the stack's guard: stack overflow", code: 139,
            function: "overflowStack"),
        BadEnd(
            mode: "write", report: "page fault: writing 0x", code: 139, function: "writeReadOnly"),
        BadEnd(mode: "code", report: "page fault: writing 0x", code: 139, function: "writeCode"),
        BadEnd(
            mode: "execute", report: "page fault: executing 0x", code: 139,
            function: "executeData"),
        BadEnd(mode: "divide", report: "divide error", code: 136, function: "divideByZero"),
        BadEnd(mode: "exhaust", report: "out of memory", code: 134, function: "exhaustMemory"),
    ]
}

@Suite("Faults", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct FaultTests {
    @Test("A bad end is reported by name, with a backtrace", arguments: BadEnd.all)
    func microvm(end: BadEnd) async throws {
        try await check(end, on: .microvm)
    }

    @Test(
        "The built-in monitor reports it in the same words, without the guest's help",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment), arguments: BadEnd.all)
    func builtIn(end: BadEnd) async throws {
        try await check(end, on: .builtIn)
    }

    @Test(
        "So it is on machines with a BIOS",
        arguments: [MachineKind.pc, .q35],
        BadEnd.all.filter { ["null", "overflow"].contains($0.mode) })
    func bios(type: MachineKind, end: BadEnd) async throws {
        try await check(end, on: type)
    }

    @Test("Memory that runs out names the remedy", arguments: MachineKind.environments)
    func memory(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: type, memory: 8 << 20, arguments: ["exhaust"])
        #expect(end.output.contains("give the machine more (-m)"), "\(end.output)")
        let numbers = try #require(
            try /(\d+) KiB of (\d+) KiB are free/.firstMatch(in: end.output), "\(end.output)")
        // Blocks of 25 page frames come out of runs of 32: the rest stays for smaller ones.
        let free = try #require(Int(numbers.output.1))
        let whole = try #require(Int(numbers.output.2))
        #expect(whole > 6000)
        #expect(free < whole / 4)
    }

    @Test(
        "An error that main throws ends the machine with exit code 1 and the error's type",
        arguments: MachineKind.environments)
    func uncaughtError(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(image, type: type, arguments: ["throw"])
        #expect(end.exit == .exited(1), "\(end.output)")
        let shown = await Self.symbolised(end.output, of: image)
        #expect(shown.contains { $0 == "swiftlet: main ended by throwing an error" }, "\(shown)")
        #expect(shown.contains { $0.hasSuffix(" an uncaught Fixture.FixtureError") }, "\(shown)")
        #expect(!end.output.contains("fault"), "\(end.output)")
    }

    @Test(
        "Of an error of the network's the case is named too, and output comes before the report",
        arguments: MachineKind.environments)
    func uncaughtNetworkError(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(image, type: type, arguments: ["throw-network"])
        #expect(end.exit == .exited(1), "\(end.output)")
        let lines = end.output.split(whereSeparator: \.isNewline)
        #expect(
            lines.prefix(2) == [
                "before the end",
                "swiftlet: main ended by throwing an error; the last of the network's was "
                    + "NetworkError.addressInUse",
            ], "\(end.output)")
    }

    /// The console as `swiftlet run` shows it, by lines.
    private static func symbolised(_ console: String, of image: Image) async -> [Substring] {
        let filter = ConsoleFilter(symboliser: Symboliser(debug: image.debugPath))
        let shown = await filter.pass(Array(console.utf8)[...]) + filter.finish()
        return String(decoding: shown, as: UTF8.self).split(whereSeparator: \.isNewline)
    }

    private func check(_ bad: BadEnd, on type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let end = try await Machine.run(
            image, type: type, memory: 16 << 20, arguments: [bad.mode])
        #expect(end.exit == .exited(bad.code), "\(end.output)")
        let report = try #require(
            end.output.split(whereSeparator: \.isNewline).first {
                $0.hasPrefix("swiftlet: fault: ")
            }, "\(end.output)")
        #expect(report.contains(bad.report))
        let backtrace = await Self.symbolised(end.output, of: image)
            .drop { !$0.hasPrefix("  at 0x") }
        #expect(backtrace.contains { $0.contains(bad.function) }, "\(backtrace)")
        #expect(backtrace.contains { $0.contains(".swift:") }, "\(backtrace)")
    }
}
