// Instances where processes disagree about them, where the disk is full, and where a shell asks for
// their names: real processes of the command line.

import Foundation
import SwiftletBuild
import SystemPackage
import Testing

@Suite(
    "Disputed instances", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct InstanceDisputeTests {
    @Test("Many processes start, restart, stop and remove one name: each ends, and nothing is left")
    func dispute() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        let monitor = MachineKind.hasBuiltIn ? "builtin" : "qemu"
        try await InstanceTool.with(monitor: monitor) { swiftlet in
            let verbs = [
                ["run", "--detach", "--name", "web", image],
                ["restart", "--timeout", "0.2", "web"], ["stop", "--timeout", "0.2", "web"],
                ["rm", "--force", "web"], ["kill", "web"], ["rm", "web"],
            ]
            let outcomes = try await withThrowingTaskGroup(of: [ProcessOutcome].self) { group in
                for first in 0..<4 {
                    group.addTask {
                        var outcomes: [ProcessOutcome] = []
                        for step in 0..<12 {
                            // Each begins elsewhere, and takes its steps in another order.
                            let verb = verbs[(first * 5 + step * (first % 2 == 0 ? 1 : 5)) % 6]
                            outcomes.append(try await swiftlet.run(verb))
                        }
                        return outcomes
                    }
                }
                return try await group.reduce(into: [ProcessOutcome]()) { $0 += $1 }
            }
            for outcome in outcomes where outcome.exitCode != 0 {
                // What is refused is refused in words: the name is in use, or not there.
                #expect([1, 125].contains(outcome.exitCode), "\(outcome.errorOutput)")
                #expect(outcome.errorOutput.hasPrefix("error: "), "\(outcome.errorOutput)")
            }
            #expect(outcomes.contains { $0.exitCode == 0 })
            _ = try await swiftlet("rm", "--force", "--all")
            #expect(try await swiftlet.list().isEmpty)
            let folder = swiftlet.state.appending("swiftlet/instances")
            #expect(try FileSystem.names(in: folder) == [".lock"])
            for _ in 0..<500 where !Self.processes(with: swiftlet.state).isEmpty {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(Self.processes(with: swiftlet.state).isEmpty, "somebody lives on")
            // And the name is good for another life.
            let again = try await swiftlet("run", "--detach", "--name", "web", image)
            #expect(again.exitCode == 0, "\(again.errorOutput)")
        }
    }

    @Test(
        "A start that is killed at any moment leaves an instance that is told as it is, or none",
        arguments: MachineKind.environments)
    func killedStart(kind: MachineKind) async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            // From its first instructions to when the machine runs; which is which does not matter.
            for number in 0..<40 {
                _ = try await ProcessRunner.collect(
                    "timeout",
                    [
                        "--signal=KILL", "\(Double(number + 1) * 0.0015)", Machine.tool, "run",
                        "--detach", "--monitor", kind.monitorName, "--name", "web\(number)", image,
                    ], environment: ["XDG_STATE_HOME": swiftlet.state.string])
            }
            // This one sweeps up behind those.
            let last = try await swiftlet("run", "--detach", "--name", "last", image)
            #expect(last.output == "last\n", "\(last.errorOutput)")
            let folder = swiftlet.state.appending("swiftlet/instances")
            #expect(!(try FileSystem.names(in: folder)).contains { $0.hasPrefix(".new-") })
            // A supervisor whose instance is not made ends by itself, and its machine with it.
            var rows = try await swiftlet.list()
            for _ in 0..<500 where rows.contains(where: { $0.state == "starting" }) {
                try await Task.sleep(for: .milliseconds(20))
                rows = try await swiftlet.list()
            }
            for row in rows {
                let isWhole = row.state == "running" && row.process != nil
                #expect(isWhole || row.state == "exited" && row.process == nil, "\(row)")
            }
            _ = try await swiftlet("rm", "--force", "--all")
            #expect(try FileSystem.names(in: folder) == [".lock"])
            for _ in 0..<500 where !Self.processes(with: swiftlet.state).isEmpty {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(Self.processes(with: swiftlet.state).isEmpty, "somebody lives on")
        }
    }

    /// Processes that were told of this folder by their environment, as all of an instance's are.
    private static func processes(with state: FilePath) -> [Int32] {
        let wanted = Array("XDG_STATE_HOME=\(state)".utf8)
        return ((try? FileSystem.names(in: "/proc")) ?? []).compactMap { Int32($0) }.filter {
            guard let words = try? FileSystem.read(FilePath("/proc/\($0)/environ")) else {
                return false
            }
            return words.split(separator: 0).contains { $0.elementsEqual(wanted) }
        }
    }

    @Test(
        "On a full disk a start is refused in words, and what runs can be stopped, read and removed",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment),
        .enabled(if: getuid() == 0, "needs root, for a file system of its own"))
    func fullDisk() async throws {
        let image = try await GuestImages.example("HelloHTTP").path.string
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        // Mounted where nobody else sees it; gone with the last process that does.
        let script = """
            mount -t tmpfs -o size=640k none "$XDG_STATE_HOME" || exit 99
            swiftlet() { "$TOOL" "$@" 2>&1; echo "= $?"; }
            swiftlet run --monitor builtin -d --name web "$IMAGE"
            head -c 2M /dev/zero > "$XDG_STATE_HOME/filler" 2>/dev/null
            swiftlet run --monitor builtin -d --name late "$IMAGE"
            swiftlet ps -q
            swiftlet pause web
            swiftlet resume web
            swiftlet stop --timeout 1000 web
            swiftlet wait web
            swiftlet ps -q
            rm "$XDG_STATE_HOME/filler"
            swiftlet restart web
            swiftlet ps -q
            head -c 2M /dev/zero > "$XDG_STATE_HOME/filler" 2>/dev/null
            swiftlet rm --force --all
            ls "$XDG_STATE_HOME/swiftlet/instances" | wc -l
            """
        let outcome = try await ProcessRunner.collect(
            "unshare", ["--mount", "sh", "-c", script],
            environment: ["XDG_STATE_HOME": folder.string, "TOOL": Machine.tool, "IMAGE": image])
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errorOutput)")
        let refusal = try #require(
            lines.first { $0.hasPrefix("error: ") }, "\(outcome.output)")
        #expect(refusal.contains("No space left on device"))
        let rest = lines.filter { $0 != refusal && !$0.hasPrefix("  ") }
        let refused = rest.count > 2 ? rest[2] : ""
        #expect(["= 1", "= 125"].contains(refused), "\(outcome.output)")
        #expect(
            rest == [
                "web", "= 0", refused, "web", "= 0", "web", "= 0", "web", "= 0", "web", "= 0", "0",
                "= 0", "= 0", "web", "= 0", "web", "= 0", "web", "= 0", "0",
            ], "\(outcome.output)")
    }

    /// Sources the script of standard input, and prints what it completes of each line.
    private static let bash = """
        source /dev/stdin
        complete -p swiftlet | sed 's/.* //'
        function=$(complete -p swiftlet | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        ask() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
            COMPREPLY=()
            "$function" swiftlet "${!#}" "${@:$#-1:1}"
            echo "${COMPREPLY[*]}"
        }
        ask swiftlet st
        ask swiftlet run --mon
        ask swiftlet run --machine ""
        ask swiftlet stop we
        ask swiftlet nothing x
        """

    @Test(
        "bash completes verbs, options, values and names of instances",
        .enabled(if: Requirement.has("bash"), "bash is not installed"))
    func completionsOfBash() async throws {
        let image = try await GuestImages.guest("Hello").path.string
        try await InstanceTool.with(monitor: MachineKind.hasBuiltIn ? "builtin" : "qemu") {
            swiftlet in
            _ = try await swiftlet("run", "--name", "web-1", image)
            let script = try await swiftlet("completions", "bash")
            let folder = FilePath(Machine.tool).removingLastComponent()
            let path = "\(folder):" + (FileSystem.environment("PATH") ?? "")
            let outcome = try await ProcessRunner.collect(
                "bash", ["--norc", "-c", Self.bash],
                environment: ["XDG_STATE_HOME": swiftlet.state.string, "PATH": path],
                input: script.output)
            #expect(
                outcome.output
                    == "swiftlet\nstats stop\n--monitor\nmicrovm pc q35\nweb-1\n\n",
                "\(outcome.errorOutput)")
        }
    }

    @Test(
        "zsh takes the script, and completes swiftlet by it",
        .enabled(if: Requirement.has("zsh"), "zsh is not installed"))
    func completionsOfZsh() async throws {
        let script = try await ProcessRunner.collect(Machine.tool, ["completions", "zsh"])
        let outcome = try await ProcessRunner.collect(
            "zsh",
            [
                "-f", "-c",
                "autoload -Uz compinit && compinit -D -u && source /dev/stdin && "
                    + "print -r $_comps[swiftlet] && whence -w _swiftlet",
            ], input: script.output)
        #expect(
            outcome.output == "_swiftlet\n_swiftlet: function\n", "\(outcome.errorOutput)")
    }

    @Test(
        "fish takes the script, and completes by it",
        .enabled(if: Requirement.has("fish"), "fish is not installed"))
    func completionsOfFish() async throws {
        let script = try await ProcessRunner.collect(Machine.tool, ["completions", "fish"])
        let outcome = try await ProcessRunner.collect(
            "fish", ["--no-config", "-c", "source -; complete -C 'swiftlet sta'"],
            input: script.output)
        #expect(outcome.output.contains("stats"), "\(outcome.errorOutput)")
    }
}
