// Guests boot on every kind of machine, say what they have to say, and hand over their exit code.

import SwiftletBuild
import SwiftletHypervisors
import Testing

@Suite("Boot", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct BootTests {
    @Test("Hello: one line, exit code 0", arguments: MachineKind.available)
    func hello(type: MachineKind) async throws {
        let end = try await Machine.run(try await GuestImages.guest("Hello"), type: type)
        #expect(end.output == "Hello from Swiftlet\n" || end.output == "Hello from Swiftlet\r\n")
        #expect(end.exit == .exited(0))
    }

    // The built-in monitor's machines need less (BuiltInMonitorTests).
    @Test("Hello runs in a megabyte")
    func littleMemory() async throws {
        let image = try await GuestImages.guest("Hello")
        let end = try await Machine.run(image, memory: 1 << 20)
        #expect(end.output.hasPrefix("Hello from Swiftlet"))
        #expect(end.exit == .exited(0))
    }

    @Test("HelloHTTP answers curl", arguments: MachineKind.available)
    func helloHTTP(type: MachineKind) async throws {
        let image = try await GuestImages.example("HelloHTTP")
        try await Machine.with(image, type: type, publishing: [80]) { machine in
            let page = try await machine.curl("/", ["--include"])
            #expect(page.output.hasPrefix("HTTP/1.1 200 "), "\(page.errorOutput)")
            #expect(page.output.hasSuffix("Hello\n"))
            let missing = try await machine.curl("/missing", ["--write-out", "%{http_code}"])
            #expect(missing.output.hasSuffix("404"))
        }
    }

    @Test(
        "A server that is stopped ends idle connections, and answers the last request",
        arguments: MachineKind.environments)
    func stopServer(type: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        try await Machine.with(image, type: type, publishing: [80], arguments: ["serve"]) {
            machine in
            #expect(try await machine.curl("/").output == "fixture\n")
            let idle = try Connection(port: machine.ports[0].host)
            defer { idle.close() }
            try idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try idle.receive(until: "fixture\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
            let last = try await machine.curl("/stop", ["--include"])
            #expect(last.output.contains("\r\nConnection: close\r\n"), "\(last.errorOutput)")
            #expect(last.output.hasSuffix("the last answer\n"))
            // The end of the stream; a reset would be an error.
            #expect(try idle.receive() == "")
            #expect(try await machine.task.value == .exited(0))
        }
    }

    @Test("A machine that is stopped stops", arguments: MachineKind.environments)
    func stop(type: MachineKind) async throws {
        let image = try await GuestImages.example("HelloHTTP")
        let exit = try await Machine.with(image, type: type) { machine in
            machine.task.cancel()
            return try await machine.task.value
        }
        #expect(exit == .stopped(signal: 15))
    }
}
