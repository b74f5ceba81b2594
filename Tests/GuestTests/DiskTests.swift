// Disks: what a guest writes is in the file, is there after a restart, and is nobody else's meanwhile.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("Disk", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct DiskTests {
    private static let sectorCount = 2048

    /// Runs `body` with the path of a new file of 1 MiB, all zero.
    private func withDisk<R: Sendable>(
        size: Int = sectorCount * 512, _ body: (FilePath) async throws -> R
    ) async throws -> R {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        // A comma would end QEMU's option.
        let path = folder.appending("disk,1.img")
        let file = open(path.string, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(file >= 0 && ftruncate(file, size) == 0)
        close(file)
        return try await body(path)
    }

    private func run(
        _ action: String, _ type: MachineKind, _ disk: MachineDisk?
    ) async throws -> (exit: MachineExit, output: String) {
        try await Machine.run(
            try await GuestImages.guest("Fixture"), type: type, disk: disk,
            arguments: ["disk", action])
    }

    @Test(
        "What is written is read, is in the file, and is there after a restart; what cannot be fails",
        arguments: MachineKind.available)
    func write(type: MachineKind) async throws {
        try await withDisk { path in
            let disk = MachineDisk(path: path)
            let first = try await run("write", type, disk)
            #expect(
                first.output == """
                    disk 2048 sectors
                    written
                    verified
                    behind the end: DiskError.outOfRange
                    across the end: DiskError.outOfRange
                    half a sector: DiskError.partialSector
                    verified

                    """)
            #expect(first.exit == .exited(0))
            let octets = try FileSystem.read(path)
            #expect(octets.count == Self.sectorCount * 512)
            #expect(octets[..<(3 * 512)].allSatisfy { $0 == 0 })
            #expect(octets[3 * 512] == 93 && octets[3 * 512 + 1] == 100)
            let second = try await run("verify", type, disk)
            #expect(second.output == "disk 2048 sectors\nverified\n")
            let readOnly = try await run(
                "read-only", type, MachineDisk(path: path, isReadOnly: true))
            #expect(
                readOnly.output
                    == "disk 2048 sectors, read only\nverified\nwrite: DiskError.readOnly\n")
            #expect(try FileSystem.read(path) == octets)
        }
    }

    @Test("Twenty tasks share four requests", arguments: MachineKind.available)
    func many(type: MachineKind) async throws {
        try await withDisk { path in
            let end = try await run("many", type, MachineDisk(path: path))
            #expect(end.output == "disk 2048 sectors\n20 of 20 right\n")
        }
    }

    @Test("A machine without a disk says so", arguments: MachineKind.available)
    func none(type: MachineKind) async throws {
        let end = try await run("none", type, nil)
        #expect(end.output == "DiskError.noDisk\n")
    }

    @Test(
        "A file that can be no disk is named, and what to do", arguments: MachineKind.environments)
    func refused(kind: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        func run(_ disk: String) async throws -> ProcessOutcome {
            try await ProcessRunner.collect(
                Machine.tool,
                [
                    "run", image, "--monitor", kind.monitorName, "--disk", disk, "--", "disk",
                    "verify",
                ])
        }
        let missing = try await run("/no/such/disk")
        #expect(missing.exitCode == 125)
        #expect(missing.errorOutput.contains("'/no/such/disk': No such file"))
        #expect(missing.errorOutput.contains("truncate"), "\(missing.errorOutput)")
        for size in [0, 1000] {
            let end = try await withDisk(size: size) { try await run($0.string) }
            #expect(end.exitCode == 125)
            #expect(end.errorOutput.contains("has \(size) octets"), "\(end.errorOutput)")
        }
        let nameless = try await run(":ro")
        #expect(nameless.exitCode == 64)
        try await withDisk { path in
            let file = open(path.string, O_RDWR | O_CLOEXEC)
            defer { close(file) }
            try #require(flock(file, LOCK_EX) == 0)
            let inUse = try await run(path.string)
            #expect(inUse.exitCode == 125)
            #expect(
                inUse.errorOutput.contains("is in use by another machine"), "\(inUse.errorOutput)")
        }
    }

    @Test(
        "A machine's disk is no other machine's, and the filter names what is allowed on it",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func inUse() async throws {
        try await withDisk { path in
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(
                image, type: .builtIn, disk: MachineDisk(path: path), arguments: ["disk-deaf"]
            ) { machine in
                try await machine.waitFor("disk 2048 sectors")
                for isReadOnly in [false, true] {
                    let disk = MachineDisk(path: path, isReadOnly: isReadOnly)
                    let error = await #expect(throws: ToolError.self) {
                        try await run("verify", .builtIn, disk)
                    }
                    #expect(error?.message.contains("is in use by another machine") ?? false)
                    // The monitor's own check, which is the one that holds.
                    let request = MachineRequest(image: image, disk: disk)
                    let command = try await BuiltIn.find().command(for: request, in: "/tmp")
                    let end = try await ProcessRunner.collect(command.program, command.arguments)
                    #expect(end.exitCode == 125)
                    #expect(end.errorOutput.contains("is in use by another machine"))
                }
            }
            let after = try await run("verify", .builtIn, MachineDisk(path: path))
            #expect(after.output == "disk 2048 sectors\nother octets\n")
        }
    }
}
