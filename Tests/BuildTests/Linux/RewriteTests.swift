// Rewritten programs run natively, without one `syscall` instruction of their own.

import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("Rewritten programs")
struct RewriteTests {
    @Test(
        "A rewritten program runs as before, while any other syscall would kill it",
        .enabled(if: !SampleProgram.available.isEmpty, "no compiler that links statically"),
        arguments: SampleProgram.available)
    func runsWithoutSystemCalls(sample: SampleProgram) async throws {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let path = try await sample.build(in: folder)
        let plain = try await ProcessRunner.collect(path.string, [])
        #expect(plain.exitCode == 7)
        #expect(plain.output == SampleProgram.output)

        let program = try LinuxProgram(path)
        let rewritten = try RewrittenProgram(program)
        let left = rewritten.sites.filter { !$0.method.isRewritten }
        #expect(!rewritten.sites.isEmpty)
        #expect(left.isEmpty, "\(left)")
        #expect(rewritten.sites.allSatisfy { $0.certainty != .doubtful })

        // The control: the filter kills the program as it was.
        let thunks = rewritten.thunks(entering: 0)
        let control = folder.appending("control")
        let unchanged = try #require(
            NativeProof.executable(program, bytes: program.elf.bytes, thunks: thunks))
        try FileSystem.write(unchanged, to: control, executable: true)
        let killed = try await ProcessRunner.collect(control.string, [])
        if killed.exitCode == NativeProof.noFilter {
            print("this machine has no seccomp filters: nothing is proved of \(sample)")
            return
        }
        #expect(killed.exitCode == NativeProof.killed)

        let proof = folder.appending("proof")
        let changed = try #require(
            NativeProof.executable(program, bytes: rewritten.bytes, thunks: thunks))
        try FileSystem.write(changed, to: proof, executable: true)
        let outcome = try await ProcessRunner.collect(proof.string, [])
        #expect(outcome.exitCode == 7, "\(outcome.errorOutput)")
        #expect(outcome.output == SampleProgram.output)
    }
}
