// The command line as a user has it: signals that stop a machine.

import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("Signals", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct SignalTests {
    /// Starts a server, waits until it answers, sends the signal, and ends as `swiftlet run` does.
    private static let script = """
        "$0" run --monitor "$4" "$1" --publish "$2:80" &
        curl --silent --output /dev/null --retry 30 --retry-delay 1 --retry-connrefused \
            "http://127.0.0.1:$2/" || echo "no answer"
        kill -"$3" $!
        wait $!
        """

    /// Starts a guest that does not listen, and sends the signal twice.
    private static let deafScript = """
        "$0" run --monitor "$3" --name deaf "$1" -- deaf &
        until "$0" ps --json | grep -q '"running"'; do sleep 0.1; done
        kill -"$2" $!
        until "$0" ps --json | grep -q '"stopping"'; do sleep 0.1; done
        kill -"$2" $!
        wait $!
        """

    @Test(
        "A signal asks the application to finish, and the exit code is its own",
        arguments: ["INT", "TERM"], MachineKind.environments)
    func ask(signal: String, kind: MachineKind) async throws {
        let image = try await GuestImages.example("HelloHTTP")
        let port = try Machine.freePort()
        let end = try await ProcessRunner.collect(
            "sh",
            [
                "-c", Self.script, Machine.tool, image.path.string, "\(port)", signal,
                kind.monitorName,
            ])
        #expect(end.exitCode == 0)
        #expect(end.output == "")
        #expect(end.errorOutput == "http://127.0.0.1:\(port)/\n")
    }

    @Test(
        "A second signal stops the machine without a word, and the exit code tells it",
        arguments: [("INT", 130), ("TERM", 143)] as [(String, Int32)], MachineKind.environments)
    func stop(signal: (name: String, code: Int32), kind: MachineKind) async throws {
        let image = try await GuestImages.guest("Fixture")
        let state = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(state) }
        let end = try await ProcessRunner.collect(
            "sh",
            [
                "-c", Self.deafScript, Machine.tool, image.path.string, signal.name,
                kind.monitorName,
            ],
            environment: ["XDG_STATE_HOME": state.string])
        #expect(end.exitCode == signal.code, "\(end.errorOutput)")
        #expect(end.output == "")
        #expect(end.errorOutput == "")
    }
}
