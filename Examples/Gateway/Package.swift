// swift-tools-version: 6.2

import PackageDescription

let package = Package(
    name: "Gateway",
    dependencies: [.package(name: "swiftlet", path: "../..")],
    targets: [
        .executableTarget(
            name: "Gateway", dependencies: [.product(name: "Swiftlet", package: "swiftlet")])
    ]
)
