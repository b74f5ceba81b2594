// swift-tools-version: 6.2
// The guest that runs an unmodified Linux program: the library OS with the Linux module, to which
// the builder adds the program's segments.
import PackageDescription

let package = Package(
    name: "LinuxProgram",
    dependencies: [.package(name: "Swiftlet", path: "../..")],
    targets: [
        .executableTarget(
            name: "LinuxProgram",
            dependencies: [
                .product(name: "Swiftlet", package: "Swiftlet"),
                .product(name: "SwiftletLinux", package: "Swiftlet"),
            ])
    ]
)
