// Linux programs that the world knows: SQLite, Lua and Redis, linked statically, against the same file run
// natively.

import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite(
    "Linux programs of the world", .enabled(if: Requirement.isMet, "\(Requirement.reason)"),
    .enabled(if: Requirement.has("gcc"), LinuxTests.Compiler.comment), .serialized)
struct LibraryProgramTests {
    /// What `.ci/programs` builds.
    static let built = GuestImages.root.appending(".build/programs")
    static let builtComment: Comment = "needs what .ci/programs builds"

    private static func hasLibrary(_ name: String) -> Bool {
        FileSystem.isFile(FilePath("/usr/lib/x86_64-linux-gnu/\(name)"))
    }

    /// Runs a program natively in `folder` and in a guest, and compares the lines of both.
    private static func compare(
        _ program: FilePath, type: MachineKind, arguments: [String] = [],
        files: FilePath? = nil, clean: (String) -> String = { $0 }
    ) async throws {
        let native = try await ProcessRunner.collect(program.string, arguments, in: files)
        let end = try await Machine.run(
            try await LinuxTests.image(program, files: files), type: type, memory: 128 << 20,
            arguments: arguments, seconds: 240)
        #expect(clean(end.output.replacing("\r\n", with: "\n")) == clean(native.output))
        #expect(end.exit == .exited(UInt8(truncatingIfNeeded: native.exitCode)))
    }

    @Test(
        "SQLite with a write-ahead log",
        .enabled(if: hasLibrary("libsqlite3.a"), "needs libsqlite3-dev"),
        arguments: MachineKind.environments)
    func database(type: MachineKind) async throws {
        try await LinuxTests.with("sqlite", by: .glibc, libraries: ["-lsqlite3", "-lm"]) {
            try await Self.compare($0, type: type)
        }
    }

    @Test(
        "SQLite's own benchmark",
        .enabled(if: hasLibrary("libsqlite3.a"), "needs libsqlite3-dev"),
        .enabled(if: FileSystem.isFile(built.appending("speedtest1.c")), builtComment),
        arguments: MachineKind.environments)
    func benchmark(type: MachineKind) async throws {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let program = folder.appending("speedtest1")
        let outcome = try await ProcessRunner.collect(
            "gcc",
            [
                "-O2", "-w", "-static", Self.built.appending("speedtest1.c").string, "-o",
                program.string, "-lsqlite3", "-lm",
            ])
        #expect(outcome.succeeded, "\(outcome.errorOutput)")
        FileSystem.remove("/tmp/swiftlet-speed.db")
        try await Self.compare(
            program, type: type,
            arguments: ["--verify", "--size", "4", "--journal", "wal", "/tmp/swiftlet-speed.db"],
            clean: Self.withoutTimes)
        FileSystem.remove("/tmp/swiftlet-speed.db")
    }

    /// Lines without what was measured at their end.
    private static func withoutTimes(_ text: String) -> String {
        text.split(separator: "\n").map {
            $0.replacing(/\.*\s+[0-9.]+s$/, with: "")
        }.joined(separator: "\n")
    }

    @Test(
        "Lua runs a script of the image's",
        .enabled(if: hasLibrary("liblua5.4.a"), "needs liblua5.4-dev"),
        arguments: MachineKind.environments)
    func lua(type: MachineKind) async throws {
        try await LinuxTests.with(
            "lua", by: .glibc, options: ["-static", "-I/usr/include/lua5.4"],
            libraries: ["-llua5.4", "-lm"]
        ) {
            try await Self.compare(
                $0, type: type, arguments: ["all.lua", "a b", "%c"],
                files: LinuxTests.programs.appending("Scripts"))
        }
    }

    /// A program that prints the same everywhere, with arguments and a setting of its environment.
    @Test("A Swift package with Foundation, as it is", arguments: MachineKind.environments)
    func package(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Ordinary")
        let arguments = ["one", "two words"]
        let native = try await ProcessRunner.collect(
            image.path.string + ".program", arguments, environment: ["COLOUR": "blue"])
        #expect(native.exitCode == 9)
        let end = try await Machine.run(
            image, type: type, memory: 128 << 20, arguments: arguments,
            environment: [("COLOUR", "blue")], seconds: 120)
        let output = end.output.replacing("\r\n", with: "\n")
        // The console has both streams.
        #expect(output == native.output + native.errorOutput)
        #expect(end.exit == .exited(9))
    }

