// Turns the `syscall` instructions of a program into jumps to thunks (Thunks.swift).
//
// A jump takes five octets, `syscall` two. The instruction before mostly sets the number and has
// five of its own, which the thunk repeats. Otherwise neighbours move into the thunk, those before
// the site first: then the call returns to where it would have returned, and who unwinds the stack
// finds a known place. Never is there a branch's target within what is replaced.

import SwiftletBootProtocol

/// A program whose system calls are jumps to thunks.
public struct RewrittenProgram: Sendable {
    public let program: LinuxProgram
    /// The program's file with jumps in it, and of the same size and layout.
    let bytes: [UInt8]
    /// All sites, in ascending order of their addresses.
    public let sites: [SyscallSite]
    /// Where the thunks lie, as linked: on pages of their own behind the program.
    let thunksAddress: UInt64
    /// The ranges of addresses that were replaced, each with its thunk's address.
    let windows: [(range: Range<UInt64>, thunk: UInt64)]
    private let thunks: [UInt8]

    /// Rewrites `program`, and checks the result.
    public init(_ program: LinuxProgram) throws(ToolError) {
        let symbols = program.elf.symbols()
        var rewriter = SyscallRewriter(program, symbols: symbols)
        rewriter.rewriteAll()
        self.program = program
        bytes = rewriter.bytes
        sites = rewriter.named(symbols)
        thunksAddress = rewriter.thunks.address
        thunks = rewriter.thunks.octets
        windows = rewriter.windows
        try RewriteCheck.check(self, against: rewriter.analysis)
    }

    /// How many sites still hold the instruction.
    public var unrewrittenCount: Int { sites.count { !$0.method.isRewritten } }

    /// Octets of the thunks' segment.
    var thunksSize: Int { thunks.count }

    /// The thunks' segment, which enters the library OS at `entry`.
    func thunks(entering entry: UInt64) -> [UInt8] {
        var octets = thunks
        var cell: [UInt8] = []
        cell.append(littleEndian: entry)
        octets.replaceSubrange(0..<8, with: cell)
        return octets
    }
}

/// The rewriting of one program.
struct SyscallRewriter {
    /// Octets of `jmp` with a displacement of 32 bits.
    static let jumpSize = 5
    /// What fills the rest of a replaced range: `int3`.
    static let filler: UInt8 = 0xCC
    /// Neighbours are looked for this far, in octets.
    private static let reach = 64
    /// Greater numbers are none of Linux's.
    private static let numberLimit: UInt32 = 1024

    let program: LinuxProgram
    let analysis: CodeAnalysis
    private(set) var bytes: [UInt8]
    private(set) var thunks: Thunks
    private(set) var windows: [(range: Range<UInt64>, thunk: UInt64)] = []
    private var outcomes: [(method: SyscallSite.Method, number: Int?)] = []
    /// The end of the last replaced range.
    private var taken = 0

    init(_ program: LinuxProgram, symbols: [ELFSymbol]) {
        self.program = program
        analysis = CodeAnalysis(program, symbols: symbols)
        bytes = program.elf.bytes
        thunks = Thunks(address: program.extent.upperBound)
    }

    mutating func rewriteAll() {
        for site in analysis.sites { outcomes.append(rewrite(site)) }
    }

    /// The sites with the names of the functions that they lie in.
    func named(_ symbols: [ELFSymbol]) -> [SyscallSite] {
        let functions = symbols.filter { !$0.isData }.sorted { $0.address < $1.address }
        var next = 0
        return zip(analysis.sites, outcomes).map { site, outcome in
            let address = analysis.address(site.index)
            while next < functions.count, functions[next].address <= address { next += 1 }
            let function = next > 0 ? functions[next - 1] : nil
            let isInside = function.map {
                $0.size == 0 || address - $0.address < $0.size
            }
            let certainty: SyscallSite.Certainty =
                switch site.certainty {
                case .function: .certain
                case .straight: .likely
                case .doubtful: .doubtful
                }
            return SyscallSite(
                address: address, number: outcome.number,
                function: isInside ?? false ? function?.name : nil, certainty: certainty,
                method: outcome.method)
        }
    }

    private mutating func rewrite(_ site: CodeAnalysis.Site) -> (SyscallSite.Method, Int?) {
        guard !site.isLegacy else {
            return (.left(reason: "a system call of 32-bit programs"), nil)
        }
        let before = previous(site.index, in: stretch(site))
        let number = before.flatMap { self.number(set: $0..<site.index) }
        guard analysis.isComplete else {
            return (.left(reason: "there is too much of what looks like jump tables"), number)
        }
        if let before, site.index - before == Self.jumpSize, let number,
            number < Int(Self.numberLimit), before >= taken
        {
            let window = Window(start: before, site: site.index, end: site.index + 2)
            if replace(window) { return (.number, number) }
        }
        guard site.certainty != .doubtful else {
            return (.left(reason: "octets around it are no instructions"), number)
        }
        let candidates = windows(around: site)
        for window in candidates.list {
            guard replace(window) else { continue }
            let counts = (count(window.start, window.site), count(window.site + 2, window.end))
            return (.neighbours(before: counts.0, after: counts.1), number)
        }
        return (.left(reason: candidates.reason), number)
    }

    private func stretch(_ site: CodeAnalysis.Site) -> CodeMap.Stretch {
        analysis.map.stretches[site.stretch]
    }

