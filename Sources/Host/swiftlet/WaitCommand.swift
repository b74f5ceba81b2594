// `swiftlet wait`: waits for ends, and prints exit codes.

import ArgumentParser
import SwiftletBuild
import SwiftletInstances

struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Waits until instances have ended; prints their exit codes.")

    @OptionGroup var targets: InstanceArguments

    func run() throws {
        let instances = try targets.instances(\.isAlive)
        let ends = instances.map { $0.isAlive ? $0.end() : nil }
        for (instance, end) in zip(instances, ends) {
            guard let end else {
                Terminal.result("\(instance.state.exitCode ?? 0)")
                continue
            }
            let code = end.wait() ?? SwiftletBuild.ExitCode.signal + 9
            Terminal.result("\(code)")
        }
    }
}
