// Mixed load on one machine: nothing wrong, nothing lost. `make soak` does the same for long.

import Glibc
import SwiftletBuild
import SystemPackage
import Testing

extension NetworkGuests {
    @Suite("Soak", .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment))
    struct SoakTests {
        /// The client, which was built beside these tests.
        private static var client: FilePath {
            FileSystem.resolve("/proc/self/exe").removingLastComponent().appending("SwiftletSoak")
        }

        @Test(
            "Short, long, slow, aborted and large requests: right answers, no memory lost",
            arguments: MachineKind.available.filter { [.microvm, .builtIn].contains($0) })
        func mixedLoad(_ type: MachineKind) async throws {
            let network = try await NetworkNamespace(.direct)
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(image, type: type, on: network, arguments: ["serve"]) {
                machine in
                try #require(try await machine.curl("/").succeeded)
                let requests = type == .builtIn ? 60_000 : 20_000
                let words =
                    network.enter + [
                        Self.client.string, NetworkNamespace.guestAddress, "80", "\(requests)",
                        "32", "7",
                    ]
                let end = try await ProcessRunner.collect(words[0], Array(words.dropFirst()))
                #expect(end.succeeded, "\(end.errorOutput)")
                #expect(end.output.contains("free-frames-before="))
            }
        }
    }
}
