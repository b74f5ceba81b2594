// `swiftlet completions`: scripts that make shells complete verbs, options and instances.

import ArgumentParser
import SwiftletBuild

struct CompletionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completions", abstract: "Prints a shell's completion script.",
        discussion: """
            bash: swiftlet completions bash > ~/.local/share/bash-completion/completions/swiftlet
            zsh:  swiftlet completions zsh > a folder of $fpath, as _swiftlet
            fish: swiftlet completions fish > ~/.config/fish/completions/swiftlet.fish
            """)

    enum Shell: String, CaseIterable, ExpressibleByArgument { case bash, zsh, fish }

    @Argument(help: "The shell: bash, zsh or fish.")
    var shell: Shell

    func run() {
        let kind: CompletionShell =
            switch shell {
            case .bash: .bash
            case .zsh: .zsh
            case .fish: .fish
            }
        Terminal.result(SwiftletCommand.completionScript(for: kind))
    }
}
