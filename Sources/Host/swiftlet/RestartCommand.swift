// `swiftlet restart`: starts machines anew, whether they run or have ended.

import ArgumentParser
import SwiftletBuild
import SwiftletInstances

struct RestartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Starts instances again, in the background if they ended."
    )

    @OptionGroup var targets: InstanceArguments

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("How long an application may take to finish.", valueName: "seconds"))
    var timeout = "10"

    func run() throws {
        let seconds = try Deadline.checked(timeout, "--timeout")
        try targets.visit { (instance) throws(ToolError) in
            guard instance.isAlive else {
                let claim = try InstanceStore.standard().reclaim(instance.name)
                return try SupervisorProcess.start(claim)
            }
            let before = instance.state.started
            // As long as the application may take, and a moment for the start.
            let store = try InstanceStore.standard()
            guard instance.tell(.restart(seconds: seconds)) else {
                throw ToolError("instance '\(instance.name)' has just ended")
            }
            while true {
                let now = try store.find(instance.name)
                guard now.isAlive else {
                    throw ToolError(
                        "instance '\(instance.name)' did not start again: "
                            + (now.state.reason ?? "it has ended"),
                        exitCode: SwiftletBuild.ExitCode.monitor)
                }
                if now.state.phase == .running, now.state.started != before { return }
                Pause.brief()
            }
        }
    }
}
