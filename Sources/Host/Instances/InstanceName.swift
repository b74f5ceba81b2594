// Names of instances: what they may be, and one where none is given.

import SwiftletBuild

/// Names are names of folders, and words of command lines.
public enum InstanceName {
    /// Octets of a name at most.
    public static let longest = 63

    /// Throws if `name` cannot be one: letters, digits, `_`, `.` and `-`, the first a letter or
    /// digit.
    public static func check(_ name: String) throws(ToolError) {
        func isPlain(_ octet: UInt8) -> Bool {
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard let first = name.utf8.first, isPlain(first), name.utf8.count <= longest,
            name.utf8.allSatisfy({ isPlain($0) || "_.-".utf8.contains($0) })
        else {
            throw ToolError(
                "'\(name)' is no name of an instance",
                hint: "Names have up to \(longest) letters, digits, '_', '.' and '-', and begin "
                    + "with a letter or digit.", exitCode: ExitCode.usage)
        }
    }

    /// A name that `isTaken` denies.
    static func makeUp(
        _ isTaken: (String) -> Bool, using generator: inout some RandomNumberGenerator
    ) -> String {
        for _ in 0..<8 {
            let name =
                manners.randomElement(using: &generator).unsafelyUnwrapped + "-"
                + birds.randomElement(using: &generator).unsafelyUnwrapped
            if !isTaken(name) { return name }
        }
        while true {
            let name =
                birds.randomElement(using: &generator).unsafelyUnwrapped
                + "-\(UInt32.random(in: 1000...UInt32.max, using: &generator))"
            if !isTaken(name) { return name }
        }
    }

    private static let manners = [
        "able", "agile", "brave", "bright", "brisk", "calm", "clever", "cosy", "deft", "eager",
        "early", "fair", "fast", "fine", "fleet", "gentle", "glad", "keen", "kind", "light",
        "lively", "merry", "nimble", "proud", "quick", "quiet", "ready", "sharp", "steady", "wise",
    ]
    private static let birds = [
        "avocet", "bunting", "crane", "curlew", "dipper", "dunlin", "egret", "falcon", "finch",
        "gannet", "heron", "hobby", "ibis", "jay", "kestrel", "kite", "lark", "linnet", "martin",
        "merlin", "osprey", "ouzel", "petrel", "pipit", "plover", "robin", "siskin", "stork",
        "swallow", "tern", "thrush", "wagtail", "warbler", "wren",
    ]
}
