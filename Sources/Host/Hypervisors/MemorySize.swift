// Sizes of memory as people write them: 64M, 512K, 1G.

import SwiftletBuild

/// An amount of memory.
public enum MemorySize {
    /// The most that a machine gets: QEMU's microvm keeps it below the hole for devices.
    public static let maximum = 1 << 40

    /// Reads a number with K, M or G (each also with B or iB); a bare number means mebibytes, as
    /// with QEMU.
    public static func parse(_ text: String) throws(ToolError) -> Int {
        let reject = ToolError(
            "-m \(text): that is no size", hint: "Write for example -m 64M, 512K or 1G.",
            exitCode: ExitCode.usage)
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).lowercased()
        guard let number = Int(digits) else { throw reject }
        let shift: Int
        switch unit {
        case "k", "kb", "kib": shift = 10
        case "", "m", "mb", "mib": shift = 20
        case "g", "gb", "gib": shift = 30
        default: throw reject
        }
        guard number > 0, number <= maximum >> shift else { throw reject }
        return number << shift
    }

    /// As people write it, in the largest unit that divides it.
    public static func text(_ octets: Int) -> String {
        if octets % (1 << 30) == 0 { return "\(octets >> 30) GiB" }
        if octets % (1 << 20) == 0 { return "\(octets >> 20) MiB" }
        return "\((octets + 1023) / 1024) KiB"
    }
}
