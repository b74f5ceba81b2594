// `swiftlet inspect`: what is in an image.

import ArgumentParser
import SwiftletBuild
import SystemPackage

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Shows what is in an image, and how large it is.")

    @Argument(help: "The image.")
    var image: String

    @Flag(help: "Print JSON instead of text.")
    var json = false

    func run() async throws {
        let inspection = Inspection(try Image(FilePath(image)))
        Terminal.result(json ? inspection.json : inspection.text)
    }
}
