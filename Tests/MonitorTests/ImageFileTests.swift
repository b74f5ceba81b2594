// Images as the monitor reads them: good ones, and what must be refused.

import Testing

@testable import SwiftletMonitor

@Suite("Image files")
struct ImageFileTests {
    @Test("Segments keep their permissions, and only loadable ones count")
    func segments() throws {
        let segments = try SampleImage().parse()
        #expect(segments.map(\.permission) == [.code, .readOnly, .readWrite])
        #expect(segments.map(\.address) == [0x23_0000, 0x23_1000, 0x23_2000])
        #expect(segments[2].end == 0x23_6000)
    }

    @Test("What could not run, or lies about itself, is refused")
    func refused() {
        let spoil: [(inout SampleImage) -> Void] = [
            { $0.machine = 183 },
            { $0.entry = 0x23_2000 },
            { $0.entry = .max },
            { $0.segments[0].flags = 7 },
            { $0.segments[0].flags = 1 },
            { $0.segments[1].address = 0x23_0000 },
            { $0.segments[1].address = 0x23_0800 },
            { $0.segments[1].fileSize = 0x101 },
            { $0.segments[2].size = .max },
            { $0.segments[2].size = 0x8000_0000 },
            { $0.segments[2].address = .max - 4095 },
            { $0.segments[2].offset = .max },
            { $0.segments[2].offset = 0x1FFF },
            { $0.segments[0].address = 0 },
            { $0.segments = [] },
            { $0.segments += Array(repeating: $0.segments[3], count: 20) },
        ]
        for (index, spoil) in spoil.enumerated() {
            var image = SampleImage()
            spoil(&image)
            #expect(throws: MonitorError.self, "\(index)") { try image.parse() }
        }
    }

    @Test("Every truncation is refused, not read beyond")
    func truncated() {
        let octets = SampleImage().octets
        for count in 0..<(octets.count) {
            #expect(throws: MonitorError.self) {
                try ImageFile.parse(
                    octets.span.extracting(0..<count).bytes, fileSize: UInt64(count))
            }
        }
    }
}

@Suite("Options")
struct OptionTests {
    @Test("Options of a whole command line")
    func whole() throws {
        let settings = try MachineSettings(
            arguments: ["--memory", "1048576", "--command-line", "-- a b", "image"])
        #expect(settings.memory == 1 << 20)
        #expect(settings.commandLine == "-- a b")
        #expect(settings.image == "image")
    }

    @Test(
        "Wrong ones are refused",
        arguments: [
            [], ["--memory"], ["--memory", "64M", "image"], ["--memory", "0", "image"],
            ["--what", "image"], ["one", "two"], [""],
        ])
    func wrong(arguments: [String]) {
        #expect(throws: MonitorError.self) { try MachineSettings(arguments: arguments) }
    }
}
