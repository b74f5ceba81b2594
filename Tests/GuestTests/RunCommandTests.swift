// `swiftlet run` as its user meets it: what it says, and its exit code, when something is wrong.

import Glibc
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("swiftlet run", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct RunCommandTests {
    /// The tool, which lies beside the tests.
    private static let tool = FileSystem.resolve("/proc/self/exe")
        .removingLastComponent().appending("swiftlet")

    private func swiftlet(_ arguments: [String]) async throws -> ProcessOutcome {
        try await ProcessRunner.collect(Self.tool.string, arguments)
    }

    private static let website = GuestImages.root.appending("Examples/Website").string

    @Test("An image that runs: its output, and its exit code")
    func good() async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        let end = try await swiftlet(["run", image, "-m", "16M", "--", "exit", "7"])
        #expect(end.exitCode == 7, "\(end.errorOutput)")
        #expect(end.output == "")
        let random = try await swiftlet(["run", image, "--machine", "q35", "--", "random"])
        #expect(random.exitCode == 0)
        #expect(random.output.hasPrefix("random "))
    }

    @Test("A port in use is named, with another to take, before anything is built")
    func portInUse() async throws {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, length) == 0 && listen(socket, 1) == 0
                    && getsockname(socket, $0, &length) == 0
            }
        }
        try #require(isListening)
        let port = UInt16(bigEndian: name.sin_port)
        let end = try await swiftlet(["run", Self.website, "-p", "\(port):80"])
        #expect(end.exitCode == 125)
        #expect(end.errorOutput.contains("port \(port)/tcp on 127.0.0.1 is in use"))
        #expect(end.errorOutput.contains("-p "))
        #expect(end.output == "")
    }

    @Test("Too little memory is told with what the image needs")
    func memory() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        let end = try await swiftlet(["run", image, "-m", "100K"])
        #expect(end.exitCode == 125)
        #expect(end.errorOutput.contains("and gets 100 KiB"), "\(end.errorOutput)")
        #expect(end.errorOutput.contains("Give it more with -m."))
    }

    @Test(
        "In the background, with standard descriptors closed, an instance is started and watched",
        arguments: MachineKind.environments)
    func closedDescriptors(kind: MachineKind) async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            func closing(_ closed: String, _ arguments: [String]) async throws {
                let outcome = try await ProcessRunner.collect(
                    "/bin/sh", ["-c", "exec \"$0\" \"$@\" \(closed)", Machine.tool] + arguments,
                    environment: ["XDG_STATE_HOME": swiftlet.state.string])
                #expect(outcome.exitCode == 0, "\(closed): \(outcome.errorOutput)")
                let rows = try await swiftlet.list()
                #expect(rows.map(\.state) == ["running"], "\(closed): \(rows)")
            }
            for closed in ["<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"] {
                try await closing(
                    closed, ["run", "-d", "--monitor", kind.monitorName, "--name", "web", image])
                #expect(try await swiftlet("kill", "web").exitCode == 0)
                try await closing(closed, ["restart", "web"])
                #expect(try await swiftlet("rm", "--force", "web").exitCode == 0)
            }
        }
    }

    @Test("Wrong flags are errors of usage")
    func flags() async throws {
        for (arguments, words) in [
            (["--no-such-flag"], "--no-such-flag"), (["-m", "lots"], "-m lots"),
            (["-p", "80:http"], "-p 80:http"), (["-e", "NAME"], "-e NAME"),
            (["-e", "2A=x"], "2A"), (["--machine", "atari"], "atari"),
            (["--monitor", "vmware"], "vmware"),
        ] {
            let end = try await swiftlet(["run", Self.website] + arguments)
            #expect(end.exitCode == 64, "\(arguments): \(end.errorOutput)")
            #expect(end.errorOutput.contains(words), "\(end.errorOutput)")
            #expect(end.output == "")
        }
    }

    @Test("A folder of files that is not there is named")
    func missingFiles() async throws {
        let end = try await swiftlet(["run", Self.website, "--files", "/no/such/folder"])
        #expect(end.exitCode != 0)
        #expect(end.errorOutput.contains("/no/such/folder"), "\(end.errorOutput)")
        let image = try await GuestImages.example("Website").path.string
        let both = try await swiftlet(["run", image, "--files", Self.website])
        #expect(both.exitCode == 64)
        #expect(both.errorOutput.contains("is a finished image"), "\(both.errorOutput)")
    }

    @Test("What is no image is not booted")
    func noImage() async throws {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let text = folder.appending("text")
        try FileSystem.write(Array("no image at all\n".utf8), to: text)
        let empty = folder.appending("empty")
        try FileSystem.write([], to: empty)
        let image = try await GuestImages.guest("Hello").path
        let half = folder.appending("half")
        try FileSystem.write(Array(try FileSystem.read(image).prefix(5000)), to: half)
        for path in [text, empty, half, FilePath("/bin/true")] {
            let end = try await swiftlet(["run", path.string])
            #expect(end.exitCode == 1, "\(path): \(end.errorOutput)")
            #expect(end.errorOutput.contains(path.string), "\(end.errorOutput)")
            #expect(end.output == "")
        }
        let nothing = try await swiftlet(["run", folder.appending("nothing").string])
        #expect(nothing.exitCode == 64)
        #expect(nothing.errorOutput.contains("nothing lies at"))
        let noPackage = try await swiftlet(["run", folder.string])
        #expect(noPackage.exitCode != 0)
        #expect(noPackage.errorOutput.contains(folder.string), "\(noPackage.errorOutput)")
    }
}
