// What `swiftlet inspect` knows of a Linux program: its system calls, and what becomes of them.

import FoundationEssentials
import SystemPackage

/// A description of a Linux program, for people and as JSON.
public struct ProgramInspection: Encodable, Sendable {
    public var path: String
    public var size: Int
    /// The first address as linked, and the one behind the last page.
    public var start: UInt64
    public var end: UInt64
    public var entry: UInt64
    public var isPositionIndependent: Bool
    /// Octets of the thunks.
    public var thunksSize: Int
    /// All places where it calls the kernel, in ascending order.
    public var sites: [SyscallSite]

    public init(_ rewritten: RewrittenProgram) {
        let program = rewritten.program
        path = program.path.string
        size = program.elf.bytes.count
        start = program.extent.lowerBound
        end = program.extent.upperBound
        entry = program.elf.entry
        isPositionIndependent = program.isPositionIndependent
        thunksSize = rewritten.thunksSize
        sites = rewritten.sites
    }

    /// Sites that still hold the instruction.
    public var left: [SyscallSite] { sites.filter { !$0.method.isRewritten } }

    /// The program in words.
    public var text: String {
        let byNumber = sites.count { $0.method == .number }
        var lines = [
            "\(path): a static Linux program, \(size) octets, at 0x\(hex(start)) to 0x\(hex(end))"
                + (isPositionIndependent ? ", position-independent" : ""),
            "\(sites.count) system calls: \(byNumber) rewritten with their numbers, "
                + "\(sites.count - byNumber - left.count) with their neighbours, \(left.count) left; "
                + "\(thunksSize) octets of thunks",
        ]
        if !left.isEmpty {
            lines.append("What is left works, and costs a fault in the built-in monitor.")
        }
        lines += ["", "address      number  found     rewritten        function"]
        for site in sites {
            lines.append(
                pad("0x" + hex(site.address), 13) + pad(site.number.map { "\($0)" } ?? "-", 8)
                    + pad(site.certainty.rawValue, 10) + pad(site.method.text, 17)
                    + (site.function ?? "-"))
        }
        return lines.joined(separator: "\n")
    }

    /// The program as JSON, keys sorted.
    public var json: String { Inspection.json(self) }

    private func hex(_ value: UInt64) -> String { String(value, radix: 16) }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}

extension ProgramInspection {
    /// The program in `image`, of which a copy as it was lies beside the image; nil if the image
    /// holds none. Throws if the copy is missing or another program.
    static func program(in image: Image) throws(ToolError) -> ProgramInspection? {
        guard image.programSegments != nil else { return nil }
        let rewritten = try RewrittenProgram(LinuxProgram(image.programPath))
        guard image.holds(rewritten) else {
            throw ToolError("'\(image.programPath)' is not the program in the image")
        }
        var inspection = ProgramInspection(rewritten)
        inspection.path = image.programPath.string
        return inspection
    }
}
