// Names, connections by name, and the HTTP client, in guests: against a name server and an HTTP
// server of the test's own.

import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import SwiftletTestSupport
import SystemPackage
import Testing

extension NetworkGuests {
    @Suite("Names and the HTTP client")
    struct NameTests {
        static let kinds: [MachineKind] =
            MachineKind.hasBuiltIn ? [.microvm, .builtIn] : [.microvm]
        private static let size = 100 << 20

        /// The zone `test`, of which each name has a story.
        private static func answer(_ query: [UInt8], _ isStream: Bool) -> DNSText? {
            let (name, type) = DNSText.question(query)
            func address(_ owner: String) -> DNSText {
                var text = DNSText(to: query, answers: 1)
                if type == DNSText.aaaa {
                    text.address(owner, [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 7, count: 12))
                } else {
                    text.address(owner, [10, 0, 2, 2])
                }
                return text
            }
            switch name {
            case "host.test": return address(name)
            case "four.test":
                return type == DNSText.a ? address(name) : absent(query)
            case "alias.test":
                guard type == DNSText.a else { return absent(query) }
                var text = DNSText(to: query, answers: 2)
                text.alias("alias.test", "four.test")
                text.address("four.test", [10, 0, 2, 2])
                return text
            case "large.test" where !isStream: return DNSText(to: query, flags: 0x0200)
            case "large.test": return address(name)
            case "failing.test": return DNSText(to: query, code: 2)
            case "_web._tcp.test":
                var text = DNSText(to: query, answers: 2)
                text.service(name, 2, 0, 81, "second.test")
                text.service(name, 1, 0, 80, "host.test")
                return text
            case "silent.test": return nil
            default:
                var text = DNSText(to: query, code: 3, authorities: 1)
                text.start(of: "test", life: 60, minimum: 60)
                return text
            }
        }

        private static func absent(_ query: [UInt8]) -> DNSText {
            var text = DNSText(to: query, authorities: 1)
            text.start(of: "test", life: 60, minimum: 60)
            return text
        }

        /// The console of a guest that does what the arguments say.
        private func run(
            _ type: MachineKind, _ server: NameServer, _ arguments: [String]
        ) async throws -> [String] {
            let image = try await GuestImages.guest("Fixture")
            return try await Machine.with(
                image, type: type, nameServers: [server.setting],
                arguments: ["names"] + arguments
            ) { machine in
                let exit = try await machine.task.value
                let output = await machine.output
                #expect(exit == .exited(0), "\(output)")
                return output.split { $0.isNewline }.map(String.init)
            }
        }

        @Test("Names are resolved, remembered, and asked for once", arguments: kinds)
        func names(type: MachineKind) async throws {
            let server = try NameServer(Self.answer)
            defer { server.stop() }
            let output = try await run(
                type, server,
                [
                    "a:host.test", "a:HOST.test", "t:four.test", "a:alias.test", "a:large.test",
                    "a:gone.test", "a:gone.test", "a:failing.test", "s:_web._tcp.test",
                    "s:host.test", "a:10.0.2.2", "a:a..b", "a:10.0.0.256",
                ])
            let plain = output.map { $0.replacingSix() }
            #expect(
                plain == [
                    "host.test is 10.0.2.2 SIX", "HOST.test is 10.0.2.2 SIX",
                    "four.test is 10.0.2.2", "four.test is 10.0.2.2", "alias.test is 10.0.2.2",
                    "large.test is 10.0.2.2 SIX",
                    "cannot resolve gone.test: there is no such name",
                    "cannot resolve gone.test: there is no such name",
                    "cannot resolve failing.test: the name servers cannot tell",
                    "_web._tcp.test is at host.test 80", "_web._tcp.test is at second.test 81",
                    "cannot resolve host.test: the name has no such records",
                    "10.0.2.2 is 10.0.2.2", "cannot resolve a..b: this is no host's name",
                    "cannot resolve 10.0.0.256: this is no host's name",
                ], "\(output)")
            // Each was asked for once, and what was cut off again over TCP.
            let asked = server.asked
            for question in [
                "host.test 28", "host.test 1", "four.test 1", "four.test 28", "gone.test 1",
                "large.test 1", "large.test 1 tcp", "large.test 28 tcp", "_web._tcp.test 33",
            ] {
                #expect(asked.filter { $0 == question }.count == 1, "\(question): \(asked)")
            }
        }

