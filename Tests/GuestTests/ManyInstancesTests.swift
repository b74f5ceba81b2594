// Several servers at once in the built-in monitor, their ports, and what is left of them.

import FoundationEssentials
import SwiftletBuild
import SystemPackage
import Testing

@Suite("Many instances", .serialized)
struct ManyInstancesTests {
    @Test(
        "Eight servers answer, each on its port; they outlive their image's file; all stop at once",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func eight() async throws {
        let built = try await GuestImages.example("HelloHTTP").path
        try await InstanceTool.with(monitor: "builtin") { swiftlet in
            let image = swiftlet.state.appending("image")
            try FileSystem.write(try FileSystem.read(built), to: image)
            var ports: [UInt16] = []
            for index in 0..<8 {
                let port = try Machine.freePort()
                ports.append(port)
                let start = try await swiftlet(
                    "run", "-d", "--name", "web\(index)", "-p", "\(port):80", image.string)
                #expect(start.output == "web\(index)\n", "\(start.errorOutput)")
            }
            FileSystem.remove(image)
            for port in ports {
                // The port is open from the first moment: no second try.
                let page = try await ProcessRunner.collect(
                    "curl", ["--silent", "--max-time", "30", "http://127.0.0.1:\(port)/"])
                #expect(page.output == "Hello\n", "\(page.errorOutput)")
            }
            let taken = try await swiftlet(
                "run", "-d", "--name", "late", "-p", "\(ports[0]):80", built.string)
            #expect(taken.exitCode == 125)
            #expect(taken.errorOutput.contains("port \(ports[0])/tcp on 127.0.0.1 is in use"))
            #expect(taken.errorOutput.contains("Publish another"))

            let restart = try await swiftlet("restart", "web3")
            #expect(restart.exitCode == 0, "\(restart.errorOutput)")
            #expect(try await swiftlet.curl(ports[3]).output == "Hello\n")

            let rows = try await swiftlet.list()
            #expect(rows.map(\.state) == .init(repeating: "running", count: 8))
            let networks = rows.compactMap(\.process).flatMap(Self.children)
            #expect(networks.count == 8)
            #expect(try await swiftlet("stop", "--all").exitCode == 0)
            #expect(try await swiftlet.list().allSatisfy { $0.state == "exited" })
            for network in networks {
                for _ in 0..<500 where Self.isAlive(network) {
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(!Self.isAlive(network), "a network outlives its machine")
            }
            #expect(try await swiftlet("rm", "--all").exitCode == 0)
            #expect(
                try FileSystem.names(in: swiftlet.state.appending("swiftlet/instances"))
                    == [".lock"])
        }
    }

    private static func children(_ process: Int32) -> [Int32] {
        let path = FilePath("/proc/\(process)/task/\(process)/children")
        let text = (try? FileSystem.read(path)) ?? []
        return String(decoding: text, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
    }

    private static func isAlive(_ process: Int32) -> Bool {
        guard let stat = try? FileSystem.read(FilePath("/proc/\(process)/stat")) else {
            return false
        }
        return String(decoding: stat, as: UTF8.self).split(separator: ")").last?.dropFirst().first
            != "Z"
    }
}
