// The console's log: times, bounds, rotation, a full disk, and reading while it is written.

import Glibc
import SwiftletBuild
import SystemPackage
import Testing

@testable import SwiftletInstances

@Suite("Console log")
struct LogTests {
    private final class Folder {
        let path: FilePath
        var log: FilePath { path.appending("console.log") }

        init() throws { path = try FileSystem.makeTemporaryFolder() }

        deinit { FileSystem.remove(path) }

        func text(_ name: String = "console.log") throws -> String {
            String(decoding: try FileSystem.read(path.appending(name)), as: UTF8.self)
        }
    }

    private func octets(_ text: String) -> ArraySlice<UInt8> { Array(text.utf8)[...] }

    @Test("A line has the time of its beginning, however many pieces it comes in")
    func times() throws {
        let folder = try Folder()
        var now = 1000.0625
        var writer = ConsoleLogWriter(folder.log) { now }
        writer.write(octets("one\ntw"))
        now = 2000
        writer.write(octets("o\n\nthree"))
        writer.note("over")
        #expect(
            try folder.text()
                == "1000.062 one\n1000.062 two\n2000.000 \n2000.000 three\n"
                + "2000.000 swiftlet: over\n")
        var all = ConsoleLogReader(folder.log)
        #expect(all.next() == Array("one\ntwo\n\nthree\nswiftlet: over\n".utf8))
        #expect(all.next() == nil)
        var late = ConsoleLogReader(folder.log, since: 1500, showsTimes: true)
        #expect(
            late.next()
                == Array("2000.000 \n2000.000 three\n2000.000 swiftlet: over\n".utf8))
    }

    @Test("Two files of bounded size hold the newest lines, whole")
    func rotation() throws {
        let folder = try Folder()
        var writer = ConsoleLogWriter(folder.log, sizeLimit: 1000) { 1 }
        for number in 0..<1000 { writer.write(octets("line \(number)\n")) }
        for name in ["console.log", "console.log.1"] {
            #expect(try folder.text(name).utf8.count <= 1020)
        }
        var reader = ConsoleLogReader(folder.log)
        let lines = String(decoding: reader.next() ?? [], as: UTF8.self).split(separator: "\n")
        #expect(lines.count > 60)
        #expect(lines.last == "line 999")
        #expect(lines.map(String.init) == (1000 - lines.count..<1000).map { "line \($0)" })
    }

    @Test("A line that never ends is ended")
    func endlessLine() throws {
        let folder = try Folder()
        var writer = ConsoleLogWriter(folder.log, sizeLimit: 50_000) { 1 }
        let piece = octets(String(repeating: "x", count: 1000))
        for _ in 0..<1000 { writer.write(piece) }
        let sizes = try ["console.log", "console.log.1"].map { try folder.text($0).utf8.count }
        #expect(sizes.allSatisfy { $0 <= 50_000 + ConsoleLogWriter.longestLine + 20 })
        #expect(sizes[1] >= 50_000)
        let lines = try folder.text("console.log.1").split(separator: "\n")
        #expect(lines.allSatisfy { $0.utf8.count <= ConsoleLogWriter.longestLine + 6 })
    }

    @Test("A full disk costs lines, which are counted, and nothing else")
    func fullDisk() throws {
        let folder = try Folder()
        symlink("/dev/full", folder.log.string)
        var writer = ConsoleLogWriter(folder.log) { 1 }
        for _ in 0..<10 { writer.write(octets("nobody reads this\n")) }
        #expect(writer.lost >= 180)
        // There is room again.
        writer.close()
        unlink(folder.log.string)
        writer.write(octets("but this\n"))
        let lines = try folder.text().split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first?.contains("octets of the console are lost") ?? false)
        #expect(lines.last == "1.000 but this")
        #expect(writer.lost == 0)
    }

    @Test("A reader that follows loses nothing while files change places")
    func following() throws {
        let folder = try Folder()
        var writer = ConsoleLogWriter(folder.log, sizeLimit: 500) { 1 }
        var reader = ConsoleLogReader(folder.log)
        var read: [UInt8] = []
        var expected = ""
        for number in 0..<500 {
            let line = "line \(number)\n"
            expected += line
            // In two pieces, with a look between.
            writer.write(octets(String(line.prefix(3))))
            read += reader.next() ?? []
            writer.write(octets(String(line.dropFirst(3))))
            if number % 7 == 0 { read += reader.next() ?? [] }
        }
        read += reader.next() ?? []
        #expect(String(decoding: read, as: UTF8.self) == expected)
    }

    @Test("A supervisor that starts again adds to the log")
    func continued() throws {
        let folder = try Folder()
        var first = ConsoleLogWriter(folder.log) { 1 }
        first.write(octets("first\n"))
        first.close()
        var second = ConsoleLogWriter(folder.log, sizeLimit: 5) { 2 }
        second.write(octets("second\n"))
        #expect(try folder.text("console.log.1") == "1.000 first\n")
        #expect(try folder.text() == "2.000 second\n")
    }
}

@Suite("Process usage")
struct ProcessUsageTests {
    @Test("This process has a start, memory, and time; no process has none")
    func live() throws {
        let usage = try #require(ProcessUsage(getpid()))
        #expect(usage.start > 0)
        #expect(usage.memory > 1 << 20)
        #expect(ProcessUsage(getpid())?.start == usage.start)
        #expect(ProcessUsage(0) == nil)
    }

    @Test("A program's name may hold anything")
    func oddNames() throws {
        let rest = (4...52).map(String.init).joined(separator: " ")
        let usage = try #require(ProcessUsage(stat: "1 (a) R (b) S \(rest)\n"))
        #expect(usage.start == 22)
        #expect(usage.memory == 24 * Int(getpagesize()))
        for text in ["", "1 (a", "1 (a) S 1 2", "1 (a) Z \(rest)"] {
            #expect(ProcessUsage(stat: text) == nil, "\(text)")
        }
    }
}
