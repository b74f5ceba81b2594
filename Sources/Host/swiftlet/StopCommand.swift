// `swiftlet stop`: asks applications to finish.

import ArgumentParser
import SwiftletBuild
import SwiftletInstances

struct StopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Asks instances to finish, and kills those that do not.")

    @OptionGroup var targets: InstanceArguments

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("How long an application may take to finish.", valueName: "seconds"))
    var timeout = "10"

    func run() throws {
        let seconds = try Deadline.checked(timeout, "--timeout")
        // All are asked before one is waited for.
        let instances = try targets.instances(\.isAlive)
        let ends = instances.map { $0.end() }
        for instance in instances { instance.tell(.stop(seconds: seconds)) }
        for (instance, end) in zip(instances, ends) {
            _ = end?.wait()
            Terminal.result(instance.name)
        }
    }
}
