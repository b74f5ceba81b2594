// Streams between the guest's TCP and Linux's over every kind of bad link, both ways, both versions.

import SwiftletBuild
import SwiftletHypervisors
import SwiftletNetwork
import SystemPackage
import Testing

/// A kind of bad link, and how much goes over it each way.
struct LinkKind: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var octets: Int
    var impairment: Impairment
    /// What must have happened to frames of each direction; else nothing was tested.
    var happened: @Sendable (LinkCounts) -> Bool

    static let all: [LinkKind] = [
        LinkKind("no fault", 8 << 20, Impairment(seed: 1)) { $0.carried > 0 },
        LinkKind("1 % lost", 8 << 20, Impairment(seed: 2, lost: 10)) { $0.lost > 0 },
        LinkKind("5 % lost", 2 << 20, Impairment(seed: 3, lost: 50)) { $0.lost > 0 },
        LinkKind("20 % lost", 96 << 10, Impairment(seed: 4, lost: 200)) { $0.lost > 0 },
        LinkKind("20 % late", 4 << 20, Impairment(seed: 5, delayed: 200, delay: 8)) {
            $0.delayed > 0
        },
        LinkKind("20 % twice", 4 << 20, Impairment(seed: 6, duplicated: 200)) {
            $0.duplicated > 0
        },
        LinkKind("5 % broken", 1 << 20, Impairment(seed: 7, corrupted: 50)) { $0.corrupted > 0 },
        LinkKind("200 ms to and fro", 2 << 20, Impairment(seed: 8, latency: 100)) {
            $0.carried > 0
        },
        LinkKind(
            "other lengths, told by a router", 4 << 20,
            Impairment(seed: 9, longest: [1500, 1400, 1450, 1280, 1500])
        ) { $0.tooLong > 0 },
        LinkKind(
            "shorter packets, told by nobody", 512 << 10,
            Impairment(seed: 10, longest: [1500, 1300], tells: false)
        ) { $0.tooLong > 0 },
        LinkKind(
            "all at once", 512 << 10,
            Impairment(
                seed: 11, lost: 20, duplicated: 20, corrupted: 10, delayed: 100, delay: 10,
                latency: 10, longest: [1500, 1400])
        ) { $0.lost > 0 && $0.delayed > 0 && $0.corrupted > 0 },
    ]

    private init(
        _ name: String, _ octets: Int, _ impairment: Impairment,
        _ happened: @escaping @Sendable (LinkCounts) -> Bool
    ) {
        testDescription = name
        self.octets = octets
        self.impairment = impairment
        self.happened = happened
    }
}

/// The version of IP, and the environment that it is tested in: in QEMU the guest cuts segments and
/// computes checksums itself, in the built-in monitor it leaves both to the card.
enum LinkFamily: String, CaseIterable, Sendable {
    case ipv4, ipv6

    var kind: MachineKind {
        self == .ipv6 && MachineKind.hasBuiltIn ? .builtIn : .microvm
    }
}

extension NetworkGuests {
    @Suite("Links", .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment))
    struct LinkTests {
        /// How many times as much goes over each link as usually.
        private static let factor =
            FileSystem.environment("SWIFTLET_LINK_FACTOR").flatMap { Int($0) } ?? 1

        @Test(
            "What is sent over a bad link is what arrives: SHA-256 both ways",
            arguments: LinkKind.all, LinkFamily.allCases)
        func stream(kind: LinkKind, family: LinkFamily) async throws {
            let folder = try FileSystem.makeTemporaryFolder()
            defer { FileSystem.remove(folder) }
            let network = try await NetworkNamespace(.open)
            let addresses = try await NetworkIPv6(network)
            // So that Linux too finds out about packets that vanish (RFC 4821).
            try await network.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/tcp_mtu_probing"])
            let link = try ImpairedLink(
                FramePort.tap(NetworkNamespace.linkTap, in: network),
                FramePort.tap(NetworkNamespace.hostTap, in: network),
                Impairment(seed: kind.impairment.seed))
            defer { _ = try? link.stop() }
            let image = try await GuestImages.guest("Fixture")
            let plain = family.kind == .builtIn ? nil : network.monitor(offload: false)
            try await Machine.with(
                image, type: family.kind, on: network, monitor: plain, arguments: ["serve"]
            ) { machine in
                // The link is good until the guest is there with an address.
                _ = try await machine.curl("/")
                let host =
                    family == .ipv4
                    ? NetworkNamespace.guestAddress : "[\(try await addresses.advertise())]"
                link.change(kind.impairment)
                try await transfer(
                    kind.octets * Self.factor, host, network, folder.appending("stream"))
            }
            let counts = try link.stop()
            for count in [counts.0, counts.1] { #expect(kind.happened(count), "\(count)") }
        }

        /// Fetches so many octets from the guest, sends them back to it, and compares what it says of
        /// them with what coreutils says.
        private func transfer(
            _ octets: Int, _ host: String, _ network: NetworkNamespace, _ file: FilePath
        ) async throws {
            func curl(_ path: String, _ more: [String] = []) async throws -> String {
                try await network.run(
                    [
                        "curl", "--silent", "--show-error", "--globoff", "--max-time",
                        "\(240 * Self.factor)",
                    ] + more + ["http://\(host)\(path)"]
                ).output
            }
            _ = try await curl("/random?\(octets)", ["--output", file.string])
            #expect(FileSystem.status(file)?.size == octets)
            let sent = try await curl("/last-digest")
            let end = try await ProcessRunner.collect("sha256sum", [file.string])
            let received = String(end.output.prefix(64))
            #expect(sent == received)
            let up = try await curl(
                "/digest", ["--header", "Expect:", "--upload-file", file.string])
            #expect(up == received)
        }
    }
}