    // MARK: Redis

    private static let server = built.appending("redis-server")
    private static let settings = ["--save", "", "--protected-mode", "no", "--appendonly", "no"]

    /// Commands whose answers do not depend on when and where they are made.
    private static let commands = """
        SET text "some octets"
        APPEND text " and more"
        GETRANGE text 5 10
        INCRBY number 40
        INCRBYFLOAT number 2.5
        RPUSH list a b c d e
        LRANGE list 1 -2
        SADD set one two three
        SCARD set
        SINTERCARD 1 set
        HSET map first 1 second 2
        HGETALL map
        ZADD ranks 3 c 1 a 2 b
        ZRANGE ranks 0 -1 WITHSCORES
        PFADD distinct a b c a
        PFCOUNT distinct
        SETBIT bits 100 1
        BITCOUNT bits
        XADD stream 1-1 key value
        XRANGE stream - +
        GEOADD places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEODIST places Palermo Catania km
        MULTI
        INCR counter
        INCR counter
        EXEC
        EVAL "local sum = 0 for i = 1, 1000 do sum = sum + i end return {sum, redis.call('GET', 'text')}" 0
        SETRANGE long 1000000 end
        STRLEN long
        EXPIRE text 1000
        PERSIST text
        TTL text
        OBJECT ENCODING list
        TYPE stream
        LPOP nothing
        INCR text
        NOTHING
        DBSIZE
        CONFIG GET appendonly
        CLIENT GETNAME
        PING "the end"

        """

    private static func answers(port: UInt16) async throws -> String {
        let outcome = try await ProcessRunner.collect(
            "redis-cli", ["-p", "\(port)", "--no-raw"], input: commands)
        return outcome.output + outcome.errorOutput
    }

    /// Waits until somebody answers.
    private static func waitForServer(port: UInt16) async throws {
        for _ in 0..<300 {
            let outcome = try await ProcessRunner.collect("redis-cli", ["-p", "\(port)", "PING"])
            if outcome.output == "PONG\n" { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw MachineFailure(description: "redis-server does not answer")
    }

    @Test(
        "Redis answers as it does natively, and its own benchmark",
        .enabled(if: FileSystem.isFile(server), builtComment),
        .enabled(if: Requirement.has("redis-cli"), "needs redis-tools"),
        arguments: MachineKind.environments)
    func redis(type: MachineKind) async throws {
        let image = try await LinuxTests.image(Self.server)
        defer { FileSystem.remove(image.path) }
        let native = try Machine.freePort()
        let process = Task {
            try await ProcessRunner.collect(
                Self.server.string,
                Self.settings + ["--bind", "127.0.0.1", "--port", "\(native)"])
        }
        let expected: Result<String, any Error>
        do {
            try await Self.waitForServer(port: native)
            expected = .success(try await Self.answers(port: native))
        } catch {
            expected = .failure(error)
        }
        _ = try await ProcessRunner.collect("redis-cli", ["-p", "\(native)", "SHUTDOWN", "NOSAVE"])
        process.cancel()
        _ = await process.result
        let answers = try expected.get()
        #expect(answers.contains("the end"))
        try await Machine.with(
            image, type: type, memory: 128 << 20, publishing: [6379], arguments: Self.settings
        ) { machine in
            let port = machine.ports[0].host
            try await Self.waitForServer(port: port)
            #expect(try await Self.answers(port: port) == answers)
            let benchmark = try await ProcessRunner.collect(
                "redis-benchmark",
                ["-p", "\(port)", "-q", "-n", "2000", "-c", "20", "-t", Self.loads, "-d", "100"])
            let text = benchmark.output + benchmark.errorOutput
            #expect(benchmark.succeeded, "\(text)")
            #expect(!text.contains("rror"), "\(text)")
            for load in Self.loads.split(separator: ",") {
                #expect(text.lowercased().contains("\(load)"), "\(text)")
            }
            // It ends, and the machine with it.
            _ = try await ProcessRunner.collect(
                "redis-cli", ["-p", "\(port)", "SHUTDOWN", "NOSAVE"])
            let (exit, output) = (try await machine.task.value, await machine.output)
            #expect(exit == .exited(0), "\(output)")
        }
    }

    private static let loads = "ping,set,get,incr,lpush,lrange_100,hset,zadd,mset"
}
