// One x86-64 instruction: how long it is, where its parts lie, and where it leads (Intel SDM
// volume 2, chapter 2). Names and most operands do not matter here, and are not decoded.

import SwiftletBootProtocol

/// A decoded instruction. Offsets count from its first octet.
struct Instruction: Equatable {
    /// Where an instruction leads besides to the next one.
    enum Flow: Equatable {
        /// Nowhere else.
        case next
        /// By a displacement from the instruction's end, and not to the next.
        case jump(Int)
        /// By a displacement, or to the next.
        case conditional(Int)
        /// The same for LOOP, JRCXZ and XBEGIN, which have no longer form or other meaning.
        case special(Int)
        case call(Int)
        case indirectJump
        case indirectCall
        case `return`
        case syscall
        /// The system calls of 32-bit programs: INT 80h, SYSENTER.
        case legacySystemCall

        /// The displacement from the instruction's end of what it leads to directly.
        var displacement: Int? {
            switch self {
            case .jump(let distance), .conditional(let distance), .special(let distance),
                .call(let distance):
                distance
            default: nil
            }
        }
    }

    /// The longest instruction, in octets.
    static let longest = 15

    private(set) var length = 0
    private(set) var flow = Flow.next
    /// Where a displacement of 32 bits from the instruction's end stands, if an operand is addressed
    /// through RIP.
    private(set) var relativeOperand: Int?
    /// Where the immediate stands; empty without one. A branch's displacement counts as one.
    private(set) var immediate = 0..<0
    /// Opcodes of one octet, 0F ones from 0x100 on; -1 for all others.
    private(set) var opcode = -1

    private var hasOperandPrefix = false
    private var hasAddressPrefix = false
    private var repeatPrefix: UInt8 = 0
    private var isWide = false
    private var hasREX = false

    /// Decodes what stands at `start` of `code`; nil if that is no instruction, or cut short.
    @_optimize(speed)
    init?(_ code: RawSpan, at start: Int) {
        var reader = Reader(code: code, at: start)
        guard let letter = decodeOpcode(&reader), decodeOperands(letter, &reader) else {
            return nil
        }
        length = reader.count
        guard length <= Self.longest else { return nil }
    }

    /// Octets one after another; past the end come zeros, and `isWhole` turns false.
    private struct Reader: ~Escapable {
        let code: RawSpan
        let start: Int
        var at: Int
        var isWhole = true

        @_lifetime(copy code)
        init(code: RawSpan, at start: Int) {
            self.code = code
            self.start = start
            at = start
        }

        var count: Int { at &- start }

        @_lifetime(self: copy self)
        mutating func next() -> UInt8 {
            guard at < code.byteCount else {
                isWhole = false
                return 0
            }
            defer { at &+= 1 }
            return code.octet(at)
        }

        @_lifetime(self: copy self)
        mutating func skip(_ count: Int) {
            guard count <= code.byteCount &- at else {
                isWhole = false
                return
            }
            at &+= count
        }

        /// The number of `size` octets that ends here, sign-extended.
        func signed(_ size: Int) -> Int {
            size == 1
                ? Int(Int8(bitPattern: code.octet(at &- 1)))
                : Int(Int32(bitPattern: code.littleEndian32(at &- 4)))
        }
    }

    /// Prefixes and opcode; what follows them, as a letter of `OpcodeMaps`.
    private mutating func decodeOpcode(_ reader: inout Reader) -> UInt8? {
        while true {
            let octet = reader.next()
            switch octet {
            case 0x66: hasOperandPrefix = true
            case 0x67: hasAddressPrefix = true
            case 0xF2, 0xF3: repeatPrefix = octet
            case 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0xF0: break
            case 0x40...0x4F:
                // Only the last prefix before the opcode counts as REX.
                hasREX = true
                isWide = octet & 8 != 0
                if reader.count > Self.longest { return nil }
                continue
            case 0x0F: return decodeSecondary(&reader)
            case 0xC4, 0xC5: return decodeVEX(octet, &reader)
            case 0x62: return decodeEVEX(&reader)
            case 0x8F:
                // XOP where the register field of a ModRM, which is 0 for POP, is not.
                let next = reader.at < reader.code.byteCount ? reader.code.octet(reader.at) : 0
                if next & 0x1F >= 8 { return decodeXOP(&reader) }
                opcode = 0x8F
                return UInt8(ascii: "M")
            default:
                opcode = Int(octet)
                return OpcodeMaps.primary[Int(octet)]
            }
            hasREX = false
            isWide = false
            if reader.count > Self.longest { return nil }
        }
    }

    private mutating func decodeSecondary(_ reader: inout Reader) -> UInt8? {
        let octet = reader.next()
        switch octet {
        case 0x38:
            _ = reader.next()
            return UInt8(ascii: "M")
        case 0x3A:
            _ = reader.next()
            return UInt8(ascii: "B")
        case 0x78 where hasOperandPrefix || repeatPrefix == 0xF2:
            // EXTRQ and INSERTQ (AMD64 manual volume 4) have two immediates: one here.
            reader.skip(1)
            return UInt8(ascii: "B")
        default:
            opcode = 0x100 | Int(octet)
            return OpcodeMaps.secondary[Int(octet)]
        }
    }

