// Addresses, datagrams and pings of a booted guest, on QEMU's own network and on a tap.

import SwiftletBootProtocol
import SwiftletBuild
import SwiftletHypervisors
import Testing

extension NetworkGuests {
    @Suite("Protocols")
    struct ProtocolTests {
        // The built-in monitor's user network has no DHCP: its guests are told their address.
        @Test("An address by DHCP, on every machine", arguments: MachineKind.qemu)
        func dhcp(type: MachineKind) async throws {
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(
                image, type: type, publishing: [80], address: .dhcp, arguments: ["serve"]
            ) { machine in
                let page = try await machine.curl("/")
                #expect(page.output == "fixture\n", "\(page.errorOutput)")
            }
        }

        @Test("Datagrams come back through published ports", arguments: MachineKind.available)
        func datagrams(type: MachineKind) async throws {
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(
                image, type: type, publishing: [80], datagrams: [7], arguments: ["serve"]
            ) { machine in
                _ = try await machine.curl("/")
                let port = try #require(machine.ports.last)
                let place = Place(address: port.address, port: port.host)
                for size in [1, 2, 511, 1472] {
                    let sent = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
                    let echoed = try await onThread { try Datagram.exchange(sent, with: place) }
                    #expect(echoed == sent)
                }
            }
        }

        @Test(
            "A static address on a tap: ping, whole and in fragments, and curl",
            .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment),
            arguments: MachineKind.available)
        func tap(type: MachineKind) async throws {
            let network = try await NetworkNamespace(.direct)
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(image, type: type, on: network, arguments: ["serve"]) {
                machine in
                let page = try await machine.curl("/")
                #expect(page.output == "fixture\n", "\(page.errorOutput)")
                for size in [0, 56, 1472, 1473, 4000] {
                    let end = try await network.run([
                        "ping", "-n", "-c", "3", "-i", "0.01", "-W", "10", "-s", "\(size)",
                        NetworkNamespace.guestAddress,
                    ])
                    #expect(end.output.contains("3 received"), "\(end.output)")
                    #expect(!end.output.contains("wrong data"), "\(end.output)")
                }
                let place = Place(
                    network: network, address: NetworkNamespace.guestAddress, port: 7)
                let sent = [UInt8](repeating: 0x5A, count: 1472)
                #expect(try await onThread { try Datagram.exchange(sent, with: place) } == sent)
            }
        }

        @Test(
            "Nobody answers for an address that the guest was not given",
            .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment),
            arguments: MachineKind.environments)
        func otherAddress(type: MachineKind) async throws {
            let network = try await NetworkNamespace(.direct)
            let image = try await GuestImages.guest("Fixture")
            let address = BootCommandLine.Network.fixed(
                address: "10.77.0.3", prefixLength: 24, gateway: nil)
            try await Machine.with(
                image, type: type, on: network, address: address, arguments: ["serve"]
            ) { _ in
                let found = try await network.run([
                    "curl", "--silent", "--retry", "20", "--retry-delay", "1",
                    "--retry-connrefused", "http://10.77.0.3/",
                ])
                #expect(found.output == "fixture\n")
                await #expect(throws: MachineFailure.self) {
                    try await network.run([
                        "ping", "-n", "-c", "1", "-W", "1", NetworkNamespace.guestAddress,
                    ])
                }
            }
        }
    }
}
