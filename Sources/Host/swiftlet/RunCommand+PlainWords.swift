// Lines of `run` as nearly everybody writes them, read without the argument parser: to look through
// its own description of the verb takes that a third of the time in which a machine answers.

import SwiftletHypervisors

extension RunCommand {
    /// The command that these words are, as `parse` has it; nil if that must look at them, since
    /// something in them is unusual or wrong.
    init?(plainWords words: [String]) {
        self.init()
        var path: String?
        var values: [String: String] = [:]
        var flags: Set<String> = []
        publish = []
        environment = []
        dns = []
        arguments = []

        var rest = words[...]
        while let word = rest.popFirst() {
            switch word {
            case "--":
                arguments = Array(rest)
                rest = []
            case "-i", "--interactive", "-d", "--detach", "--rm", "-v", "--verbose":
                guard flags.insert(Self.long[word] ?? word).inserted else { return nil }
            case _ where !word.hasPrefix("-"):
                guard path == nil, !word.isEmpty else { return nil }
                path = word
            default:
                // A value that looks like an option is the parser's to judge.
                guard let value = rest.popFirst(), !value.hasPrefix("-") else { return nil }
                switch Self.long[word] ?? word {
                case "--publish": publish.append(value)
                case "--env": environment.append(value)
                case "--dns": dns.append(value)
                case "--memory", "--disk", "--monitor", "--machine", "--name", "--restart",
                    "--files",
                    "--product":
                    // Of an option that is given twice the parser takes one.
                    guard values.updateValue(value, forKey: Self.long[word] ?? word) == nil else {
                        return nil
                    }
                default: return nil
                }
            }
        }

        guard let machine = MachineType(rawValue: values["--machine"] ?? "microvm") else {
            return nil
        }
        self.machine = machine
        self.path = path ?? "."
        memory = values["--memory"] ?? "64M"
        disk = values["--disk"]
        monitor = values["--monitor"] ?? "auto"
        name = values["--name"]
        restart = values["--restart"] ?? "no"
        interactive = flags.contains("--interactive")
        detach = flags.contains("--detach")
        remove = flags.contains("--rm")
        options = BuildOptions()
        options.files = values["--files"]
        options.product = values["--product"]
        options.verbose = flags.contains("--verbose")
    }

    private static let long = [
        "-p": "--publish", "-m": "--memory", "-e": "--env", "-i": "--interactive",
        "-d": "--detach", "-v": "--verbose",
    ]
}
