// All instructions of a program, and every place that a branch may lead to.
//
// Decoding begins wherever a symbol or the unwind table says that a function does, and goes on
// straight; where octets are no instruction it goes on with the next octet, and at the next beginning
// it is certain again. What cannot be known is guessed on the safe side: whatever looks like the
// address of code in data, in an operand or in a jump table counts as a branch's target.

import SwiftletBootProtocol

/// The instructions and the branch targets of a program. Octets have `CodeMap`'s numbers.
struct CodeAnalysis {
    /// How far the place of an instruction can be trusted.
    enum Certainty: Equatable {
        /// In a function that decodes as a whole, from its beginning exactly to its end.
        case function
        /// Reached by decoding straight on from the last certain place, without a fault.
        case straight
        /// Somewhere around it are octets that are no instruction.
        case doubtful
    }

    /// A `syscall` instruction, or one of its kind.
    struct Site: Equatable {
        var index: Int
        var stretch: Int
        var certainty: Certainty
        /// INT 80h or SYSENTER.
        var isLegacy: Bool
    }

    let map: CodeMap
    /// Where instructions begin.
    private(set) var boundaries: Bitmap
    /// Where branches may lead.
    private(set) var targets: Bitmap
    /// Direct branches' targets alone.
    private(set) var directTargets: Bitmap
    private(set) var sites: [Site] = []

    private let elf: ELFFile
    private let segments: [ELFSegment]
    private var tables: Set<UInt64> = []
    /// Entries of jump tables that may still be looked at: a file cannot make this take forever.
    private var tableBudget: Int

    init(_ program: LinuxProgram, symbols: [ELFSymbol]) {
        self.init(
            program.elf, segments: program.segments,
            map: CodeMap(program.elf, segments: program.segments, symbols: symbols))
    }

    /// The analysis of a file that has the same layout as the one that `map` was made of.
    init(_ elf: ELFFile, segments: [ELFSegment], map: CodeMap) {
        self.elf = elf
        self.segments = segments
        self.map = map
        boundaries = Bitmap(count: map.count)
        targets = Bitmap(count: map.count)
        directTargets = Bitmap(count: map.count)
        tableBudget = max(elf.bytes.count, 1 << 16)
        for start in map.starts { targets.insert(start) }
        decode()
        scanPointers()
        for address in DynamicTable(elf).relocatedAddresses { noteTarget(address) }
    }

    /// False if there was too much of what looks like jump tables to look at all.
    var isComplete: Bool { tableBudget > 0 }

    /// The address of an octet.
    func address(_ index: Int) -> UInt64 {
        let region = map.region(of: index)
        return region.addresses.lowerBound + UInt64(index - region.base)
    }

    /// Where an octet stands in the file.
    func offset(_ index: Int) -> Int {
        let region = map.region(of: index)
        return region.offset + (index - region.base)
    }

    /// The instruction at `index`, if it ends before `end`.
    func instruction(at index: Int, before end: Int) -> Instruction? {
        guard index < end else { return nil }
        let from = offset(index)
        let code = elf.bytes.span.bytes.extracting(from..<(from + (end - index)))
        return Instruction(code, at: 0)
    }

    private mutating func decode() {
        var straddles = false
        for (number, stretch) in map.stretches.enumerated() where stretch.kind != .data {
            let first = sites.count
            let end = decode(stretch, number: number)
            // Where an instruction reaches over a beginning, one of the two is wrong.
            let certainty: Certainty =
                end != .clean || straddles
                ? .doubtful : stretch.kind == .function ? .function : .straight
            straddles = end == .straddling
            for index in first..<sites.count { sites[index].certainty = certainty }
        }
    }

    /// How the decoding of a stretch went.
    private enum Ending {
        case clean
        /// Something in it is no instruction.
        case faulty
        /// The last instruction goes on behind its end.
        case straddling
    }

