// swift-tools-version: 6.2
// One guest for many tests: its first argument says what it does.
import PackageDescription

let package = Package(
    name: "Fixture",
    dependencies: [.package(name: "Swiftlet", path: "../../../..")],
    targets: [
        .target(name: "CFixture"),
        .executableTarget(
            name: "Fixture",
            dependencies: ["CFixture", .product(name: "Swiftlet", package: "Swiftlet")]),
    ]
)
