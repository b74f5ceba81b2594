// IPv6 of a booted guest: addresses that it makes, pings, pages, and streams beside Linux's TCP.

import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import SwiftletNetwork
import SystemPackage
import Testing

extension NetworkGuests {
    @Suite("IPv6", .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment))
    struct IPv6Tests {
        private static func curl(
            _ network: NetworkNamespace, _ host: String, _ path: String, _ more: [String] = []
        ) async throws -> ProcessOutcome {
            try await network.run(
                [
                    "curl", "--silent", "--show-error", "--globoff", "--max-time", "240", "--retry",
                    "20", "--retry-delay", "1", "--retry-connrefused",
                ] + more + ["http://[\(host)]\(path)"])
        }

        @Test(
            "Addresses of the link and by advertisement: ping, whole and in fragments, and curl",
            arguments: MachineKind.available)
        func addresses(type: MachineKind) async throws {
            let network = try await NetworkNamespace(.direct)
            let link = try await NetworkIPv6(network)
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(image, type: type, on: network, arguments: ["serve"]) {
                machine in
                let own = try await link.waitForAddress(in: NetworkIPv6.linkLocal)
                let scoped = "\(own)%25\(link.interface)"
                #expect(try await Self.curl(network, scoped, "/").output == "fixture\n")
                let global = try await link.advertise()
                #expect(try await Self.curl(network, "\(global)", "/").output == "fixture\n")
                // The same listener serves IPv4.
                #expect(try await machine.curl("/").output == "fixture\n")
                for size in [0, 56, 1452, 1453, 4000] {
                    let end = try await network.run([
                        "ping", "-6", "-n", "-c", "3", "-i", "0.01", "-W", "10", "-s", "\(size)",
                        "\(global)",
                    ])
                    #expect(end.output.contains("3 received"), "\(end.output)")
                    #expect(!end.output.contains("wrong data"), "\(end.output)")
                }
            }
        }

        // No IPv4 at all: its DHCP gets no answer.
        @Test(
            "A name server by stateless DHCPv6, and a host by name, beside a real server",
            .enabled(if: Dnsmasq.isInstalled, "dnsmasq is not installed"),
            arguments: MachineKind.environments)
        func stateless(type: MachineKind) async throws {
            let network = try await NetworkNamespace(.direct)
            let addresses = try await NetworkIPv6(network)
            let server = try Dnsmasq(network, addresses)
            defer { server.stop() }
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(
                image, type: type, on: network, address: .dhcp,
                arguments: ["names", "a:host.test", "c:host.test:53"]
            ) { machine in
                let exit = try await machine.task.value
                let output = await machine.output
                #expect(exit == .exited(0) && !server.log.isEmpty, "\(output)\n\(server.log)")
                let lines = output.split { $0.isNewline }.map(String.init)
                let host = NetworkIPv6.hostAddress
                #expect(
                    lines == ["host.test is \(host)", "connected to \(host)"], "\(server.log)")
                #expect(server.log.contains("DHCPINFORMATION-REQUEST"), "\(server.log)")
            }
        }

        @Test(
            "A Linux program's one listener serves both versions, and knows who asks",
            .enabled(if: Requirement.has("gcc"), LinuxTests.Compiler.comment),
            arguments: MachineKind.environments)
        func program(type: MachineKind) async throws {
            let network = try await NetworkNamespace(.direct)
            let link = try await NetworkIPv6(network)
            try await LinuxTests.with("whoami", by: .glibc) { program in
                let image = try await LinuxTests.image(program)
                try await Machine.with(image, type: type, on: network) { machine in
                    let mapped = "::ffff:\(NetworkNamespace.hostAddress)\n"
                    #expect(try await machine.curl("/").output == mapped)
                    _ = try await link.waitForAddress(in: NetworkIPv6.linkLocal)
                    let global = try await link.advertise()
                    let answer = try await Self.curl(network, "\(global)", "/")
                    #expect(
                        answer.output == "\(NetworkIPv6.hostAddress)\n", "\(answer.errorOutput)")
                }
            }
        }

        @Test("8 MB each way over a link that loses, repeats, breaks and reorders frames")
        func badLink() async throws {
            let folder = try FileSystem.makeTemporaryFolder()
            defer { FileSystem.remove(folder) }
            let file = folder.appending("stream")
            let network = try await NetworkNamespace(.open)
            let addresses = try await NetworkIPv6(network)
            let impairment = Impairment(
                seed: 6, lost: 20, duplicated: 10, corrupted: 5, delayed: 50, delay: 3)
            let link = try ImpairedLink(
                FramePort.interface(NetworkNamespace.guestTap, in: network),
                FramePort.tap(NetworkNamespace.hostTap, in: network), impairment)
            defer { _ = try? link.stop() }
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(
                image, on: network, monitor: network.monitor(offload: false), arguments: ["serve"]
            ) { _ in
                let host = "\(try await addresses.advertise())"
                _ = try await Self.curl(
                    network, host, "/random?\(8 << 20)", ["--output", file.string])
                let sent = try await Self.curl(network, host, "/last-digest").output
                let end = try await ProcessRunner.collect("sha256sum", [file.string])
                let received = String(end.output.prefix(64))
                #expect(sent == received)
                let up = try await Self.curl(
                    network, host, "/digest", ["--header", "Expect:", "--upload-file", file.string])
                #expect(up.output == received)
            }
            let counts = try link.stop()
            for count in [counts.0, counts.1] { #expect(count.lost > 0 && count.corrupted > 0) }
        }
    }
}
