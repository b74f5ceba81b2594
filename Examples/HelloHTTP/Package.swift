// swift-tools-version: 6.2

import PackageDescription

let package = Package(
    name: "HelloHTTP",
    dependencies: [.package(name: "swiftlet", path: "../..")],
    targets: [
        .executableTarget(
            name: "HelloHTTP", dependencies: [.product(name: "Swiftlet", package: "swiftlet")])
    ]
)
