// swift-tools-version: 6.2
// The smallest guest: says one line and ends.
import PackageDescription

let package = Package(
    name: "Hello",
    // Without IPv6, so that every run of the tests compiles Swiftlet that way too.
    dependencies: [.package(name: "Swiftlet", path: "../../../..", traits: [])],
    targets: [
        .executableTarget(
            name: "Hello", dependencies: [.product(name: "Swiftlet", package: "Swiftlet")])
    ]
)
