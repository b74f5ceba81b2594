// Where functions begin and end, from .eh_frame (DWARF 5 §6.4.1, with the changes of the Linux
// Standard Base, Core §10.6): stripped programs have it too. What cannot be read is left out.

import SwiftletBootProtocol

/// Reads .eh_frame.
struct UnwindTable {
    /// One function, or a part of one.
    struct Entry: Equatable {
        var start: UInt64
        var end: UInt64
        /// Whether exceptions land in it, at places that no branch names.
        var hasLandingPads: Bool
    }

    /// What an entry needs of the common information that it points to.
    private struct Common {
        var addressEncoding: UInt8 = 0
        var handlerEncoding: UInt8 = 0xFF
        var hasAugmentationData = false
        /// Of code that a signal's handler returns to. Such an entry begins an octet before its
        /// function does, for the sake of unwinders, which look up the address before the one that
        /// is returned to.
        var isSignalFrame = false
    }

    /// The entries of the table in `elf`; empty if it has none.
    static func entries(_ elf: ELFFile) -> [Entry] {
        guard let section = place(elf) else { return [] }
        return UnwindTable(section: section).entries(elf.bytes.span.bytes)
    }

    /// Where the table lies in the file and in memory.
    private let section: (range: Range<Int>, address: UInt64)

    /// By the section's name, or through PT_GNU_EH_FRAME where sections were stripped as well.
    private static func place(_ elf: ELFFile) -> (range: Range<Int>, address: UInt64)? {
        if let section = elf.section(".eh_frame"), section.hasContents {
            let start = Int(section.offset)
            return (start..<(start + Int(section.fileSize)), section.address)
        }
        let headerType: UInt32 = 0x6474_E550
        let span = elf.bytes.span.bytes
        // Version 1; the table's address as 32 bits from where they stand (DW_EH_PE_pcrel|sdata4).
        guard let header = elf.segments.first(where: { $0.type == headerType }),
            header.fileSize >= 8, span.octet(Int(header.offset)) == 1,
            span.octet(Int(header.offset) + 1) == 0x1B
        else { return nil }
        let distance = Int32(bitPattern: span.littleEndian32(Int(header.offset) + 4))
        let address = header.address &+ 4 &+ UInt64(bitPattern: Int64(distance))
        guard
            let home = elf.segments.first(where: {
                $0.type == ELFSegment.load && address >= $0.address
                    && address - $0.address < $0.fileSize
            })
        else { return nil }
        let start = Int(home.offset + (address - home.address))
        return (start..<Int(home.offset + home.fileSize), address)
    }

    private func entries(_ span: RawSpan) -> [Entry] {
        var entries: [Entry] = []
        var commons: [Int: Common] = [:]
        var at = section.range.lowerBound
        while at + 8 <= section.range.upperBound {
            let length = Int(span.littleEndian32(at))
            // 0 ends the table; all ones announces 64 bits, which nobody emits.
            guard length >= 4, length < 0xFFFF_FFF0, length <= section.range.upperBound - at - 4
            else { break }
            let record = (at + 4)..<(at + 4 + length)
            let pointer = Int(span.littleEndian32(at + 4))
            if pointer == 0 {
                commons[at] = common(span, record)
            } else if let common = commons[at + 4 - pointer], !common.isSignalFrame,
                let entry = entry(span, record, common)
            {
                entries.append(entry)
            }
            at = record.upperBound
        }
        return entries
    }

    private func common(_ span: RawSpan, _ record: Range<Int>) -> Common? {
        var common = Common()
        var cursor = Cursor(at: record.lowerBound + 5, end: record.upperBound)
        var augmentation: [UInt8] = []
        while let octet = cursor.octet(span), octet != 0 { augmentation.append(octet) }
        cursor.skipLEB128(span)
        cursor.skipLEB128(span)
        cursor.skipLEB128(span)
        guard augmentation.first == UInt8(ascii: "z") else {
            return augmentation.isEmpty ? common : nil
        }
        common.hasAugmentationData = true
        cursor.skipLEB128(span)
        for letter in augmentation.dropFirst() {
            switch letter {
            case UInt8(ascii: "R"): common.addressEncoding = cursor.octet(span) ?? 0xFF
            case UInt8(ascii: "L"): common.handlerEncoding = cursor.octet(span) ?? 0xFF
            case UInt8(ascii: "P"):
                guard let encoding = cursor.octet(span), let size = Self.size(encoding) else {
                    return nil
                }
                cursor.at += size
            case UInt8(ascii: "S"): common.isSignalFrame = true
            case UInt8(ascii: "B"): break
            default: return nil
            }
        }
        return common
    }

    private func entry(_ span: RawSpan, _ record: Range<Int>, _ common: Common) -> Entry? {
        var cursor = Cursor(at: record.lowerBound + 4, end: record.upperBound)
        guard let start = value(span, &cursor, common.addressEncoding),
            let size = value(span, &cursor, common.addressEncoding & 0x0F), size > 0
        else { return nil }
        let (end, overflow) = start.addingReportingOverflow(size)
        guard !overflow else { return nil }
        var hasLandingPads = false
        if common.hasAugmentationData && common.handlerEncoding != 0xFF {
            cursor.skipLEB128(span)
            let before = cursor.at
            // No handler is the number 0, before it is taken relative to its place.
            if let size = Self.size(common.handlerEncoding), size <= record.upperBound - before {
                hasLandingPads = (before..<(before + size)).contains { span.octet($0) != 0 }
            }
        }
        return Entry(start: start, end: end, hasLandingPads: hasLandingPads)
    }

    /// An address as `encoding` says (DW_EH_PE_…): absolute, or relative to its place.
    private func value(_ span: RawSpan, _ cursor: inout Cursor, _ encoding: UInt8) -> UInt64? {
        guard encoding & 0x80 == 0, let size = Self.size(encoding),
            size <= cursor.end - cursor.at
        else { return nil }
        let place = cursor.at
        cursor.at += size
        let isSigned = encoding & 8 != 0
        let raw: UInt64
        switch size {
        case 2:
            let half = span.littleEndian16(place)
            raw = isSigned ? UInt64(bitPattern: Int64(Int16(bitPattern: half))) : UInt64(half)
        case 4:
            let word = span.littleEndian32(place)
            raw = isSigned ? UInt64(bitPattern: Int64(Int32(bitPattern: word))) : UInt64(word)
        default: raw = span.littleEndian64(place)
        }
        switch encoding & 0x70 {
        case 0x00: return raw
        case 0x10: return raw &+ section.address &+ UInt64(place - section.range.lowerBound)
        default: return nil
        }
    }

    private static func size(_ encoding: UInt8) -> Int? {
        guard encoding != 0xFF else { return nil }
        switch encoding & 7 {
        case 0, 4: return 8
        case 2: return 2
        case 3: return 4
        default: return nil
        }
    }

    /// A place in the table that never leaves its record.
    private struct Cursor {
        var at: Int
        var end: Int

        mutating func octet(_ span: RawSpan) -> UInt8? {
            guard at < end else { return nil }
            defer { at += 1 }
            return span.octet(at)
        }

        mutating func skipLEB128(_ span: RawSpan) {
            while let octet = octet(span), octet & 0x80 != 0 {}
        }
    }
}
