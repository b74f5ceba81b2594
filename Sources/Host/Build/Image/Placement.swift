// Where in physical memory an image lies.
//
// As built, its physical addresses are its virtual ones, from 0x230000 on: that works under every
// firmware. A machine without a BIOS (microvm, Firecracker) leaves the low 640 KiB alone, and
// there a small image runs in half a megabyte; SeaBIOS clears that memory after QEMU has loaded
// the image. The guest's boot code works at both places, so the monitor chooses.

import SwiftletBootProtocol

/// A place for an image.
public enum Placement: Sendable {
    case asBuilt
    /// In the low 640 KiB.
    case low

    /// Virtual minus physical address in low memory: whole pages of 2 MiB.
    static let lowDistance: UInt64 = 0x20_0000
    /// The end of low memory that is RAM on every machine.
    static let lowEnd: UInt64 = 0x9_F000

    /// What the guest needs beyond its image: page tables, stack, queues, a small heap.
    static let room: UInt64 = 96 << 10
}

extension Image {
    /// The best place on a machine with or without a BIOS.
    public func placement(hasBIOS: Bool) -> Placement {
        !hasBIOS && header.imageEnd - Placement.lowDistance <= Placement.lowEnd ? .low : .asBuilt
    }

    /// The least memory, in octets, of a machine that can start this image at `placement`.
    public func requiredMemory(_ placement: Placement) -> Int {
        let end = header.imageEnd - (placement == .low ? Placement.lowDistance : 0)
        let granule: UInt64 = 16 << 10
        return Int((end + Placement.room + granule - 1) / granule * granule)
    }

    /// The image's octets for `placement`: other physical addresses in segments, PVH entry and
    /// header. Throws if the image was moved already, or does not fit there.
    public func placed(_ placement: Placement) throws(ToolError) -> [UInt8] {
        guard placement == .low else { return elf.bytes }
        guard header.imageEnd - Placement.lowDistance <= Placement.lowEnd,
            header.physicalBase == segments[0].address
        else {
            throw ToolError("'\(path)' does not fit into low memory")
        }
        var image = elf.bytes
        let distance = Placement.lowDistance
        for (index, segment) in elf.segments.enumerated() {
            guard segment.physicalAddress >= distance else {
                throw ToolError("'\(path)': segment \(index) is not where it was linked for")
            }
            let field = elf.segmentTable + index * ELFSegment.size + ELFSegment.physicalAddressField
            image.store(segment.physicalAddress - distance, at: field, size: 8)
        }
        for note in elf.notes() where note.isPVHEntry {
            guard let entry = note.number, entry >= distance else {
                throw ToolError("'\(path)': its PVH entry lies outside the image")
            }
            image.store(entry - distance, at: note.offset, size: note.contents.count)
        }
        var header = self.header
        header.physicalBase -= distance
        image.replaceSubrange(headerOffset..<(headerOffset + ImageHeader.size), with: header.octets)
        return image
    }
}

extension [UInt8] {
    /// Overwrites `size` octets with a number, the lowest octet first.
    fileprivate mutating func store(_ value: UInt64, at offset: Int, size: Int) {
        for index in 0..<size {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
        }
    }
}
