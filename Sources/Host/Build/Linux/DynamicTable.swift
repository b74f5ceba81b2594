// The dynamic table of a static PIE: relocations to itself, and flags (System V ABI, "Dynamic
// Section"; flags after the GNU linker's documentation).

import SwiftletBootProtocol

/// What the rewriter wants to know of a PT_DYNAMIC segment; all zero without one.
struct DynamicTable {
    /// How many shared libraries are named.
    private(set) var neededCount = 0
    /// Whether it says that it is an executable, and no library (DF_1_PIE).
    private(set) var isExecutable = false
    /// Addresses that relocations write somewhere, as linked.
    private(set) var relocatedAddresses: [UInt64] = []

    private static let needed: UInt64 = 1
    private static let relocations: UInt64 = 7
    private static let relocationsSize: UInt64 = 8
    private static let flags1: UInt64 = 0x6FFF_FFFB
    private static let pie: UInt64 = 0x0800_0000
    /// R_X86_64_RELATIVE and R_X86_64_IRELATIVE, whose addend is an address.
    private static let relativeTypes: Set<UInt32> = [8, 37]
    private static let relocationSize = 24

    init(_ elf: ELFFile) {
        guard let segment = elf.segments.first(where: { $0.type == ELFSegment.dynamic }) else {
            return
        }
        let span = elf.bytes.span.bytes
        var table: UInt64?
        var size: UInt64 = 0
        var at = Int(segment.offset)
        let end = at + Int(segment.fileSize)
        while at + 16 <= end {
            let tag = span.littleEndian64(at)
            let value = span.littleEndian64(at + 8)
            switch tag {
            case 0: at = end
            case Self.needed: neededCount += 1
            case Self.flags1: isExecutable = value & Self.pie != 0
            case Self.relocations: table = value
            case Self.relocationsSize: size = value
            default: break
            }
            at += 16
        }
        guard let table,
            let home = elf.segments.first(where: {
                $0.type == ELFSegment.load && table >= $0.address
                    && table - $0.address <= $0.fileSize
            })
        else { return }
        let room = home.fileSize - (table - home.address)
        let start = Int(home.offset + (table - home.address))
        for index in 0..<(Int(min(size, room)) / Self.relocationSize) {
            let entry = start + index * Self.relocationSize
            if Self.relativeTypes.contains(span.littleEndian32(entry + 8)) {
                relocatedAddresses.append(span.littleEndian64(entry + 16))
            }
        }
    }
}
