// `swiftlet new`: a package to begin with.

import ArgumentParser
import SwiftletBuild
import SystemPackage

struct NewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Makes a package with a small HTTP server in it.")

    @Argument(help: "The package's name; its folder is made here.")
    var name: String

    func run() throws {
        let folder = try PackageTemplate.write(name: name, home: try Home.find())
        Terminal.note(
            """
            Made '\(folder)'. Next:
              cd \(folder)
              swiftlet run -p 8080:80
            """)
    }
}
