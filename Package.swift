// swift-tools-version: 6.2
// The one package: what runs inside the VM (Guest), on your machine (Host), and the words both
// agree on (Shared). Guest never imports Host, Host never imports Guest.

import PackageDescription

/// Set by `swiftlet build`: an application's package graph then holds the guest alone, and fetches
/// none of the command line's dependencies.
let isGuestBuild = Context.environment["SWIFTLET_GUEST"] != nil

// The compiler warns of the guest's missing libc, as it should; it is the one exception.
let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableExperimentalFeature("Lifetimes"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + (isGuestBuild ? [] : [.treatAllWarnings(as: .error)])

let cSettings: [CSetting] = [.treatAllWarnings(as: .error)]

func guest(_ folder: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: folder == "Swiftlet" ? "Swiftlet" : "Swiftlet\(folder)", dependencies: dependencies,
        path: "Sources/Guest/\(folder)", swiftSettings: settings)
}

func host(_ folder: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: "Swiftlet\(folder)", dependencies: dependencies, path: "Sources/Host/\(folder)",
        swiftSettings: settings)
}

func tests(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []
) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude,
        swiftSettings: settings)
}

let guestTargets: [Target] = [
    // Guest: in the order of its layers, the lowest first.
    .target(
        name: "CSwiftletMachine", path: "Sources/Guest/CMachine", cSettings: cSettings),
    guest("Machine", ["CSwiftletMachine", "SwiftletBootProtocol"]),
    guest("Memory", ["SwiftletMachine"]),
    guest(
        "Virtio",
        ["SwiftletMemory", "SwiftletMachine", "SwiftletBootProtocol", "CSwiftletMachine"]),
    guest("Network"),
    guest("HTTP"),
    guest(
        "Runtime",
        [
            "SwiftletVirtio", "SwiftletMemory", "SwiftletMachine", "SwiftletBootProtocol",
            "CSwiftletMachine",
        ]),
    guest(
        "NetworkCard",
        [
            "SwiftletRuntime", "SwiftletNetwork", "SwiftletVirtio", "SwiftletMemory",
            "SwiftletMachine", "SwiftletBootProtocol",
        ]),
    guest(
        "Swiftlet",
        [
            "SwiftletHTTP", "SwiftletNetworkCard", "SwiftletRuntime", "SwiftletNetwork",
            "SwiftletVirtio", "SwiftletMemory", "SwiftletMachine", "SwiftletBootProtocol",
        ]),
    guest(
        "Linux",
        [
            "SwiftletNetworkCard", "SwiftletRuntime", "SwiftletNetwork", "SwiftletVirtio",
            "SwiftletMemory", "SwiftletMachine", "SwiftletBootProtocol", "CSwiftletMachine",
        ]),

    .target(
        name: "SwiftletBootProtocol", path: "Sources/Shared/BootProtocol",
        swiftSettings: settings),
]

