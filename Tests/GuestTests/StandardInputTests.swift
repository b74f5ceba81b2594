// Standard input of machines that run: every octet, the end, and a guest that does not read.

import Foundation
import SwiftletBuild
import SwiftletHypervisors
import SystemPackage
import Testing

@Suite("Standard input", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
struct StandardInputTests {
    /// Runs a line of shell: `$run` is `swiftlet run` on that kind of machine, `$guest` the fixture's
    /// image with its argument.
    private func shell(
        _ line: String, _ kind: MachineKind, _ variables: [String: String] = [:]
    ) async throws -> ProcessOutcome {
        let image = try await GuestImages.guest("Fixture").path.string
        var environment = variables
        environment["run"] =
            "\(Machine.tool) run --monitor \(kind.monitorName) --machine \(kind.machine.rawValue)"
        environment["guest"] = "\(image) -- input"
        return try await ProcessRunner.collect("sh", ["-c", line], environment: environment)
    }

    /// Runs lines of shell beside a guest in that mode: `$!` is it, descriptor 9 leads to its input,
    /// and its output goes to `$folder/output`.
    private func shell(
        _ lines: String, holdingInputOf mode: String, _ kind: MachineKind
    ) async throws -> ProcessOutcome {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let start = """
            mkfifo "$folder/fifo"
            $run -i $guest \(mode) < "$folder/fifo" > "$folder/output" &
            exec 9> "$folder/fifo"

            """
        return try await shell(start + lines, kind, ["folder": folder.string])
    }

    /// A file of so many octets, by a seed, and `sha256sum`'s word on it.
    private func withOctets<R: Sendable>(
        _ count: Int, _ body: (_ file: String, _ digest: String) async throws -> R
    ) async throws -> R {
        let folder = try FileSystem.makeTemporaryFolder()
        defer { FileSystem.remove(folder) }
        let file = folder.appending("octets")
        var octets = [UInt8](repeating: 0, count: count)
        var state: UInt64 = 1
        for place in 0..<count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            octets[place] = UInt8(truncatingIfNeeded: state >> 56)
        }
        try FileSystem.write(octets, to: file)
        let sum = try await ProcessRunner.collect("sha256sum", [file.string])
        return try await body(file.string, String(sum.output.prefix(64)))
    }

    @Test("Ten megabytes go in and come out as they were", arguments: MachineKind.available)
    func echo(kind: MachineKind) async throws {
        // QEMU's serial port takes a microsecond for an octet.
        let isFast = kind == .builtIn || kind == .microvm
        try await withOctets(isFast ? 10_000_000 : 500_000) { file, digest in
            let end = try await shell(
                #"$run -i $guest echo < "$file" | sha256sum"#, kind, ["file": file])
            #expect(end.output.prefix(64) == digest, "\(end.errorOutput)")
        }
    }

    @Test(
        "A reader that is slow and takes odd pieces loses nothing",
        arguments: MachineKind.available)
    func slow(kind: MachineKind) async throws {
        try await withOctets(3_000_000) { file, digest in
            let end = try await shell(
                #"$run -i $guest slow < "$file""#, kind, ["file": file])
            #expect(end.output == "3000000 octets \(digest) over\n", "\(end.errorOutput)")
            #expect(end.exitCode == 0)
        }
    }

    @Test(
        "Lines and octets as sequences; what a writer leaves for later, and what was there before",
        arguments: MachineKind.available)
    func sequences(kind: MachineKind) async throws {
        let text = #"'a\n12345678901234567890\nb\r\n123456789012345678901\n\n'"#
        let lines = try await shell(
            "(printf \(text); sleep 0.3; printf 'l'; sleep 0.1; printf ast) | $run -i $guest lines",
            kind)
        #expect(
            lines.output
                == "[a]\n[12345678901234567890]\n[b]\n[12345678901234567890]\n[1]\n[]\n[last]\n",
            "\(lines.errorOutput)")
        let octets = try await shell("printf abc | $run -i $guest bytes", kind)
        #expect(octets.output == "3 octets, sum 294\n", "\(octets.errorOutput)")
    }

    @Test(
        "The end: of nothing, of a closed descriptor, and at once without -i",
        arguments: MachineKind.available)
    func end(kind: MachineKind) async throws {
        for line in [
            "$run -i $guest bytes < /dev/null", "$run -i $guest bytes <&-",
            "echo more | $run $guest bytes", ": | $run -i $guest bytes",
        ] {
            let end = try await shell(line, kind)
            #expect(end.output == "0 octets, sum 0\n", "\(line): \(end.errorOutput)")
            #expect(end.exitCode == 0)
        }
    }

    @Test(
        "A second reader is refused, and one that was cancelled takes nothing with it",
        arguments: MachineKind.available)
    func disputed(kind: MachineKind) async throws {
        // Nothing is written before the guest has said that it is done with waiting.
        let line = """
            until grep -q '^cancelled' "$folder/output"; do sleep 0.02; done
            printf 12345 >&9
            exec 9>&-
            wait $!
            cat "$folder/output"
            """
        let end = try await shell(line, holdingInputOf: "disputed", kind)
        #expect(
            end.output == """
                waiting
                StandardInputError.busy
                StandardInputError.cancelled
                cancelled
                5 octets

                """, "\(end.errorOutput)")
    }

    /// A guest reads one octet and no more, while somebody writes without end.
    private static let unread = """
        yes | $run -i --name unread $guest unread > "$state/output" &
        until grep -q 'read one' "$state/output"; do sleep 0.02; done
        """

    @Test(
        "A guest that does not read stops the writer, sleeps, and ends when it is asked to",
        arguments: MachineKind.environments)
    func unread(kind: MachineKind) async throws {
        try await InstanceTool.with(monitor: kind.monitorName) { swiftlet in
            let state = swiftlet.state.string
            let life = Task {
                try await shell(
                    Self.unread + "\nwait $!; echo ended $?; cat \"$state/output\"", kind,
                    ["state": state, "XDG_STATE_HOME": state])
            }
            let output = swiftlet.state.appending("output")
            func text() -> String {
                String(decoding: (try? FileSystem.read(output)) ?? [], as: UTF8.self)
            }
            for _ in 0..<3000 where !text().contains("read one") {
                try await Task.sleep(for: .milliseconds(20))
            }
            // The writer is full once nobody takes anything: then nobody has anything to do.
            let row = try #require(try await swiftlet.list().first)
            #expect(row.state == "running")
            let supervisor = try #require(row.supervisor)
            #expect(try await Self.comesToRest(try #require(row.process)))
            #expect(try await Self.comesToRest(supervisor))
            #expect(try await swiftlet("stop", "--timeout", "1000", "unread").exitCode == 0)
            let end = try await life.value
            #expect(end.output == "ended 0\nread one\nasked\n", "\(end.errorOutput)")
        }
    }

    /// Whether a process uses no processor time between two looks, sooner or later.
    private static func comesToRest(_ process: Int32) async throws -> Bool {
        func ticks() throws -> [Substring] {
            let stat = try FileSystem.read(FilePath("/proc/\(process)/stat"))
            return Array(String(decoding: stat, as: UTF8.self).split(separator: " ")[13...14])
        }
        for _ in 0..<100 {
            let before = try ticks()
            // Fifty ticks; a process that does not sleep takes all of them.
            try await Task.sleep(for: .milliseconds(500))
            if try ticks() == before { return true }
        }
        return false
    }

    @Test(
        "Ctrl-C asks the application to finish, whatever is typed meanwhile",
        arguments: MachineKind.environments)
    func interrupt(kind: MachineKind) async throws {
        // Octet 3 is one like any other; only the signal is a request.
        let line = """
            printf '\\003\\003\\003' >&9
            until grep -q 'read one' "$folder/output"; do sleep 0.02; done
            kill -INT $!
            wait $!
            echo ended $?
            cat "$folder/output"
            """
        let end = try await shell(line, holdingInputOf: "unread", kind)
        #expect(end.output == "ended 0\nread one\nasked\n", "\(end.errorOutput)")
    }

    @Test("-i goes with the foreground")
    func background() async throws {
        let image = try await GuestImages.guest("Fixture").path.string
        let end = try await ProcessRunner.collect(
            Machine.tool, ["run", "-d", "-i", image, "--", "input", "echo"])
        #expect(end.exitCode == 64)
        #expect(end.errorOutput.contains("-i and -d exclude each other"), "\(end.errorOutput)")
        #expect(end.output == "")
    }

    @Test("An instance with input is restarted without: its input is at its end")
    func restart() async throws {
        try await InstanceTool.with(monitor: "qemu") { swiftlet in
            let image = try await GuestImages.guest("Fixture").path.string
            let first = try await swiftlet.run(
                ["run", "-i", "--name", "one", image, "--", "input", "bytes"], input: "abc")
            #expect(first.output == "3 octets, sum 294\n", "\(first.errorOutput)")
            #expect(try await swiftlet("restart", "one").exitCode == 0)
            #expect(try await swiftlet("wait", "one").output == "0\n")
            let log = try await swiftlet("logs", "one").output
            #expect(log.hasSuffix("0 octets, sum 0\n"), "\(log)")
        }
    }

    @Test(
        "The descriptor is one of the monitor's, and the filter allows it to be read",
        .enabled(if: MachineKind.hasBuiltIn, MachineKind.comment))
    func confinement() async throws {
        struct Inspection: Decodable {
            struct Kernel: Decodable {
                struct Descriptor: Decodable {
                    var number: Int
                    var target: String
                }
                var descriptors: [Descriptor]
            }
            var kernel: Kernel
            var said: [String: String]
        }
        try await InstanceTool.with(monitor: "builtin") { swiftlet in
            let state = swiftlet.state.string
            let life = Task {
                try await shell(
                    Self.unread + """

                        "$tool" inspect --json unread
                        "$tool" kill unread > /dev/null
                        wait $!
                        """, .builtIn,
                    ["state": state, "XDG_STATE_HOME": state, "tool": Machine.tool])
            }
            let end = try await life.value
            let seen = try JSONDecoder().decode(Inspection.self, from: Data(end.output.utf8))
            let input = seen.kernel.descriptors.first { $0.number == 3 }
            #expect(input?.target.hasPrefix("socket:") == true, "\(end.output)")
            // The standard three, the input, the processor, the link, the counters.
            #expect(seen.kernel.descriptors.count == 7)
            #expect(seen.said["calls"]?.contains("read(0|link|input)") == true)
        }
    }
}
