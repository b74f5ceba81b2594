// What SwiftPM knows of a package: its executables, and which of them use Swiftlet.

import FoundationEssentials
import SystemPackage

/// The parts of `swift package describe --type json` that matter here.
struct PackageDescription: Decodable {
    struct Product: Decodable {
        var name: String
        var targets: [String]
        var isExecutable: Bool

        enum CodingKeys: String, CodingKey { case name, targets, type }
        enum TypeKeys: String, CodingKey { case executable }

        init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            name = try values.decode(String.self, forKey: .name)
            targets = try values.decode([String].self, forKey: .targets)
            let type = try? values.nestedContainer(keyedBy: TypeKeys.self, forKey: .type)
            isExecutable = type?.contains(.executable) ?? false
        }
    }

    struct Target: Decodable {
        var name: String
        var type: String
        var productDependencies: [String]?
        var targetDependencies: [String]?

        enum CodingKeys: String, CodingKey {
            case name, type
            case productDependencies = "product_dependencies"
            case targetDependencies = "target_dependencies"
        }
    }

    var name: String
    var products: [Product]
    var targets: [Target]

    /// Asks SwiftPM about the package in `folder`.
    static func load(
        _ folder: FilePath, environment: [String: String]
    ) async throws(ToolError) -> PackageDescription {
        guard FileSystem.isFile(folder.appending("Package.swift")) else {
            throw noPackage(folder)
        }
        // Described in a scratch folder of ours: a build running in the package holds its own.
        let outcome = try await ProcessRunner.collect(
            "swift",
            [
                "package", "--package-path", folder.string, "--scratch-path",
                PackageBuilder.scratch(folder).string, "describe", "--type", "json",
            ], environment: environment)
        guard outcome.succeeded else {
            throw ToolError(
                "SwiftPM cannot read '\(folder.appending("Package.swift"))':\n"
                    + outcome.errorOutput.trimmed, exitCode: outcome.exitCode)
        }
        // SwiftPM may print notes before the JSON.
        let json = outcome.output.drop { $0 != "{" }
        do {
            return try JSONDecoder().decode(PackageDescription.self, from: Data(json.utf8))
        } catch {
            throw ToolError("cannot understand SwiftPM's description of '\(folder)': \(error)")
        }
    }

    static func noPackage(_ folder: FilePath) -> ToolError {
        ToolError(
            FileSystem.isFolder(folder)
                ? "no Package.swift in '\(folder)'" : "no folder '\(folder)'",
            hint: "Give the path of a package, or make one with `swiftlet new NAME`.")
    }

    /// An executable to make an image of.
    struct Executable: Equatable {
        var name: String
        /// Whether it is a guest of its own; else it is an ordinary program for Linux.
        var usesSwiftlet: Bool
    }

    /// The executable to make an image of: the one named, or the only one that uses Swiftlet, or the
    /// only one at all.
    func executable(named wanted: String?, in folder: FilePath) throws(ToolError) -> Executable {
        let executables = products.filter(\.isExecutable)
        let names = executables.map(\.name).sorted().joined(separator: ", ")
        if let wanted {
            guard let product = executables.first(where: { $0.name == wanted }) else {
                throw ToolError(
                    "package '\(name)' has no executable '\(wanted)'",
                    hint: names.isEmpty ? "It has none at all." : "It has: \(names).",
                    exitCode: ExitCode.usage)
            }
            return Executable(name: wanted, usesSwiftlet: usesSwiftlet(product))
        }
        guard !executables.isEmpty else {
            throw ToolError(
                "package '\(name)' in '\(folder)' has no executable",
                hint: "Add an .executableTarget that depends on the product Swiftlet.")
        }
        let guests = executables.filter(usesSwiftlet)
        let candidates = guests.isEmpty ? executables : guests
        guard candidates.count == 1 else {
            let names = candidates.map(\.name).sorted().joined(separator: ", ")
            throw ToolError(
                "package '\(name)' has several executables: \(names)",
                hint: "Choose one with --product NAME.", exitCode: ExitCode.usage)
        }
        return Executable(name: candidates[0].name, usesSwiftlet: !guests.isEmpty)
    }

    /// Whether a target of `product`, or one that it depends on, depends on product Swiftlet.
    private func usesSwiftlet(_ product: Product) -> Bool {
        var pending = product.targets
        var seen = Set(pending)
        while let name = pending.popLast() {
            guard let target = targets.first(where: { $0.name == name }) else { continue }
            if target.productDependencies?.contains("Swiftlet") ?? false { return true }
            for next in target.targetDependencies ?? [] where seen.insert(next).inserted {
                pending.append(next)
            }
        }
        return false
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        let start = drop { $0.isWhitespace }
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...last])
    }
}
