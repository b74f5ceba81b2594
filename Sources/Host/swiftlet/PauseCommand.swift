// `swiftlet pause` and `swiftlet resume`: machines that stand still.

import ArgumentParser
import Glibc
import SwiftletBuild
import SwiftletInstances

struct PauseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Halts instances; their clocks go on.")

    @OptionGroup var targets: InstanceArguments

    func run() throws {
        let isMeant: (Instance) -> Bool = { $0.isAlive && $0.state.phase == .running }
        try targets.visit(where: isMeant) { (instance) throws(ToolError) in
            try instance.tell(.pause) { $0.state.phase == .paused }
        }
    }
}

struct ResumeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lets paused instances go on.")

    @OptionGroup var targets: InstanceArguments

    func run() throws {
        let isMeant: (Instance) -> Bool = { $0.isAlive && $0.state.phase == .paused }
        try targets.visit(where: isMeant) { (instance) throws(ToolError) in
            try instance.tell(.resume) { $0.state.phase == .running }
        }
    }
}

/// Waiting for what no descriptor tells.
enum Pause {
    static func brief() { usleep(10_000) }
}
