// swift-tools-version: 6.2
// An ordinary Swift package that knows nothing of Swiftlet: it runs as a static Linux program.
import PackageDescription

let package = Package(
    name: "Ordinary",
    targets: [.executableTarget(name: "Ordinary", path: "Sources")]
)
