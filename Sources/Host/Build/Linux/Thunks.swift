// The code that `syscall` instructions are replaced by jumps to.
//
// A thunk does what the instruction's neighbours did that had to make room for the jump, puts the
// address to return to into rcx, as the instruction itself would, and jumps through the cell: eight
// octets at the segment's beginning, which hold the address of the library OS's entry. The stack is
// not touched: there may be live data below its pointer.

import SwiftletBootProtocol

/// The thunk segment as it grows. Addresses are as linked.
struct Thunks {
    /// Octets of the cell, and of what aligns the thunks behind it.
    static let headerSize = 16

    /// The segment's first address.
    let address: UInt64
    private(set) var octets: [UInt8]

    init(address: UInt64) {
        self.address = address
        octets = [UInt8](repeating: 0, count: 8) + [UInt8](repeating: 0xCC, count: 8)
    }

    /// Where the next octet will lie.
    var end: UInt64 { address + UInt64(octets.count) }

    /// Forgets what was written from `end` on.
    mutating func cut(to end: UInt64) {
        octets.removeLast(Int(self.end - end))
    }

    mutating func append(_ more: some Sequence<UInt8>) { octets += more }

    /// `jmp target`; false if that is too far.
    mutating func jump(to target: UInt64) -> Bool {
        guard let distance = Self.distance(from: end + 5, to: target) else { return false }
        octets.append(0xE9)
        octets.append(littleEndian: distance)
        return true
    }

    /// The conditional jump of this condition (the opcode's low four bits); false if it is too far.
    mutating func jump(if condition: UInt8, to target: UInt64) -> Bool {
        guard let distance = Self.distance(from: end + 6, to: target) else { return false }
        octets += [0x0F, 0x80 | condition]
        octets.append(littleEndian: distance)
        return true
    }

    /// An instruction's octets, with the displacement at `place` changed so that an operand
    /// addressed through RIP is the same as at `original`; false if it is too far.
    mutating func append(
        _ instruction: ArraySlice<UInt8>, operandAt place: Int, original: UInt64
    ) -> Bool {
        var copy = Array(instruction)
        let old = copy[place..<(place + 4)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let size = UInt64(copy.count)
        let target = original &+ size &+ UInt64(bitPattern: Int64(Int32(bitPattern: old)))
        guard let distance = Self.distance(from: end + size, to: target) else { return false }
        for index in 0..<4 {
            copy[place + index] = UInt8(truncatingIfNeeded: distance >> Int32(8 * index))
        }
        octets += copy
        return true
    }

    /// `lea target(%rip), %rcx; jmp *cell(%rip)`. Nil stands for the address behind the two.
    mutating func enter(returningTo target: UInt64?) -> Bool {
        let size: UInt64 = 13
        guard let distance = Self.distance(from: end + 7, to: target ?? end + size),
            let cell = Self.distance(from: end + size, to: address)
        else { return false }
        octets += [0x48, 0x8D, 0x0D]
        octets.append(littleEndian: distance)
        octets += [0xFF, 0x25]
        octets.append(littleEndian: cell)
        return true
    }

    /// The displacement of 32 bits that leads from one address to another; nil if there is none.
    static func distance(from: UInt64, to: UInt64) -> Int32? {
        Int32(exactly: Int64(bitPattern: to &- from))
    }
}
