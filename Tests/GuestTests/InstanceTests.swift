// Real instances: the command line, its supervisors, and machines in QEMU, from birth to oblivion.

import FoundationEssentials
import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

/// The tool with instances of its own, all gone at the end.
struct InstanceTool: Sendable {
    let state: FilePath
    /// As after `--monitor`.
    var monitor = "qemu"

    func callAsFunction(_ arguments: String...) async throws -> ProcessOutcome {
        try await run(arguments)
    }

    func run(_ arguments: [String], input: String = "") async throws -> ProcessOutcome {
        var arguments = arguments
        if arguments.first == "run" { arguments.insert(contentsOf: ["--monitor", monitor], at: 1) }
        return try await ProcessRunner.collect(
            Machine.tool, arguments, environment: ["XDG_STATE_HOME": state.string],
            input: input)
    }

    /// What an instance's processes take, in octets.
    struct Memory: Decodable {
        var monitor: Int
        var network: Int
        var supervisor: Int
    }

    /// One row of `ps --json`.
    struct Row: Decodable {
        var name: String
        var state: String
        var uptime: Double?
        var monitor: String
        var ports: [String]
        var memoryUsed: Int?
        var memory: Memory?
        var memoryGiven: Int
        var processorTime: Double?
        var exitCode: Int32?
        var reason: String?
        var restarts: Int
        var process: Int32?
        var supervisor: Int32?
    }

    func list() async throws -> [Row] {
        let outcome = try await self("ps", "--all", "--json")
        return try JSONDecoder().decode([Row].self, from: Data(outcome.output.utf8))
    }

    /// Waits until the instance of this name is as `condition` wants it.
    func wait(
        for name: String, _ what: Comment, _ condition: (Row) -> Bool
    ) async throws -> Row {
        for _ in 0..<1500 {
            if let row = try await list().first(where: { $0.name == name }), condition(row) {
                return row
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw MachineFailure(description: "'\(name)': \(what) did not come")
    }

    func curl(_ port: UInt16, _ arguments: [String] = []) async throws -> ProcessOutcome {
        try await ProcessRunner.collect(
            "curl",
            [
                "--silent", "--show-error", "--max-time", "30", "--retry", "30", "--retry-delay",
                "1", "--retry-all-errors",
            ] + arguments + ["http://127.0.0.1:\(port)/"])
    }

    static func with(
        monitor: String = "qemu", _ body: (InstanceTool) async throws -> Void
    ) async throws {
        let tool = InstanceTool(
            state: try FileSystem.makeTemporaryFolder(), monitor: monitor)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(tool))
        } catch {
            result = .failure(error)
        }
        _ = try? await tool("rm", "--force", "--all")
        FileSystem.remove(tool.state)
        try result.get()
    }
}

