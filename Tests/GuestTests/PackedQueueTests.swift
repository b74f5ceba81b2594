// Packed virtqueues against QEMU's devices: pages, streams, a disk, input.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("Packed virtqueues", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct PackedQueueTests {
    private static let size = 16 << 20

    /// QEMU whose devices offer packed rings; where its control listens.
    private static func monitor(_ control: FilePath) -> QEMU {
        var monitor = QEMU()
        monitor.amend = { command in
            var isDevice = false
            let amended = command.map { argument in
                defer { isDevice = argument == "-device" }
                return isDevice && argument.hasPrefix("virtio-")
                    ? argument + ",packed=on" : argument
            }
            return amended + QEMUControl.arguments(control)
        }
        return monitor
    }

    @Test(
        "A server behind packed queues: pages, and 16 MB each way, on each kind of machine",
        arguments: MachineKind.qemu)
    func server(type: MachineKind) async throws {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let file = folder.appending("stream")
        let control = folder.appending("control")
        let image = try await GuestImages.guest("Fixture")
        try await Machine.with(
            image, type: type, publishing: [80], monitor: Self.monitor(control),
            arguments: ["serve"]
        ) { machine in
            #expect(try await machine.curl("/").output == "fixture\n")
            let features = try QEMUControl(control).guestFeatures()
            let network = try #require(features["virtio-net"])
            for name in ["RING_PACKED", "EVENT_IDX", "MRG_RXBUF"] {
                #expect(network.contains(name), "\(network)")
            }
            _ = try await machine.curl("/random?\(Self.size)", ["--output", file.string])
            let sent = try await machine.curl("/last-digest").output
            let end = try await ProcessRunner.collect("sha256sum", [file.string])
            #expect(sent == String(end.output.prefix(64)))
            let up = try await machine.curl(
                "/digest", ["--header", "Expect:", "--upload-file", file.string])
            #expect(up.output == sent)
            // A connection for each, many times round the rings.
            let many = try await machine.curl(
                "/",
                ["--parallel", "--parallel-max", "16", "--header", "Connection: close"]
                    + (0..<500).map { _ in "http://127.0.0.1:\(machine.ports[0].host)/" })
            #expect(many.output == String(repeating: "fixture\n", count: 501))
        }
    }

    @Test("A disk behind a packed queue keeps what is written", arguments: MachineKind.qemu)
    func disk(type: MachineKind) async throws {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let path = folder.appending("disk")
        let file = open(path.string, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(file >= 0 && ftruncate(file, 1 << 20) == 0)
        close(file)
        let image = try await GuestImages.guest("Fixture")
        for (action, last) in [
            ("write", "verified"), ("verify", "verified"), ("many", "20 of 20 right"),
        ] {
            let end = try await Machine.run(
                image, type: type, disk: MachineDisk(path: path),
                monitor: Self.monitor(folder.appending("control")), arguments: ["disk", action])
            #expect(end.exit == .exited(0))
            #expect(end.output.hasPrefix("disk 2048 sectors\n"), "\(end.output)")
            #expect(end.output.hasSuffix("\(last)\n"), "\(end.output)")
        }
        let features = try await Machine.with(
            image, type: type, disk: MachineDisk(path: path),
            monitor: Self.monitor(folder.appending("control")), arguments: ["disk-deaf"]
        ) { machine in
            try await machine.waitFor("disk 2048 sectors")
            return try QEMUControl(folder.appending("control")).guestFeatures()
        }
        #expect(features["virtio-blk"]?.contains("RING_PACKED") ?? false, "\(features)")
    }
}
