// What the verbs on instances share: which ones are meant, and one error for each that fails.

import ArgumentParser
import Glibc
import SwiftletBuild
import SwiftletInstances

extension CompletionKind {
    /// The names of all instances.
    static var instances: CompletionKind { .shellCommand("swiftlet ps -a -q 2>/dev/null") }
}

/// Names, or `--all`.
struct InstanceArguments: ParsableArguments {
    @Argument(help: "Names of instances.", completion: .instances)
    var names: [String] = []

    @Flag(help: "All instances that this goes for.")
    var all = false

    /// The instances meant; with `--all` those that `isMeant`.
    func instances(_ isMeant: (Instance) -> Bool) throws(ToolError) -> [Instance] {
        let store = try InstanceStore.standard()
        guard all else {
            guard !names.isEmpty else {
                throw ToolError(
                    "no instance is named", hint: "`swiftlet ps -a` lists them; --all means all.",
                    exitCode: SwiftletBuild.ExitCode.usage)
            }
            var found: [Instance] = []
            for name in names { found.append(try store.find(name)) }
            return found
        }
        guard names.isEmpty else {
            throw ToolError(
                "--all goes without names", exitCode: SwiftletBuild.ExitCode.usage)
        }
        return try store.list().filter(isMeant)
    }

    /// Calls `body` for each of them and prints its name. An error does not keep the others from
    /// their turn.
    func visit(
        where isMeant: (Instance) -> Bool = { _ in true },
        _ body: (Instance) throws(ToolError) -> Void
    ) throws {
        var code: Int32?
        for instance in try instances(isMeant) {
            do throws(ToolError) {
                try body(instance)
                Terminal.result(instance.name)
            } catch {
                Terminal.note(error.description)
                code = code ?? error.exitCode
            }
        }
        if let code { throw ArgumentParser.ExitCode(code) }
    }
}

/// A time to wait, as people give it.
enum Deadline {
    /// Seconds from `text`: a number, or one with s, m, h or d.
    static func seconds(_ text: String) -> Double? {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        let unit = text.last.flatMap { units[$0] }
        guard let number = Double(unit == nil ? text : String(text.dropLast())), number >= 0,
            number < 1e9
        else { return nil }
        return number * (unit ?? 1)
    }

    static func checked(_ text: String, _ option: String) throws(ToolError) -> Double {
        guard let seconds = seconds(text) else {
            throw ToolError(
                "\(option) \(text): that is no time", hint: "Write for example 10, 1.5s or 2m.",
                exitCode: SwiftletBuild.ExitCode.usage)
        }
        return seconds
    }
}

extension Instance {
    /// Throws unless a supervisor lives.
    func checkAlive() throws(ToolError) {
        guard isAlive else { throw ToolError("instance '\(name)' is not running") }
    }

    /// Sends `command` and waits until the instance is as `isDone` wants it, or has ended.
    func tell(
        _ command: InstanceCommand, until isDone: (Instance) -> Bool
    ) throws(ToolError) {
        try checkAlive()
        let store = try InstanceStore.standard()
        guard tell(command) else { throw ToolError("instance '\(name)' has just ended") }
        for _ in 0..<500 {
            let now = try store.find(name)
            if isDone(now) { return }
            guard now.isAlive else { throw ToolError("instance '\(name)' has just ended") }
            usleep(10_000)
        }
        throw ToolError("instance '\(name)' does not answer")
    }
}
