// The monitor's own input: the image's first octets, and its command line.

import SwiftletBootProtocol
import SwiftletTestSupport

@testable import SwiftletMonitor

/// An image file, from its first octet to the page tables that its segments lead to.
enum MonitorImageFuzzing: FuzzTarget {
    static let name = "monitor-image"
    static let seeds: [[UInt8]] = [SampleImage().octets, Array(SampleImage().octets.prefix(120))]

    static func run(_ octets: RawSpan) {
        guard let (entry, segments) = try? ImageFile.parse(octets, fileSize: 1 << 20) else {
            return
        }
        precondition(!segments.isEmpty)
        var end: UInt64 = MonitorCall.lowestAddress
        for segment in segments {
            precondition(segment.address >= end && segment.end <= MonitorCall.highestAddress)
            precondition(segment.fileSize <= segment.size)
            precondition(segment.fileOffset + segment.fileSize <= 1 << 20)
            end = segment.end
        }
        let extent = segments[0].address..<end
        guard let layout = try? MachineLayout(image: extent, memory: 8 << 20) else { return }
        precondition(layout.image.contains(entry))
        guard let supervisor = try? GuestMemory(layout.supervisor) else { return }
        defer { supervisor.release() }
        let devices = [MachineLayout.deviceAddress(0)]
        guard
            let tables = try? Machine.mapMemory(
                segments: segments, layout: layout, supervisor: supervisor, registerPages: devices)
        else { preconditionFailure("no room for the page tables") }
        for segment in segments {
            let entry = tables.lookUp(segment.address)
            precondition(entry & 1 << 1 == 0 || entry >> 63 == 1, "writable and executable")
        }
    }
}

/// The command line, its words separated by lines.
enum MonitorOptionsFuzzing: FuzzTarget {
    static let name = "monitor-options"
    static let seeds: [[UInt8]] = [
        "--memory\n1048576\n--command-line\n-- a b\nimage",
        "--user-network\n--publish\ntcp:127.0.0.1:8080:80\n--hardware-address\n02:00:00:00:00:01\nimage",
        "--tap\ntap0\nimage\n--memory\n18446744073709551615",
    ].map { Array($0.utf8) }

    static func run(_ octets: RawSpan) {
        let text = octets.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        let words = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let settings = try? MachineSettings(arguments: words) else { return }
        precondition(!settings.image.isEmpty && settings.memory > 0)
        precondition(settings.hardwareAddress.map { $0.count == 6 } ?? true)
        _ = try? MachineLayout(image: 0x20_0000..<0x24_0000, memory: settings.memory)
    }
}
