// IPv6 between a guest and the host without root: the host's addresses from within, and ports of the
// guest's on them.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

enum HostIPv6 {
    /// Whether this host has IPv6, if only on its loopback interface.
    static let isThere =
        (try? PublishedPort(host: try Machine.freePort(), guest: 1, address: "::1").checkFree())
        != nil
}

@Suite(
    "IPv6 of the host", .enabled(if: Requirement.isMet, "\(Requirement.reason)"),
    .enabled(if: HostIPv6.isThere, "this host has no IPv6 on its loopback interface"))
struct HostIPv6Tests {
    private func fetch(_ port: PublishedPort, at host: String) async throws -> ProcessOutcome {
        try await ProcessRunner.collect(
            "curl",
            [
                "--silent", "--show-error", "--globoff", "--max-time", "60", "--retry", "20",
                "--retry-delay", "1", "--retry-connrefused", "http://\(host):\(port.host)/",
            ])
    }

    @Test(
        "A guest fetches from the host's ::1, which is fec0::2 there",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func outwards() async throws {
        let (four, six) = (try PythonServer(), try PythonServer(on: "::1"))
        defer {
            four.stop()
            six.stop()
        }
        let size = 3_000_000
        let closed = try Machine.freePort()
        // The router has answered long before the first page is there.
        let end = try await Machine.run(
            try await GuestImages.guest("Fixture"), type: .builtIn,
            arguments: [
                "names", "u:http://10.0.2.2:\(four.port)/length/5",
                "u:http://[fec0::2]:\(six.port)/length/\(size)",
                "u:http://[fec0::2]:\(six.port)/chunked/\(size)",
                "u:http://[fec0::2]:\(closed)/length/5",
            ])
        #expect(end.exit == .exited(0))
        let digest = try await ProcessRunner.collect(
            "curl", ["--silent", "http://127.0.0.1:\(four.port)/digest/\(size)"]
        ).output
        let lines = end.output.split { $0.isNewline }.map(String.init)
        try #require(lines.count == 4, "\(end.output)")
        #expect(lines[0].hasPrefix("200 5 "))
        #expect(lines[1].hasPrefix("200 \(size) \(digest) "), "\(end.output)")
        #expect(lines[2].hasPrefix("200 \(size) \(digest) "), "\(end.output)")
        #expect(lines[3].contains("refused"), "\(end.output)")
    }

    @Test(
        "A port on ::1 is the guest's, and one on :: is for both versions",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment), arguments: ["::1", "::"])
    func published(address: String) async throws {
        let image = try await GuestImages.guest("Fixture")
        try await Machine.with(
            image, type: .builtIn, publishing: [80], publishedOn: address, arguments: ["serve"]
        ) { machine in
            let port = machine.ports[0]
            #expect(try await fetch(port, at: "[::1]").output == "fixture\n")
            let four = try await ProcessRunner.collect(
                "curl", ["--silent", "--max-time", "20", "http://127.0.0.1:\(port.host)/"])
            #expect(four.output == (address == "::" ? "fixture\n" : ""))
        }
    }

    @Test("QEMU cannot publish there, and says so before anything else")
    func refused() async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        let place = "[::1]:\(try Machine.freePort())"
        let end = try await ProcessRunner.collect(
            Machine.tool, ["run", image, "--monitor", "qemu", "-p", "\(place):80"])
        #expect(end.exitCode == 125)
        #expect(end.errorOutput.contains("no ports on IPv6 addresses, as \(place) is"))
        #expect(end.errorOutput.contains("--monitor builtin"))
    }
}