    /// Where the instruction begins that ends at `index`.
    private func previous(_ index: Int, in stretch: CodeMap.Stretch) -> Int? {
        for size in 1...Instruction.longest where index - size >= stretch.range.lowerBound {
            guard analysis.boundaries.contains(index - size) else { continue }
            let instruction = analysis.instruction(at: index - size, before: index)
            return instruction?.length == size ? index - size : nil
        }
        return nil
    }

    private func count(_ from: Int, _ to: Int) -> Int {
        (from..<to).count { analysis.boundaries.contains($0) }
    }

    /// The number that an instruction puts into eax, if it does nothing else.
    private func number(set range: Range<Int>) -> Int? {
        let from = analysis.offset(range.lowerBound)
        let code = program.elf.bytes[from..<(from + range.count)]
        func word(_ at: Int) -> Int {
            Int(program.elf.bytes.span.bytes.littleEndian32(from + at))
        }
        if code.count == 5, code.first == 0xB8 { return word(1) }
        if code.starts(with: [0x48, 0xC7, 0xC0]) { return word(3) }
        return code.elementsEqual([0x31, 0xC0]) ? 0 : nil
    }

    /// What would be replaced: whole instructions, the site among them.
    private struct Window {
        var start: Int
        var site: Int
        var end: Int
    }

    /// Possible ranges, the best first; and why there is none.
    private func windows(
        around site: CodeAnalysis.Site
    ) -> (list: [Window], reason: String) {
        let stretch = stretch(site)
        guard !stretch.hasLandingPads else {
            return ([], "exceptions may land among its neighbours")
        }
        var starts = [site.index]
        var reason = "its neighbours cannot be moved"
        while let start = starts.last, site.index - start < Self.reach {
            guard !analysis.targets.contains(start) else {
                reason = "a branch leads to its neighbours"
                break
            }
            guard let before = previous(start, in: stretch), before >= taken,
                let instruction = analysis.instruction(at: before, before: start),
                Self.canMove(instruction, isBefore: true)
            else { break }
            starts.append(before)
            if site.index + 2 - before >= Self.jumpSize { break }
        }
        var ends = [site.index + 2]
        while let end = ends.last, end - site.index < Self.jumpSize {
            guard end < stretch.range.upperBound, !analysis.targets.contains(end) else {
                if end < stretch.range.upperBound { reason = "a branch leads to its neighbours" }
                break
            }
            guard analysis.boundaries.contains(end),
                let instruction = analysis.instruction(at: end, before: stretch.range.upperBound),
                Self.canMove(instruction, isBefore: false)
            else { break }
            ends.append(end + instruction.length)
        }
        var list: [Window] = []
        // Nothing after the site if that is enough; otherwise as little as will do.
        for end in ends {
            for start in starts where end - start >= Self.jumpSize {
                list.append(Window(start: start, site: site.index, end: end))
                break
            }
        }
        return (list, reason)
    }

    /// Whether an instruction does the same elsewhere, once its displacement is put right.
    private static func canMove(_ instruction: Instruction, isBefore: Bool) -> Bool {
        guard !instruction.hasShortAddress else { return false }
        switch instruction.flow {
        case .next, .conditional: return true
        case .jump, .return, .indirectJump: return !isBefore
        case .special, .call, .indirectCall, .syscall, .legacySystemCall: return false
        }
    }

    /// Writes the thunk and the jump; false, and nothing is changed, if a branch leads into the range
    /// or a distance is too great.
    private mutating func replace(_ window: Window) -> Bool {
        guard !((window.start + 1)..<window.end).contains(where: analysis.targets.contains) else {
            return false
        }
        let thunk = thunks.end
        let start = analysis.address(window.start)
        let end = start + UInt64(window.end - window.start)
        let hasRest = window.end > window.site + 2
        guard move(window.start..<window.site),
            thunks.enter(returningTo: hasRest ? nil : end),
            !hasRest || (move((window.site + 2)..<window.end) && thunks.jump(to: end)),
            let distance = Thunks.distance(from: start + UInt64(Self.jumpSize), to: thunk)
        else {
            thunks.cut(to: thunk)
            return false
        }
        var code: [UInt8] = [0xE9]
        code.append(littleEndian: distance)
        while code.count < window.end - window.start { code.append(Self.filler) }
        let offset = analysis.offset(window.start)
        bytes.replaceSubrange(offset..<(offset + code.count), with: code)
        windows.append((start..<end, thunk))
        taken = window.end
        return true
    }

    /// Repeats the instructions of a range in the thunk.
    private mutating func move(_ range: Range<Int>) -> Bool {
        var at = range.lowerBound
        while at < range.upperBound {
            guard let instruction = analysis.instruction(at: at, before: range.upperBound) else {
                return false
            }
            let address = analysis.address(at)
            let from = analysis.offset(at)
            let octets = program.elf.bytes[from..<(from + instruction.length)]
            at += instruction.length
            let end = address &+ UInt64(instruction.length)
            switch instruction.flow {
            case .jump(let distance):
                guard thunks.jump(to: end &+ UInt64(bitPattern: Int64(distance))) else {
                    return false
                }
            case .conditional(let distance):
                let condition = UInt8(instruction.opcode & 0x0F)
                guard thunks.jump(if: condition, to: end &+ UInt64(bitPattern: Int64(distance)))
                else { return false }
            default:
                guard let place = instruction.relativeOperand else {
                    thunks.append(octets)
                    continue
                }
                guard thunks.append(octets, operandAt: place, original: address) else {
                    return false
                }
            }
        }
        return true
    }
}
