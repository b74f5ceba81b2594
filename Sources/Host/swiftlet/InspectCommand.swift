// `swiftlet inspect`: what is in an image, or in a Linux program.

import ArgumentParser
import SwiftletBuild
import SystemPackage

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Shows what is in an image, and how large it is.",
        discussion: """
            Of a Linux program, or an image that holds one, it shows the places where the program \
            calls the kernel, and how each is rewritten.
            """)

    @Argument(help: "The image, or a static Linux executable.")
    var image: String

    @Flag(help: "Print JSON instead of text.")
    var json = false

    func run() async throws {
        let path = FilePath(image)
        let contents = try FileSystem.read(path)
        if LinuxProgram.isProgram(contents) {
            let program = try LinuxProgram(path, contents: contents)
            let inspection = ProgramInspection(try RewrittenProgram(program))
            Terminal.result(json ? inspection.json : inspection.text)
            return
        }
        let inspection = Inspection(try Image(path, contents: contents))
        Terminal.result(json ? inspection.json : inspection.text)
    }
}
