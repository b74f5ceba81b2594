// `swiftlet kill`: ends machines where they stand.

import ArgumentParser
import SwiftletBuild
import SwiftletInstances

struct KillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kill", abstract: "Ends instances at once.")

    @OptionGroup var targets: InstanceArguments

    func run() throws {
        try targets.visit(where: \.isAlive) { (instance) throws(ToolError) in
            try instance.checkAlive()
            let end = instance.end()
            instance.tell(.kill)
            _ = end?.wait()
        }
    }
}
