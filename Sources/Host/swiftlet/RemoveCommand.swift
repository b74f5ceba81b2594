// `swiftlet rm`: forgets instances.

import ArgumentParser
import SwiftletBuild
import SwiftletInstances

struct RemoveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Forgets instances that have ended, with their logs.")

    @OptionGroup var targets: InstanceArguments

    @Flag(name: .shortAndLong, help: "Kill those that run.")
    var force = false

    func run() throws {
        let store = try InstanceStore.standard()
        // A damaged record must not keep an instance from being removed.
        if force, !targets.all {
            for name in targets.names where (try? store.find(name)) == nil {
                try? store.remove(name)
            }
        }
        let isMeant: (Instance) -> Bool = { force || !$0.isAlive }
        try targets.visit(where: isMeant) { (instance) throws(ToolError) in
            if force, instance.isAlive {
                let end = instance.end()
                instance.tell(.kill)
                _ = end?.wait()
                // It may have removed itself.
                guard (try? store.find(instance.name)) != nil else { return }
            }
            try store.remove(instance.name)
        }
    }
}
