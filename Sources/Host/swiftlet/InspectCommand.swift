// `swiftlet inspect`: what is in an image or in a Linux program, or what confines an instance.

import ArgumentParser
import SwiftletBuild
import SwiftletInstances
import SystemPackage

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows what is in an image and how large it is, or what confines an instance.",
        discussion: """
            Of a Linux program, or an image that holds one, it shows the places where the program \
            calls the kernel, and how each is rewritten.
            """)

    @Argument(
        help: "The image, a static Linux executable, or the instance's name.",
        completion: .instances)
    var subject: String

    @Flag(help: "Print JSON instead of text.")
    var json = false

    func run() async throws {
        // A file is meant before an instance is; `./NAME` never is an instance.
        if FileSystem.status(FilePath(subject)) == nil, !subject.contains("/") {
            let store = try InstanceStore.standard()
            guard try store.has(subject) else {
                throw ToolError(
                    "there is no image and no instance '\(subject)'",
                    hint: "`swiftlet ps` lists instances; `swiftlet build` makes images.")
            }
            let inspection = try InstanceInspection(store.find(subject))
            return Terminal.result(json ? JSONText.of(inspection) : inspection.text)
        }
        let path = FilePath(subject)
        let contents = try FileSystem.read(path)
        if LinuxProgram.isProgram(contents) {
            let program = try LinuxProgram(path, contents: contents)
            let inspection = ProgramInspection(try RewrittenProgram(program))
            return Terminal.result(json ? inspection.json : inspection.text)
        }
        let inspection = Inspection(try Image(path, contents: contents))
        Terminal.result(json ? inspection.json : inspection.text)
    }
}