        @Test("Hosts are connected to, where one family leads nowhere too", arguments: kinds)
        func connections(type: MachineKind) async throws {
            let server = try NameServer(Self.answer)
            defer { server.stop() }
            let closed = try Machine.freePort()
            // The name server listens for connections, too.
            let output = try await run(
                type, server,
                [
                    "c:host.test:\(server.port)", "c:four.test:\(server.port)",
                    "c:10.0.2.2:\(server.port)", "c:four.test:\(closed)",
                    "c:host.test:\(closed)", "c:localhost:80", "c:gone.test:80",
                ])
            #expect(
                output == [
                    "connected to 10.0.2.2", "connected to 10.0.2.2", "connected to 10.0.2.2",
                    "cannot connect to four.test: refused",
                    "cannot connect to host.test: refused",
                    "cannot connect to localhost: refused",
                    "cannot connect to gone.test: there is no such name",
                ])
        }

        @Test("A silent server is given up after seven seconds of the guest's patience")
        func silence() async throws {
            let server = try NameServer(Self.answer)
            defer { server.stop() }
            let output = try await run(.microvm, server, ["a:silent.test"])
            #expect(output == ["cannot resolve silent.test: no name server answered in time"])
            #expect(server.asked.filter { $0 == "silent.test 1" }.count == 3)
        }

        @Test("DHCP tells of a name server")
        func dhcp() async throws {
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(
                image, address: .dhcp, arguments: ["names", "a:name.invalid.test"]
            ) { machine in
                _ = try await machine.task.value
                let output = await machine.output
                // What QEMU's forwarder makes of the question is the host's affair.
                #expect(!output.contains("no name server is known"), "\(output)")
                #expect(output.contains("cannot resolve name.invalid.test"), "\(output)")
            }
        }

        @Test(
            "100 MB by length and in chunks: SHA-256 is the server's; connections are kept",
            arguments: kinds)
        func fetching(type: MachineKind) async throws {
            let server = try NameServer(Self.answer)
            defer { server.stop() }
            let upstream = try PythonServer()
            defer { upstream.stop() }
            let base = "http://host.test:\(upstream.port)"
            let output = try await run(
                type, server,
                [
                    "u:\(base)/length/\(Self.size)", "u:\(base)/chunked/\(Self.size)",
                    "u:\(base)/close/1000000", "u:\(base)/length/0", "p:\(base)/",
                    "x:\(base)/hang/0", "u:https://host.test/", "u:\(base)/length/5",
                ])
            func digest(_ count: Int) async throws -> String {
                let end = try await ProcessRunner.collect(
                    "curl", ["--silent", "http://127.0.0.1:\(upstream.port)/digest/\(count)"])
                return end.output
            }
            let large = try await digest(Self.size)
            let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            try #require(output.count == 8, "\(output)")
            #expect(output[0] == "200 \(Self.size) \(large) kept 1")
            #expect(output[1] == "200 \(Self.size) \(large) kept 1")
            #expect(output[2] == "200 1000000 \(try await digest(1_000_000)) kept 0")
            #expect(output[3] == "200 0 \(empty) kept 1")
            // The digest of the digest that the server made of what was posted.
            #expect(output[4] == "200 64 \(try await posted()) kept 1")
            #expect(output[5] == "\(base)/hang/0: cancelled")
            #expect(output[6].hasPrefix("https://host.test/: https:// needs TLS"))
            #expect(output[7] == "200 5 \(try await digest(5)) kept 1")
        }

        /// SHA-256, of its hexadecimal form, of a hundred times a thousand octets of one number.
        private func posted() async throws -> String {
            let octets = (0..<100).flatMap { [UInt8](repeating: UInt8($0), count: 1000) }
            func digest(_ octets: [UInt8]) async throws -> String {
                let folder = try FileSystem.makeTemporaryFolder()
                defer { FileSystem.remove(folder) }
                let file = folder.appending("octets")
                try FileSystem.write(octets, to: file)
                let end = try await ProcessRunner.collect("sha256sum", [file.string])
                return String(end.output.prefix(64))
            }
            return try await digest(Array(try await digest(octets).utf8))
        }

        @Test("The gateway hands on what the server behind it sends", arguments: kinds)
        func gateway(type: MachineKind) async throws {
            let server = try NameServer(Self.answer)
            defer { server.stop() }
            let upstream = try PythonServer()
            defer { upstream.stop() }
            let folder = try FileSystem.makeTemporaryFolder()
            defer { FileSystem.remove(folder) }
            let file = folder.appending("content")
            try await Machine.with(
                try await GuestImages.example("Gateway"), type: type, publishing: [80],
                nameServers: [server.setting],
                environment: [("UPSTREAM", "http://host.test:\(upstream.port)")]
            ) { machine in
                for path in ["/length/20000000", "/chunked/20000000", "/close/300000"] {
                    let end = try await machine.curl(
                        path, ["--output", file.string, "--write-out", "%{content_type}"])
                    try #require(end.succeeded, "\(end.errorOutput)")
                    #expect(end.output == "application/x-test")
                    let sum = try await ProcessRunner.collect("sha256sum", [file.string])
                    let count = path.split(separator: "/")[1]
                    let wanted = try await machine.curl("/digest/\(count)")
                    #expect(sum.output.prefix(64) == wanted.output)
                }
                // Curl takes 502 for a reason to try again.
                let missing = try await machine.curl(
                    "/digest/x", ["--retry", "0", "--write-out", "%{http_code}"])
                #expect(missing.output == "the server behind this one failed\n502")
            }
        }
    }
}

extension String {
    /// With the one IPv6 address of these tests made short, however it is written.
    fileprivate func replacingSix() -> String {
        split(separator: " ").map { $0.hasPrefix("2001:") ? "SIX" : String($0) }
            .joined(separator: " ")
    }
}
