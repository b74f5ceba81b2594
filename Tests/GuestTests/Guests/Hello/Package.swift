// swift-tools-version: 6.2
// The smallest guest: says one line and ends.
import PackageDescription

let package = Package(
    name: "Hello",
    dependencies: [.package(name: "Swiftlet", path: "../../../..")],
    targets: [
        .executableTarget(
            name: "Hello", dependencies: [.product(name: "Swiftlet", package: "Swiftlet")])
    ]
)
