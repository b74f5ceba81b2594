// The two readers of a `run` line: whatever the quick one takes it takes as the argument parser does.

import ArgumentParser
import Testing

@testable import SwiftletCommand

@Suite("The command line of run")
struct CommandLineTests {
    /// Words, one after another in all ways, that lines are made of.
    private static let pieces: [[String]] = [
        [], ["image"], ["-d"], ["--detach"], ["-i"], ["--interactive"], ["--rm"], ["-v"],
        ["-p", "80:80"], ["--publish", "1:2/udp"], ["-m", "1G"], ["--memory", "512K"],
        ["--disk", "a:ro"], ["-e", "A=b"], ["--env", "C="], ["--dns", "1.2.3.4"],
        ["--monitor", "qemu"], ["--machine", "q35"], ["--machine", "none"], ["--name", "n"],
        ["--restart", "on-failure:3"], ["--files", "f"], ["--product", "p"],
        ["--", "a", "-d", "--"],
        ["-p"], ["-p80:80"], ["--publish=80:80"], ["-di"], ["-h"], ["--version"], ["--nothing"],
        ["-"], [""], ["-m", "-1"], ["-m", ""], ["--name", "--rm"], ["--generate-completion-script"],
    ]

    @Test("Every line of up to two options is the same command, or the argument parser's alone")
    func equal() throws {
        var taken = 0
        for first in Self.pieces {
            for second in Self.pieces {
                for third in [[], ["image"]] {
                    let words = first + second + third
                    guard let quick = RunCommand(plainWords: words) else { continue }
                    taken += 1
                    let slow = try? RunCommand.parse(words)
                    #expect(slow.map(Self.text) == Self.text(quick), "\(words)")
                }
            }
        }
        #expect(taken > 500)
    }

    @Test("The lines of the README are quick ones")
    func usual() {
        for line in [
            "", ".", "-p 8080:80", "-d -p 8080:80 Examples/HelloHTTP", "-d --name a image",
            "-i Examples/Lines", "image -m 16M -- exit 7",
            "-d --restart always -e A=b --disk file image",
        ] {
            #expect(RunCommand(plainWords: line.split(separator: " ").map(String.init)) != nil)
        }
    }

    /// All that a command says.
    private static func text(_ command: RunCommand) -> String {
        """
        \(command.path) \(command.publish) \(command.memory) \(String(describing: command.disk)) \
        \(command.environment) \(command.dns) \(command.monitor) \(command.machine) \
        \(command.interactive) \(command.detach) \(String(describing: command.name)) \
        \(command.restart) \(command.remove) \(String(describing: command.options.files)) \
        \(String(describing: command.options.product)) \(command.options.verbose) \
        \(command.arguments)
        """
    }
}
