// The image as the monitor needs it: which segments lie where, read with as few system calls as can
// be, and without a trust in any number of the file.

import Glibc
import SwiftletBootProtocol

/// One loadable segment, checked.
struct ImageSegment: Equatable {
    var address: UInt64
    /// Octets in memory; what the file does not fill is zero.
    var size: UInt64
    var fileOffset: UInt64
    var fileSize: UInt64
    var permission: PagePermission

    var end: UInt64 { address + size }
}

/// An image, opened.
struct ImageFile {
    private static let headerSize = 64
    private static let segmentSize = 56
    private static let mostSegments = 16

    let segments: [ImageSegment]
    let entry: UInt64
    private let file: Int32

    /// The virtual addresses that the segments cover.
    var extent: Range<UInt64> { segments[0].address..<segments[segments.count - 1].end }

    init(path: String) throws(MonitorError) {
        file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .system("cannot open '\(path)'") }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw MonitorError("'\(path)' is no file")
        }
        var head: [UInt8] = .init(
            repeating: 0, count: Self.headerSize + Self.mostSegments * Self.segmentSize)
        let count = pread(file, &head, head.count, 0)
        guard count >= 0 else { throw .system("cannot read '\(path)'") }
        do throws(MonitorError) {
            (entry, segments) = try Self.parse(
                head.span.extracting(0..<count).bytes, fileSize: UInt64(max(status.st_size, 0)))
        } catch {
            throw MonitorError("'\(path)' is no image that runs here: \(error.message)")
        }
    }

    /// Reads an ELF header and the segments behind it.
    ///
    /// - Parameters:
    ///   - head: the first octets of the file.
    ///   - fileSize: octets in all of it.
    static func parse(
        _ head: RawSpan, fileSize: UInt64
    ) throws(MonitorError) -> (entry: UInt64, segments: [ImageSegment]) {
        guard head.byteCount >= headerSize, head.littleEndian32(0) == 0x464C_457F,
            head.octet(4) == 2, head.octet(5) == 1
        else { throw MonitorError("it is no 64-bit ELF file") }
        guard head.littleEndian16(16) == 2, head.littleEndian16(18) == 62 else {
            throw MonitorError("it is no static x86-64 executable")
        }
        let table = head.littleEndian64(32)
        let count = Int(head.littleEndian16(56))
        guard count <= mostSegments, Int(head.littleEndian16(54)) == segmentSize,
            table <= UInt64(head.byteCount),
            head.byteCount - Int(table) >= count * segmentSize
        else { throw MonitorError("its segment table is not where Swiftlet's is") }
        var segments: [ImageSegment] = []
        for index in 0..<count {
            let start = Int(table) + index * segmentSize
            let size = head.littleEndian64(start + 40)
            guard head.littleEndian32(start) == 1, size > 0 else { continue }
            let segment = ImageSegment(
                address: head.littleEndian64(start + 16), size: size,
                fileOffset: head.littleEndian64(start + 8),
                fileSize: head.littleEndian64(start + 32),
                permission: try permission(head.littleEndian32(start + 4)))
            try check(segment, after: segments.last, fileSize: fileSize)
            segments.append(segment)
        }
        let entry = head.littleEndian64(24)
        guard let home = segments.first(where: { $0.address <= entry && entry < $0.end }),
            home.permission == .code
        else { throw MonitorError("its entry address is not in code") }
        return (entry, segments)
    }

    private static func permission(_ flags: UInt32) throws(MonitorError) -> PagePermission {
        switch flags & 7 {
        case 5: return .code
        case 4: return .readOnly
        case 6: return .readWrite
        default:
            throw MonitorError("a segment is writable and executable, or cannot be read")
        }
    }

    private static func check(
        _ segment: ImageSegment, after previous: ImageSegment?, fileSize: UInt64
    ) throws(MonitorError) {
        let lowest = MonitorCall.lowestAddress
        let highest = MonitorCall.highestAddress
        guard segment.address % MachineLayout.pageSize == 0, segment.address >= lowest,
            segment.address < highest, segment.size <= highest - segment.address
        else { throw MonitorError("a segment does not lie at Swiftlet's addresses") }
        guard segment.fileSize <= segment.size, segment.fileOffset <= fileSize,
            segment.fileSize <= fileSize - segment.fileOffset
        else { throw MonitorError("it is cut short") }
        guard MachineLayout.roundUp(previous?.end ?? 0, MachineLayout.pageSize) <= segment.address
        else { throw MonitorError("segments share a page, or are not in order") }
    }

    /// Reads the segments into the guest's memory, and lets go of the file.
    ///
    /// - Returns: where an error that `main` does not catch ends, if the image says so.
    func load(into memory: GuestMemory, delta: Int64) throws(MonitorError) -> MainEnd? {
        defer { close(file) }
        for segment in segments where segment.fileSize > 0 {
            let physical = UInt64(Int64(segment.address) + delta)
            guard let target = memory.pointer(physical, segment.size) else {
                throw MonitorError("the image does not fit into memory")
            }
            var done = 0
            while done < segment.fileSize {
                let count = pread(
                    file, target + done, Int(segment.fileSize) - done,
                    off_t(segment.fileOffset) + done)
                guard count > 0 else { throw .system("cannot read the image") }
                done += count
            }
        }
        return try readHeader(memory, delta: delta)
    }

    /// The image header, first in writable data, says which contract the image was built for.
    private func readHeader(
        _ memory: GuestMemory, delta: Int64
    ) throws(MonitorError) -> MainEnd? {
        guard let data = segments.first(where: { $0.permission == .readWrite }),
            let start = memory.pointer(
                UInt64(Int64(data.address) + delta), max(data.size, UInt64(ImageHeader.size))),
            let header = ImageHeader(
                UnsafeRawBufferPointer(start: start, count: ImageHeader.size).bytes, at: 0)
        else { throw MonitorError("the image has no image header") }
        guard header.version == bootProtocolVersion else {
            throw MonitorError(
                "the image speaks boot protocol \(header.version), this monitor "
                    + "\(bootProtocolVersion): build it again with this version")
        }
        let size = ImageHeader.size + MainEnd.size
        guard header.flags & ImageHeader.tellsMainEnd != 0, data.size >= UInt64(size),
            let mainEnd = MainEnd(
                UnsafeRawBufferPointer(start: start, count: size).bytes, at: ImageHeader.size),
            // Where the guest goes on has to be code of its own, and no address that `iretq` refuses.
            segments.contains(where: {
                $0.permission == .code && $0.address <= mainEnd.handler && mainEnd.handler < $0.end
            })
        else { return nil }
        return mainEnd
    }
}