    /// Decodes one stretch.
    private mutating func decode(_ stretch: CodeMap.Stretch, number: Int) -> Ending {
        let region = map.region(of: stretch.range.lowerBound)
        let before = stretch.range.lowerBound - region.base
        let start = region.offset + before
        let bytes = elf.bytes
        let rest = bytes.span.bytes.extracting(start..<(region.offset + region.count))
        let code = rest.extracting(0..<stretch.range.count)
        let firstAddress = region.addresses.lowerBound + UInt64(before)
        var ending = Ending.clean
        var at = 0
        while at < code.byteCount {
            guard let instruction = Instruction(code, at: at) else {
                ending = Instruction(rest, at: at) != nil ? .straddling : .faulty
                at += 1
                continue
            }
            let index = stretch.range.lowerBound + at
            boundaries.insert(index)
            switch instruction.flow {
            case .syscall, .legacySystemCall:
                sites.append(
                    Site(
                        index: index, stretch: number, certainty: .doubtful,
                        isLegacy: instruction.flow == .legacySystemCall))
            default: break
            }
            note(instruction, code, at: at, address: firstAddress + UInt64(at))
            at += instruction.length
        }
        return ending
    }

    /// Takes down what an instruction refers to.
    private mutating func note(
        _ instruction: Instruction, _ code: RawSpan, at: Int, address: UInt64
    ) {
        let end = address &+ UInt64(instruction.length)
        if let distance = instruction.flow.displacement {
            if let target = map.index(of: end &+ UInt64(bitPattern: Int64(distance))) {
                targets.insert(target)
                directTargets.insert(target)
            }
            return
        }
        if let place = instruction.relativeOperand {
            let distance = Int32(bitPattern: code.littleEndian32(at + place))
            let loadAddress = 0x8D
            noteReference(
                end &+ UInt64(bitPattern: Int64(distance)),
                mayBeTable: instruction.opcode == loadAddress)
        }
        switch instruction.immediate.count {
        case 4:
            noteReference(
                UInt64(code.littleEndian32(at + instruction.immediate.lowerBound)),
                mayBeTable: true)
        case 8:
            noteReference(
                code.littleEndian64(at + instruction.immediate.lowerBound), mayBeTable: true)
        default: break
        }
    }

    private mutating func noteReference(_ address: UInt64, mayBeTable: Bool) {
        if let index = map.index(of: address) {
            targets.insert(index)
        } else if mayBeTable {
            scanTable(address)
        }
    }

    private mutating func noteTarget(_ address: UInt64) {
        if let index = map.index(of: address) { targets.insert(index) }
    }

    /// A jump table of position-independent code: distances of 32 bits from its own beginning.
    private mutating func scanTable(_ address: UInt64) {
        guard let segment = segments.last(where: { $0.address <= address }),
            address - segment.address < segment.fileSize, tables.insert(address).inserted
        else { return }
        let bytes = elf.bytes
        let span = bytes.span.bytes
        var at = Int(segment.offset + (address - segment.address))
        let end = Int(segment.offset + segment.fileSize)
        while at + 4 <= end, tableBudget > 0 {
            let distance = Int32(bitPattern: span.littleEndian32(at))
            guard let index = map.index(of: address &+ UInt64(bitPattern: Int64(distance))) else {
                return
            }
            targets.insert(index)
            tableBudget -= 1
            at += 4
        }
    }

    /// Every aligned word of the file that is the address of code may be jumped through.
    private mutating func scanPointers() {
        guard let lowest = map.regions.first?.addresses.lowerBound,
            let highest = map.regions.last?.addresses.upperBound
        else { return }
        let bytes = elf.bytes
        let span = bytes.span.bytes
        for segment in segments {
            var at = Int(segment.offset + (8 - segment.address % 8) % 8)
            let end = Int(segment.offset + segment.fileSize)
            while at + 8 <= end {
                let value = span.littleEndian64(at)
                if value >= lowest && value < highest { noteTarget(value) }
                at += 8
            }
        }
    }
}
