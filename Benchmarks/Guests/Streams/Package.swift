// swift-tools-version: 6.2

import PackageDescription

let package = Package(
    name: "Streams",
    dependencies: [.package(name: "swiftlet", path: "../../..")],
    targets: [
        .executableTarget(
            name: "Streams", dependencies: [.product(name: "Swiftlet", package: "swiftlet")])
    ]
)