    /// True if prefixes stand before a VEX, EVEX or XOP prefix that must not.
    private var hasWrongPrefix: Bool { hasOperandPrefix || repeatPrefix != 0 || hasREX }

    private mutating func decodeVEX(_ first: UInt8, _ reader: inout Reader) -> UInt8? {
        guard !hasWrongPrefix else { return nil }
        let map = first == 0xC5 ? 1 : reader.next() & 0x1F
        _ = reader.next()
        return Self.vectorLetter(map: map, opcode: reader.next(), isEVEX: false)
    }

    private mutating func decodeEVEX(_ reader: inout Reader) -> UInt8? {
        guard !hasWrongPrefix else { return nil }
        let first = reader.next()
        let second = reader.next()
        guard first & 8 == 0, second & 4 != 0 else { return nil }
        _ = reader.next()
        return Self.vectorLetter(map: first & 7, opcode: reader.next(), isEVEX: true)
    }

    private static func vectorLetter(map: UInt8, opcode: UInt8, isEVEX: Bool) -> UInt8? {
        switch map {
        case 1: OpcodeMaps.secondaryVector[Int(opcode)]
        case 2: UInt8(ascii: "M")
        case 3: UInt8(ascii: "B")
        case 5, 6: isEVEX ? UInt8(ascii: "M") : nil
        default: nil
        }
    }

    /// AMD64 manual volume 6, chapter 1.
    private mutating func decodeXOP(_ reader: inout Reader) -> UInt8? {
        guard !hasWrongPrefix else { return nil }
        let map = reader.next() & 0x1F
        reader.skip(2)
        switch map {
        case 8: return UInt8(ascii: "B")
        case 9: return UInt8(ascii: "M")
        case 10: return UInt8(ascii: "Z")
        default: return nil
        }
    }

    private mutating func decodeOperands(_ letter: UInt8, _ reader: inout Reader) -> Bool {
        var register: UInt8 = 0
        switch letter {
        case UInt8(ascii: "M"), UInt8(ascii: "B"), UInt8(ascii: "Z"), UInt8(ascii: "G"),
            UInt8(ascii: "H"):
            register = decodeModRM(&reader)
        case UInt8(ascii: "r"): reader.skip(1)
        case UInt8(ascii: "x"): return false
        default: break
        }
        let before = reader.count
        reader.skip(immediateSize(letter, register: register))
        guard reader.isWhole else { return false }
        immediate = before..<reader.count
        // Makers disagree about what an operand-size prefix does to a near branch.
        if letter == UInt8(ascii: "J") && hasOperandPrefix && !isWide { return false }
        classify(letter, register: register, reader)
        return true
    }

    private func immediateSize(_ letter: UInt8, register: UInt8) -> Int {
        let word = hasOperandPrefix && !isWide ? 2 : 4
        switch letter {
        case UInt8(ascii: "B"), UInt8(ascii: "b"), UInt8(ascii: "j"): return 1
        case UInt8(ascii: "Z"), UInt8(ascii: "z"): return word
        case UInt8(ascii: "w"): return 2
        case UInt8(ascii: "e"): return 3
        case UInt8(ascii: "v"): return isWide ? 8 : word
        case UInt8(ascii: "o"): return hasAddressPrefix ? 4 : 8
        case UInt8(ascii: "J"): return 4
        case UInt8(ascii: "G"): return register & 7 <= 1 ? 1 : 0
        case UInt8(ascii: "H"): return register & 7 <= 1 ? word : 0
        default: return 0
        }
    }

    /// ModRM, SIB and displacement; the register field.
    private mutating func decodeModRM(_ reader: inout Reader) -> UInt8 {
        let octet = reader.next()
        let mode = octet >> 6
        let base = octet & 7
        if mode == 3 { return octet >> 3 & 7 | 0x80 }
        var displacement = mode == 1 ? 1 : mode == 2 ? 4 : 0
        if base == 4 {
            if reader.next() & 7 == 5 && mode == 0 { displacement = 4 }
        } else if base == 5 && mode == 0 {
            displacement = 4
            relativeOperand = reader.count
        }
        reader.skip(displacement)
        return octet >> 3 & 7
    }

    private mutating func classify(_ letter: UInt8, register: UInt8, _ reader: borrowing Reader) {
        let field = register & 7
        switch opcode {
        case 0x70...0x7F: flow = .conditional(reader.signed(1))
        case 0x180...0x18F: flow = .conditional(reader.signed(4))
        case 0xE0...0xE3: flow = .special(reader.signed(1))
        case 0xC7 where field == 7 && !hasOperandPrefix: flow = .special(reader.signed(4))
        case 0xE8: flow = .call(reader.signed(4))
        case 0xE9: flow = .jump(reader.signed(4))
        case 0xEB: flow = .jump(reader.signed(1))
        case 0xFF where field == 2 || field == 3: flow = .indirectCall
        case 0xFF where field == 4 || field == 5: flow = .indirectJump
        case 0xC2, 0xC3, 0xCA, 0xCB, 0xCF: flow = .return
        case 0x105: flow = .syscall
        case 0x134: flow = .legacySystemCall
        case 0xCD where reader.signed(1) == -128: flow = .legacySystemCall
        default: break
        }
    }

    /// True if the address of a RIP-relative operand is of 32 bits, and so bound to its place.
    var hasShortAddress: Bool { hasAddressPrefix && relativeOperand != nil }
}
