// Images for tests: each guest package is built once a run.

import SwiftletBuild
import SystemPackage

/// Builds guests of Tests/GuestTests/Guests and of Examples, and remembers them.
actor GuestImages {
    static let shared = GuestImages()

    private var builds: [FilePath: Task<Image, any Error>] = [:]
    private var builder: Task<PackageBuilder, any Error>?

    /// The repository that these tests belong to.
    static let root: FilePath = {
        var path = FilePath(#filePath)
        for _ in 0..<3 { path.removeLastComponent() }
        return path
    }()

    /// The guest of this name in Tests/GuestTests/Guests.
    static func guest(_ name: String) async throws -> Image {
        try await shared.image(root.appending("Tests/GuestTests/Guests").appending(name))
    }

    /// The example of this name.
    static func example(_ name: String) async throws -> Image {
        try await shared.image(root.appending("Examples").appending(name))
    }

    private func image(_ package: FilePath) async throws -> Image {
        if let build = builds[package] { return try await build.value }
        let builder = self.builder ?? Task { try await Self.prepare() }
        self.builder = builder
        // One after the other: SwiftPM uses all processors for one build already.
        let earlier = Array(builds.values)
        let build = Task {
            for build in earlier { _ = await build.result }
            let built = try await builder.value.build(BuildRequest(package: package))
            return try Image(built.image)
        }
        builds[package] = build
        return try await build.value
    }

    private static func prepare() async throws -> PackageBuilder {
        let home = Home(root)
        let toolchain = try await Toolchain.find()
        let sdk = try SDKBundle.prepare(
            toolchain: toolchain, home: home, cache: try SDKBundle.cache())
        return PackageBuilder(home: home, toolchain: toolchain, sdk: sdk)
    }
}
