// An image as a test spoils it: an ELF header with the segments that a guest has.

import SwiftletBootProtocol

@testable import SwiftletMonitor

/// An ELF header with segments, to be spoilt.
struct SampleImage {
    struct Segment {
        var type: UInt32 = 1
        var flags: UInt32
        var offset: UInt64
        var address: UInt64
        var fileSize: UInt64
        var size: UInt64
    }

    var segments = [
        Segment(flags: 5, offset: 0x1000, address: 0x23_0000, fileSize: 0x800, size: 0x800),
        Segment(flags: 4, offset: 0x1800, address: 0x23_1000, fileSize: 0x100, size: 0x100),
        Segment(flags: 6, offset: 0x1900, address: 0x23_2000, fileSize: 0x100, size: 0x4000),
        Segment(type: 4, flags: 4, offset: 0x1800, address: 0x23_1000, fileSize: 20, size: 20),
    ]
    var entry: UInt64 = 0x23_0000
    var machine: UInt16 = 62

    var octets: [UInt8] {
        var octets: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + .init(repeating: 0, count: 9)
        octets.append(littleEndian: UInt16(2))
        octets.append(littleEndian: machine)
        octets.append(littleEndian: UInt32(1))
        octets.append(littleEndian: entry)
        octets.append(littleEndian: UInt64(64))
        octets.append(littleEndian: UInt64(0))
        octets.append(littleEndian: UInt32(0))
        for field in [64, 56, UInt16(segments.count), 64, 0, 0] {
            octets.append(littleEndian: field)
        }
        for segment in segments {
            octets.append(littleEndian: segment.type)
            octets.append(littleEndian: segment.flags)
            for field in [
                segment.offset, segment.address, segment.address, segment.fileSize, segment.size,
                16,
            ] {
                octets.append(littleEndian: field)
            }
        }
        return octets
    }

    func parse(fileSize: UInt64 = 0x2000) throws(MonitorError) -> [ImageSegment] {
        try ImageFile.parse(octets.span.bytes, fileSize: fileSize).segments
    }
}
