// swift-tools-version: 6.2

import PackageDescription

let package = Package(
    name: "Website",
    dependencies: [.package(name: "swiftlet", path: "../..")],
    targets: [
        .executableTarget(
            name: "Website", dependencies: [.product(name: "Swiftlet", package: "swiftlet")])
    ]
)
