// The command line as a user has it: signals that stop a machine.

import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("Signals", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct SignalTests {
    /// Starts a server, waits until it answers, sends the signal, and ends as `swiftlet run` does.
    private static let script = """
        "$0" run "$1" --publish "$2:80" &
        curl --silent --output /dev/null --retry 30 --retry-delay 1 --retry-connrefused \
            "http://127.0.0.1:$2/" || echo "no answer"
        kill -"$3" $!
        wait $!
        """

    @Test(
        "A signal stops the machine without a word, and the exit code tells it",
        arguments: [("INT", 130), ("TERM", 143)] as [(String, Int32)])
    func stop(signal: String, code: Int32) async throws {
        let image = try await GuestImages.example("HelloHTTP")
        let port = try Machine.freePort()
        let end = try await ProcessRunner.collect(
            "sh", ["-c", Self.script, Machine.tool, image.path.string, "\(port)", signal])
        #expect(end.exitCode == code)
        #expect(end.output == "")
        #expect(end.errorOutput == "http://127.0.0.1:\(port)/\n")
    }
}
