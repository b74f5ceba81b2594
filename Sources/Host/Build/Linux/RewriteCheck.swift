// Looks at a rewritten program with new eyes: nothing changed but what should have, and no branch
// leads into what was replaced.

import SwiftletBootProtocol

/// The check that every rewritten program passes before it is used.
enum RewriteCheck {
    /// Throws if `rewritten` differs from the program that `analysis` is of in any other way than its
    /// sites say. That would be a fault of the rewriter.
    static func check(
        _ rewritten: RewrittenProgram, against analysis: CodeAnalysis
    ) throws(ToolError) {
        func fault(_ what: String, _ address: UInt64) -> ToolError {
            ToolError(
                "'\(rewritten.program.path)' was not rewritten well: \(what) at 0x"
                    + String(address, radix: 16),
                hint: "This is a fault of Swiftlet's: please report it with the program.")
        }
        if let difference = firstDifference(rewritten) {
            throw fault("an octet outside of all sites has changed", difference)
        }
        let elf: ELFFile
        do {
            elf = try ELFFile(rewritten.bytes)
        } catch {
            throw fault("its headers have changed", 0)
        }
        let thunks = rewritten.thunks(entering: 0)
        for (range, thunk) in rewritten.windows {
            guard let start = analysis.map.index(of: range.lowerBound) else {
                throw fault("a site outside of the code", range.lowerBound)
            }
            let end = start + range.count
            for index in (start + 1)..<end where analysis.targets.contains(index) {
                throw fault("a branch leads into a replaced range", analysis.address(index))
            }
            guard let offset = rewritten.program.offset(of: range.lowerBound),
                let jump = Instruction(elf.bytes.span.bytes, at: offset),
                case .jump(let distance) = jump.flow,
                range.lowerBound &+ UInt64(jump.length) &+ UInt64(bitPattern: Int64(distance))
                    == thunk,
                elf.bytes[(offset + jump.length)..<(offset + range.count)]
                    .allSatisfy({ $0 == SyscallRewriter.filler })
            else { throw fault("a jump that does not lead to its thunk", range.lowerBound) }
            guard thunk >= rewritten.thunksAddress,
                reachesEntry(thunks, from: Int(thunk - rewritten.thunksAddress))
            else {
                throw fault("a thunk that does not enter the library OS", thunk)
            }
        }
        // Decoded anew, the program has the branches that it had, and no system call but those left.
        let now = CodeAnalysis(elf, segments: rewritten.program.segments, map: analysis.map)
        let left = rewritten.sites.filter { !$0.method.isRewritten }.map(\.address)
        let found = now.sites.map { now.address($0.index) }
        guard found == left else {
            throw fault("a system call", zip(found, left).first { $0 != $1 }?.0 ?? found.last ?? 0)
        }
    }

    /// The address of the first octet outside of the replaced ranges that is not as it was.
    private static func firstDifference(_ rewritten: RewrittenProgram) -> UInt64? {
        let before = rewritten.program.elf.bytes
        let after = rewritten.bytes
        guard before.count == after.count else { return UInt64(min(before.count, after.count)) }
        var replaced: [(offset: Int, range: Range<UInt64>)] = []
        for (range, _) in rewritten.windows {
            guard let offset = rewritten.program.offset(of: range.lowerBound) else {
                return range.lowerBound
            }
            replaced.append((offset, range))
        }
        // Segments may stand in the file in another order than in memory.
        replaced.sort { $0.offset < $1.offset }
        var at = 0
        for (offset, range) in replaced {
            guard offset >= at, before[at..<offset] == after[at..<offset] else {
                return range.lowerBound
            }
            at = offset + range.count
        }
        return before[at...] == after[at...] ? nil : UInt64(at)
    }

    /// Whether the thunk at `start` of all thunks' octets comes, instruction by instruction, to its
    /// jump through the cell, having put an address into rcx just before.
    private static func reachesEntry(_ octets: [UInt8], from start: Int) -> Bool {
        let span = octets.span.bytes
        var at = start
        var isReturnSet = false
        while let instruction = Instruction(span, at: at) {
            let end = at + instruction.length
            switch instruction.flow {
            case .indirectJump:
                return isReturnSet && octets[at] == 0xFF && octets[at + 1] == 0x25
                    && end + Int(Int32(bitPattern: span.littleEndian32(at + 2))) == 0
            case .next, .conditional: break
            default: return false
            }
            isReturnSet = octets[at..<end].starts(with: [0x48, 0x8D, 0x0D])
            at = end
        }
        return false
    }
}