let hostTargets: [Target] = [
    host(
        "Build",
        [
            "SwiftletBootProtocol",
            .product(name: "Subprocess", package: "swift-subprocess"),
            .product(name: "SystemPackage", package: "swift-system"),
        ]),
    host(
        "Hypervisors",
        [
            "SwiftletBootProtocol", "SwiftletBuild",
            .product(name: "Subprocess", package: "swift-subprocess"),
            .product(name: "SystemPackage", package: "swift-system"),
        ]),
    .target(name: "CSwiftletProcess", path: "Sources/Host/CProcess", cSettings: cSettings),
    host(
        "Instances",
        [
            "SwiftletBootProtocol", "SwiftletBuild", "SwiftletHypervisors", "CSwiftletProcess",
            .product(name: "SystemPackage", package: "swift-system"),
        ]),
    .executableTarget(
        name: "SwiftletCommand",
        dependencies: [
            "SwiftletBuild", "SwiftletBootProtocol", "SwiftletHypervisors", "SwiftletInstances",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        path: "Sources/Host/swiftlet", swiftSettings: settings),

    // The built-in monitor: small, and without Foundation, since every machine starts it anew.
    .target(name: "CSwiftletKVM", path: "Sources/Host/CKVM", cSettings: cSettings),
    .executableTarget(
        name: "SwiftletMonitor", dependencies: ["CSwiftletKVM", "SwiftletBootProtocol"],
        path: "Sources/Host/Monitor", swiftSettings: settings),

    // `make bench`; not a product, so no user of the package builds it.
    .executableTarget(
        name: "SwiftletBench",
        dependencies: [
            "SwiftletBuild", "SwiftletBootProtocol", "SwiftletHypervisors",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "SystemPackage", package: "swift-system"),
        ],
        path: "Benchmarks/Runner", swiftSettings: settings),

    // A mixed load on a server, for a test and `make soak`.
    .executableTarget(
        name: "SwiftletSoak", path: "Tests/Soak", exclude: ["run"], swiftSettings: settings),

    // What tests share; they are run on the host alone.
    .target(
        name: "SwiftletTestSupport", dependencies: ["SwiftletNetwork"], path: "Tests/Support",
        swiftSettings: settings),
    tests("MachineTests", ["SwiftletTestSupport", "SwiftletMachine", "SwiftletMemory"]),
    tests("RuntimeTests", ["SwiftletTestSupport", "SwiftletRuntime"]),
    tests(
        "VirtioTests",
        ["SwiftletTestSupport", "SwiftletVirtio", "SwiftletMemory", "SwiftletMachine"]),
    tests("NetworkTests", ["SwiftletTestSupport", "SwiftletNetwork"]),
    tests("HTTPTests", ["SwiftletTestSupport", "SwiftletHTTP"]),
    tests("ArchitectureTests"),
    tests(
        "BuildTests",
        ["SwiftletTestSupport", "SwiftletBuild", "SwiftletHypervisors", "SwiftletBootProtocol"]),
    tests(
        "MonitorTests", ["SwiftletTestSupport", "SwiftletMonitor", "SwiftletBootProtocol"]),
    tests(
        "InstancesTests",
        ["SwiftletInstances", "SwiftletBuild", "SwiftletHypervisors", "SwiftletBootProtocol"]),
    // Guests holds packages of their own, and Programs sources in C, which the tests build and boot.
    tests(
        "GuestTests",
        [
            "SwiftletBuild", "SwiftletHypervisors", "SwiftletBootProtocol", "SwiftletNetwork",
            "SwiftletCommand", "SwiftletMonitor", "SwiftletSoak", "SwiftletTestSupport",
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        exclude: ["Guests", "Programs"]),
]

/// Set by Tests/Fuzzing/run: the targets of the fuzzer and what they need, in one library.
let isFuzzBuild = Context.environment["SWIFTLET_FUZZ"] != nil

let fuzzTargets: [Target] =
    hostTargets.filter {
        ["SwiftletBuild", "SwiftletTestSupport", "CSwiftletKVM"].contains($0.name)
    } + [
        // The built-in monitor without its main: a library cannot hold an executable.
        .target(
            name: "SwiftletMonitor", dependencies: ["CSwiftletKVM", "SwiftletBootProtocol"],
            path: "Sources/Host/Monitor", exclude: ["MonitorCommand.swift"],
            swiftSettings: settings),
        .target(
            name: "SwiftletFuzz",
            dependencies: [
                "SwiftletTestSupport", "SwiftletNetwork", "SwiftletHTTP", "SwiftletVirtio",
                "SwiftletMachine", "SwiftletBootProtocol", "SwiftletBuild", "SwiftletMonitor",
                "CSwiftletKVM",
            ],
            path: "Tests",
            sources: [
                "Fuzzing/Fuzzer.swift", "NetworkTests/Fuzzing/NetworkFuzzing.swift",
                "NetworkTests/Fuzzing/DHCPFuzzing.swift", "NetworkTests/Fuzzing/DNSFuzzing.swift",
                "NetworkTests/Fuzzing/DHCPv6Fuzzing.swift",
                "NetworkTests/DHCP/DHCPv6ServerMessage.swift",
                "NetworkTests/Fuzzing/SeedCorpus.swift",
                "NetworkTests/Fuzzing/SeedCorpusIPv6.swift",
                "NetworkTests/IPv6/LonelyStack+IPv6.swift",
                "NetworkTests/Simulation/LonelyStack.swift",
                "NetworkTests/Simulation/Support.swift",
                "NetworkTests/Simulation/SimulatedDevice.swift",
                "HTTPTests/Fuzzing/HTTPFuzzing.swift", "HTTPTests/Fuzzing/ClientFuzzing.swift",
                "HTTPTests/MemoryTransport.swift", "HTTPTests/Client/ClientModel.swift",
                "BuildTests/Fuzzing/BuildFuzzing.swift", "BuildTests/SampleGuest.swift",
                "BuildTests/Linux/SampleELF.swift",
                "VirtioTests/Fuzzing/VirtioFuzzing.swift",
                "VirtioTests/Simulation/FakeDevice.swift",
                "VirtioTests/Simulation/DeviceQueue.swift",
                "VirtioTests/Simulation/DeviceQueue+Packed.swift",
                "VirtioTests/Simulation/FakeMMIO.swift",
                "MonitorTests/Fuzzing/GuardedMemory.swift",
                "MonitorTests/Fuzzing/DeviceFuzzing.swift",
                "MonitorTests/Fuzzing/CallFuzzing.swift",
                "MonitorTests/Fuzzing/ImageFuzzing.swift", "MonitorTests/SampleImage.swift",
                "MonitorTests/Fuzzing/UserNetworkFuzzing.swift",
                "MonitorTests/UserNetwork/GuestModel.swift",
            ],
            swiftSettings: settings),
    ]

let products: [Product] =
    isFuzzBuild
    ? [.library(name: "SwiftletFuzz", type: .static, targets: ["SwiftletFuzz"])]
    : [
        .library(name: "Swiftlet", targets: ["Swiftlet"]),
        .library(name: "SwiftletLinux", targets: ["SwiftletLinux"]),
    ]
        + (isGuestBuild
            ? []
            : [
                .executable(name: "swiftlet", targets: ["SwiftletCommand"]),
                .executable(name: "swiftlet-monitor", targets: ["SwiftletMonitor"]),
            ])

let package = Package(
    name: "Swiftlet",
    products: products,
    traits: [
        // One alone: SwiftPM hands the compiler several in another order each time, and all is
        // compiled again.
        .default(enabledTraits: ["IPv6"]),
        .trait(name: "IPv6", description: "IPv6 in guests; without it images are smaller."),
    ],
    dependencies: isGuestBuild
        ? []
        : [
            .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
            .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
            .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
        ],
    targets: guestTargets + (isGuestBuild ? [] : isFuzzBuild ? fuzzTargets : hostTargets)
)
