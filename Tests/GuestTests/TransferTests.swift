// A hundred megabytes each way between the guest's TCP and Linux's, over a link that loses frames.

import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

extension NetworkGuests {
    @Suite("Transfers", .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment))
    struct TransferTests {
        static let size = 100 << 20

        @Test(
            "100 MB each way at 2 % loss: SHA-256 is the same on both ends",
            arguments: MachineKind.environments)
        func lossyLink(type: MachineKind) async throws {
            let counts = try await transfer(Self.size, type, Impairment(seed: 2, lost: 20))
            // Else nothing was tested: each direction lost about two in a hundred.
            for count in [counts.0, counts.1] {
                #expect(count.lost * 100 > count.carried, "\(count)")
            }
        }

        @Test(
            "A link that loses, repeats, breaks and reorders frames delivers the same octets",
            arguments: MachineKind.environments)
        func badLink(type: MachineKind) async throws {
            let impairment = Impairment(
                seed: 3, lost: 5, duplicated: 10, corrupted: 5, delayed: 50, delay: 3)
            let counts = try await transfer(8 << 20, type, impairment)
            for count in [counts.0, counts.1] {
                #expect(
                    count.corrupted > 0 && count.duplicated > 0 && count.delayed > 0, "\(count)")
            }
        }

        /// Fetches `size` octets from the guest, sends them back to it, and compares digests that
        /// the guest, and coreutils beside it, have computed.
        private func transfer(
            _ size: Int, _ type: MachineKind, _ impairment: Impairment
        ) async throws -> (LinkCounts, LinkCounts) {
            let folder = try FileSystem.makeTemporaryFolder()
            defer { FileSystem.remove(folder) }
            let file = folder.appending("stream")
            let network = try await NetworkNamespace(.open)
            let link = try ImpairedLink(
                FramePort.tap(NetworkNamespace.linkTap, in: network),
                FramePort.tap(NetworkNamespace.hostTap, in: network), impairment)
            defer { _ = try? link.stop() }
            let image = try await GuestImages.guest("Fixture")
            let limit = ["--max-time", "240"]
            // Under QEMU the guest computes checksums itself, and cuts segments; in the built-in monitor
            // it leaves both to the card.
            let plain = type == .builtIn ? nil : network.monitor(offload: false)
            try await Machine.with(
                image, type: type, on: network, monitor: plain, arguments: ["serve"]
            ) { machine in
                let down = try await machine.curl(
                    "/random?\(size)", limit + ["--output", file.string])
                try #require(down.succeeded, "\(down.errorOutput)")
                #expect(FileSystem.status(file)?.size == size)
                let sent = try await machine.curl("/last-digest").output
                let received = try await digest(of: file)
                #expect(sent == received)

                let up = try await machine.curl(
                    "/digest", limit + ["--header", "Expect:", "--upload-file", file.string])
                try #require(up.succeeded, "\(up.errorOutput)")
                #expect(up.output == received)
            }
            return try link.stop()
        }

        private func digest(of file: FilePath) async throws -> String {
            let end = try await ProcessRunner.collect("sha256sum", [file.string])
            return String(end.output.prefix(64))
        }
    }
}
