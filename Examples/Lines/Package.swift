// swift-tools-version: 6.2

import PackageDescription

let package = Package(
    name: "Lines",
    dependencies: [.package(name: "swiftlet", path: "../..")],
    targets: [
        .executableTarget(
            name: "Lines", dependencies: [.product(name: "Swiftlet", package: "swiftlet")])
    ]
)
