// The page of counters: what others read of it, and that they cannot spoil it.

import Glibc
import SwiftletBootProtocol
import Testing

@testable import SwiftletMonitor

@Suite("Statistics")
struct StatisticsTests {
    private func read(_ page: StatisticsPage) throws -> MachineStatistics {
        let file = try #require(page.file)
        var octets = [UInt8](repeating: 0, count: MachineStatistics.size)
        #expect(pread(file, &octets, octets.count, 0) == octets.count)
        return try #require(parse(octets))
    }

    private func parse(_ octets: [UInt8]) -> MachineStatistics? {
        MachineStatistics(octets.span.bytes)
    }

    @Test("Counters and words are read as they were written")
    func roundTrip() throws {
        let page = StatisticsPage()
        for _ in 0..<3 { page.count(.waits) }
        page.count(.otherExits)
        page.set(
            NetworkTraffic(receivedFrames: 1, receivedOctets: 60, sentFrames: 2, sentOctets: .max))
        page.say("calls: read write\nlandlock: version 7\nnot a line of words\n")
        let seen = try read(page)
        #expect(seen[.waits] == 3 && seen[.faults] == 0 && seen[.sentOctets] == .max)
        #expect(seen[.receivedFrames] == 1 && seen[.receivedOctets] == 60 && seen[.sentFrames] == 2)
        #expect(seen.exits == 4)
        #expect(seen.words == ["calls": "read write", "landlock": "version 7"])
        close(try #require(page.file))
    }

    @Test("Moments of a start are read as they were, in their order; those to come are none")
    func moments() throws {
        let page = StatisticsPage()
        var moments = StartMoments()
        for moment in MachineStatistics.Moment.allCases.dropLast() { moments.pass(moment) }
        page.set(moments)
        let seen = try read(page)
        let times = MachineStatistics.Moment.allCases.compactMap { seen[$0] }
        #expect(times == moments.times.map(\.1))
        #expect(times.count == MachineStatistics.Moment.allCases.count - 1)
        #expect(times == times.sorted() && seen[.firstWait] == nil && seen.exits == 0)
        close(try #require(page.file))
    }

    @Test("A text that is too long is cut, and ends")
    func longText() throws {
        let page = StatisticsPage()
        page.say("calls: " + String(repeating: "x", count: 10_000))
        let room = MachineStatistics.size - MachineStatistics.textOffset - 1
        #expect(try read(page).words["calls"]?.utf8.count == room - 7)
        close(try #require(page.file))
    }

    @Test("Nobody who opens the page writes or cuts it")
    func sealed() throws {
        let page = StatisticsPage()
        let own = try #require(page.file)
        let file = open("/proc/self/fd/\(own)", O_RDWR)
        #expect(file < 0 || pwrite(file, "x", 1, 0) < 0)
        #expect(ftruncate(own, 0) < 0 && ftruncate(own, 8192) < 0)
        #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0) == MAP_FAILED)
        if file >= 0 { close(file) }
        close(own)
    }

    @Test("What is no page is none")
    func others() {
        var octets = [UInt8](repeating: 0, count: MachineStatistics.size)
        #expect(parse(octets) == nil)
        octets.replaceSubrange(0..<8, with: Array("SWFTSTAT".utf8))
        #expect(parse(octets) == nil)
        octets[8] = 1
        #expect(parse(octets)?.exits == 0)
        #expect(parse(Array(octets.dropLast())) == nil)
    }
}
