// What the reader must know of the machine that measured.

import Foundation

enum Host {
    static func description(of bench: Bench) -> [String: String] {
        var description: [String: String] = [:]
        let processors = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let model = processors.split(separator: "\n").first { $0.hasPrefix("model name") }
        description["processor"] =
            "\(ProcessInfo.processInfo.activeProcessorCount) × "
            + (model?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces) ?? "unknown")
        description["kernel"] = try? Command.run(["uname", "-sr"])
            .trimmingCharacters(in: .whitespacesAndNewlines)
        description["monitor"] =
            ((try? Command.run(["qemu-system-x86_64", "--version"]))?
                .split(separator: "\n").first.map(String.init) ?? "no QEMU")
            + ", microvm, TCG, -cpu max"
        description["placement"] =
            Bench.pins.map {
                "machine on processor \($0.machine), client on processor \($0.client)"
            } ?? "one processor for machine and client"
        if case .success(let linux) = bench.linux {
            description["Linux machine"] = linux.versions.joined(separator: ", ")
        }
        return description
    }
}