@Suite("Instances", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct InstanceTests {
    @Test(
        "A whole life: started, listed, asked over HTTP, read, stopped by its own doing, removed",
        arguments: MachineKind.available)
    func life(kind: MachineKind) async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            let port = try Machine.freePort()
            let start = try await swiftlet(
                "run", "--detach", "--name", "web", "--machine", kind.machine.rawValue, "-p",
                "\(port):80", image)
            #expect(start.exitCode == 0, "\(start.errorOutput)")
            #expect(start.output == "web\n")
            #expect(try await swiftlet.curl(port).output == "Hello\n")

            let row = try #require(try await swiftlet.list().first)
            #expect(row.name == "web" && row.state == "running")
            #expect(row.monitor == kind.monitorName)
            #expect(row.ports == ["\(port):80"])
            #expect(row.memoryGiven == 64 << 20)
            let used = try #require(row.memoryUsed)
            #expect(used > 1 << 20)
            let memory = try #require(row.memory)
            #expect(memory.monitor + memory.network + memory.supervisor == used)
            #expect(memory.monitor > 0 && memory.supervisor > 0)
            #expect((memory.network > 0) == (kind == .builtIn))
            #expect(row.uptime != nil && row.processorTime != nil && row.exitCode == nil)
            let stats = try await swiftlet("stats", "--no-stream", "web")
            #expect(stats.output.contains("web"), "\(stats.errorOutput)")

            // The deadline is far: only the guest itself can end with 0.
            let stop = try await swiftlet("stop", "--timeout", "1000", "web")
            #expect(stop.output == "web\n", "\(stop.errorOutput)")
            let ended = try #require(try await swiftlet.list().first)
            #expect(ended.state == "exited" && ended.exitCode == 0 && ended.reason == nil)
            #expect(try await swiftlet("ps", "-q").output == "")
            #expect(try await swiftlet("wait", "web").output == "0\n")

            #expect(try await swiftlet("restart", "web").exitCode == 0)
            #expect(try await swiftlet.curl(port).output == "Hello\n")
            #expect(try await swiftlet("rm", "web").exitCode == 1)
            #expect(try await swiftlet("rm", "--force", "web").exitCode == 0)
            #expect(try await swiftlet("ps", "-a", "-q").output == "")
        }
    }

    @Test(
        "A server that is stopped finishes the request that it is at",
        arguments: MachineKind.environments)
    func graceful(kind: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            let port = try Machine.freePort()
            _ = try await swiftlet(
                "run", "-d", "--name", "web", "-p", "\(port):80", image, "--", "finish")
            async let answer = swiftlet.curl(port)
            for _ in 0..<1500 {
                if try await swiftlet("logs", "web").output.contains("request has come") { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(try await swiftlet("stop", "--timeout", "1000", "web").exitCode == 0)
            #expect(try await answer.output == "finished\n")
            let logs = try await swiftlet("logs", "web")
            #expect(logs.output.contains("stop requested"), "\(logs.output)")
            #expect(logs.output.hasSuffix("the end\n") || logs.output.hasSuffix("the end\r\n"))
            #expect(try await swiftlet.list().first?.exitCode == 0)
        }
    }

    @Test(
        "A guest that waits for nothing else is woken, on every machine",
        arguments: MachineKind.available)
    func wake(kind: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            _ = try await swiftlet(
                "run", "-d", "--name", "idle", "--machine", kind.machine.rawValue, image, "--",
                "wait")
            for _ in 0..<1500 {
                if try await swiftlet("logs", "idle").output.contains("cancelled") { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            _ = try await swiftlet("stop", "--timeout", "1000", "idle")
            #expect(try await swiftlet("wait", "idle").output == "17\n")
            let words = try await swiftlet("logs", "idle").output
                .split(whereSeparator: \.isWhitespace).map(String.init)
            #expect(words == ["cancelled", "asked"])
        }
    }

    @Test(
        "A guest that never waits hears of it, even one that listens late",
        arguments: MachineKind.environments)
    func busy(kind: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            _ = try await swiftlet("run", "-d", "--name", "busy", image, "--", "busy")
            for _ in 0..<1500 {
                if try await swiftlet("logs", "busy").output.contains("at work") { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            _ = try await swiftlet("stop", "--timeout", "1000", "busy")
            #expect(try await swiftlet("wait", "busy").output == "18\n")
        }
    }

    @Test("What has not finished in time is killed", arguments: MachineKind.environments)
    func late(kind: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            _ = try await swiftlet("run", "-d", "--name", "deaf", image, "--", "deaf")
            _ = try await swiftlet("stop", "--timeout", "0.3", "deaf")
            let row = try #require(try await swiftlet.list().first)
            #expect(row.exitCode == 137)
            #expect(row.reason == "killed, as it did not finish in time")
        }
    }

    @Test("A crash is restarted as the policy says; the log has every report, symbolised")
    func restartPolicy() async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        try await InstanceTool.with { swiftlet in
            _ = try await swiftlet(
                "run", "-d", "--name", "bad", "--restart", "on-failure:2", image, "--", "null")
            #expect(try await swiftlet("wait", "bad").output == "139\n")
            let row = try #require(try await swiftlet.list().first)
            #expect(row.state == "exited" && row.exitCode == 139 && row.restarts == 2)
            let logs = try await swiftlet("logs", "bad").output
            #expect(logs.components(separatedBy: "swiftlet: fault: page fault").count == 4)
            #expect(logs.contains("readNull"), "\(logs)")
            #expect(logs.contains("is started again in"))
        }
    }

    @Test("A killed supervisor takes its machine along, and is known as dead")
    func killedSupervisor() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with { swiftlet in
            _ = try await swiftlet("run", "-d", "--name", "web", image)
            let row = try #require(try await swiftlet.list().first)
            kill(try #require(row.supervisor), SIGKILL)
            let dead = try await swiftlet.wait(for: "web", "its end") { $0.state == "exited" }
            #expect(dead.reason == "its supervisor was killed, and the machine with it")
            let machine = try #require(row.process)
            for _ in 0..<500 where Self.isAlive(machine) {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(!Self.isAlive(machine))
            // Nothing stands in the way of a new life.
            #expect(try await swiftlet("restart", "web").exitCode == 0)
            let again = try #require(try await swiftlet.list().first)
            kill(try #require(again.process), SIGKILL)
            let killed = try await swiftlet.wait(for: "web", "its end") { $0.state == "exited" }
            #expect(killed.reason == "qemu-system-x86_64 was killed by signal 9")
            #expect(killed.exitCode == 137)
        }
    }

    /// Whether a process runs: one that has ended and waits to be collected does not.
    private static func isAlive(_ process: Int32) -> Bool {
        guard let stat = try? FileSystem.read(FilePath("/proc/\(process)/stat")) else {
            return false
        }
        let state = String(decoding: stat, as: UTF8.self).split(separator: ")").last?.dropFirst()
        return state?.first != "Z"
    }

    @Test("Of ten that want one name at once, exactly one gets it")
    func oneName() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with { swiftlet in
            let codes = try await withThrowingTaskGroup(of: Int32.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        try await swiftlet("run", "-d", "--name", "web", image).exitCode
                    }
                }
                return try await group.reduce(into: [Int32]()) { $0.append($1) }
            }
            #expect(codes.sorted() == [0] + Array(repeating: 125, count: 9))
            #expect(try await swiftlet.list().map(\.state) == ["running"])
        }
    }

    @Test("A pause leaves the guest's clock right")
    func pause() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with { swiftlet in
            let port = try Machine.freePort()
            _ = try await swiftlet("run", "-d", "--name", "web", "-p", "\(port):80", image)
            // The guest has read its clock before the pause.
            #expect(try await swiftlet.curl(port).output == "Hello\n")
            #expect(try await swiftlet("pause", "web").exitCode == 0)
            #expect(try await swiftlet.list().first?.state == "paused")
            try await Task.sleep(for: .seconds(4))
            #expect(try await swiftlet("resume", "web").exitCode == 0)
            let head = try await swiftlet.curl(port, ["--head"]).output
            let date = try #require(try /Date: .* (\d\d):(\d\d):(\d\d) GMT/.firstMatch(in: head))
            let guest = [date.output.1, date.output.2, date.output.3].compactMap { Int($0) }
                .reduce(0) { $0 * 60 + $1 }
            let host = Int(Date().timeIntervalSince1970) % 86400
            // The real-time clock has whole seconds; a stopped clock would be four behind.
            #expect((host - guest + 86400) % 86400 <= 2, "\(head)")
        }
    }

    @Test(
        "The built-in monitor's instances live and die like others",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func builtIn() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with(monitor: "builtin") { swiftlet in
            let port = try Machine.freePort()
            let start = try await swiftlet("run", "-d", "--name", "web", "-p", "\(port):80", image)
            #expect(start.exitCode == 0, "\(start.errorOutput)")
            #expect(try await swiftlet.curl(port).output == "Hello\n")
            #expect(try await swiftlet.list().first?.monitor == "builtin")
            #expect(try await swiftlet("pause", "web").exitCode == 0)
            #expect(try await swiftlet("resume", "web").exitCode == 0)
            #expect(try await swiftlet.curl(port).output == "Hello\n")
            #expect(try await swiftlet("stop", "--timeout", "1000", "web").exitCode == 0)
            #expect(try await swiftlet.list().first?.state == "exited")
            #expect(try await swiftlet("restart", "web").exitCode == 0)
            #expect(try await swiftlet.curl(port).output == "Hello\n")
            #expect(try await swiftlet("rm", "-f", "web").exitCode == 0)
        }
    }

    @Test("Several are stopped at once, and each by its own doing")
    func several() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with { swiftlet in
            for index in 0..<5 {
                _ = try await swiftlet("run", "-d", "--name", "web\(index)", "-m", "4M", image)
            }
            let stop = try await swiftlet("stop", "--all", "--timeout", "1000")
            #expect(stop.output == "web0\nweb1\nweb2\nweb3\nweb4\n", "\(stop.errorOutput)")
            #expect(try await swiftlet.list().map(\.exitCode) == [0, 0, 0, 0, 0])
            #expect(try await swiftlet("rm", "--all").exitCode == 0)
            #expect(try await swiftlet.list().isEmpty)
        }
    }

    @Test("One in the foreground is listed, ends by Ctrl-C as by stop, and is forgotten")
    func foreground() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with { swiftlet in
            async let end = swiftlet("run", image)
            var rows: [InstanceTool.Row] = []
            for _ in 0..<1500 {
                rows = try await swiftlet.list()
                if rows.first?.state == "running" { break }
                try await Task.sleep(for: .milliseconds(20))
            }
            let supervisor = try #require(rows.first?.supervisor)
            kill(supervisor, SIGINT)
            #expect(try await end.exitCode == 0)
            #expect(try await swiftlet.list().isEmpty)
        }
    }

    @Test("One without a name runs where nothing can be remembered")
    func noStateFolder() async throws {
        let image = try await GuestImages.guest("Hello").path.string
        let tool = InstanceTool(state: "/proc/no-such-folder")
        let end = try await tool("run", image)
        #expect(end.exitCode == 0, "\(end.errorOutput)")
        #expect(end.output.hasPrefix("Hello from Swiftlet"))
        #expect(try await tool("run", "--name", "one", image).exitCode == 1)
        #expect(try await tool("run", "-d", image).exitCode == 1)
    }

    @Test("What cannot be done says so, and which instance it is")
    func errors() async throws {
        try await InstanceTool.with { swiftlet in
            for verb in ["stop", "kill", "restart", "pause", "resume", "wait", "rm", "logs"] {
                let unknown = try await swiftlet(verb, "nobody")
                #expect(unknown.exitCode == 1, "\(verb)")
                #expect(unknown.errorOutput.contains("no instance 'nobody'"), "\(verb)")
                let bad = try await swiftlet(verb, "../x")
                #expect(bad.exitCode == 64, "\(verb)")
            }
            #expect(try await swiftlet("stop").exitCode == 64)
            #expect(try await swiftlet("stop", "--all", "x").exitCode == 64)
            #expect(try await swiftlet("stop", "--all", "--timeout", "soon").exitCode == 64)
            #expect(try await swiftlet("run", "--restart", "maybe", "/").exitCode == 64)
            #expect(try await swiftlet("run", "--name", "a b", "/").exitCode == 64)
            #expect(try await swiftlet("logs", "--since", "then", "x").exitCode == 64)
            for shell in ["bash", "zsh", "fish"] {
                let script = try await swiftlet("completions", shell)
                #expect(script.exitCode == 0)
                #expect(script.output.contains("swiftlet ps -a -q"), "\(shell)")
            }
        }
    }
}
