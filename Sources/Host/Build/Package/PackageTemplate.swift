// The package that `swiftlet new` makes.

import SystemPackage

/// Writes a new package.
public enum PackageTemplate {
    /// Makes the folder `name` (relative to the working folder) with a package in it, and returns
    /// its path.
    public static func write(name: String, home: Home) throws(ToolError) -> FilePath {
        let folder = FilePath(name)
        let product = folder.lastComponent?.string ?? ""
        try check(product)
        guard FileSystem.status(folder) == nil else {
            throw ToolError(
                "'\(folder)' exists already", hint: "Choose another name, or remove it.",
                exitCode: ExitCode.usage)
        }
        let sources = folder.appending("Sources").appending(product)
        try FileSystem.makeFolder(sources)
        try FileSystem.write(
            Array(manifest(product, home).utf8), to: folder.appending("Package.swift"))
        try FileSystem.write(Array(application.utf8), to: sources.appending("App.swift"))
        try FileSystem.write(Array(".build/\n".utf8), to: folder.appending(".gitignore"))
        return folder
    }

    /// A name becomes a folder, a product and a Swift module.
    static func check(_ name: String) throws(ToolError) {
        let isValid =
            name.utf8.allSatisfy { octet in
                switch octet {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            } && name.first?.isLetter ?? false
        guard isValid, name.utf8.count <= 64 else {
            throw ToolError(
                "'\(name)' is no name for a package",
                hint: "Use letters, digits, - and _, beginning with a letter.",
                exitCode: ExitCode.usage)
        }
        // Names of modules that the package itself would import.
        let taken = ["swift", "swiftlet", "main", "test"]
        guard !taken.contains(name.lowercased()), !name.hasPrefix("Swiftlet") else {
            throw ToolError(
                "the name '\(name)' is taken by Swift or Swiftlet", hint: "Choose another.",
                exitCode: ExitCode.usage)
        }
    }

    private static func manifest(_ product: String, _ home: Home) -> String {
        let path = home.path.string.flatMap { character -> String in
            character == "\\" || character == "\"" ? "\\\(character)" : String(character)
        }
        return """
            // swift-tools-version: 6.2
            import PackageDescription

            let package = Package(
                name: "\(product)",
                dependencies: [.package(name: "Swiftlet", path: "\(String(path))")],
                targets: [
                    .executableTarget(
                        name: "\(product)",
                        dependencies: [.product(name: "Swiftlet", package: "Swiftlet")])
                ]
            )

            """
    }

    private static let application = """
        // A web server that is a whole machine. Try: curl -i http://127.0.0.1:8080/

        import Swiftlet

        @main
        struct App {
            static func main() async throws(HTTPServerError) {
                let server = HTTPServer(port: 80)
                try await server.run { request, response in
                    switch request.path {
                    case "/":
                        await response.send("Hello from Swiftlet\\n")
                    default:
                        await response.send(status: .notFound, "no such page\\n")
                    }
                }
            }
        }

        """
}
