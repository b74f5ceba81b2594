// The console of an instance, kept on disk: lines with their times, in two files of bounded size.
//
// A line is `SECONDS.MILLISECONDS TEXT`, the time that of its first octet, since 1970. When the file
// has reached its size the next line begins a new one, and the old one takes the place of the one
// before it. A disk that is full costs lines, never the instance.

import Glibc
import SystemPackage

/// Writes the log of one instance.
struct ConsoleLogWriter {
    /// Octets after which a file is put aside.
    static let standardSize = 1 << 20
    /// Octets after which a line that does not end is ended.
    static let longestLine = 16 << 10

    private let path: FilePath
    private let sizeLimit: Int
    /// Seconds since 1970.
    private let now: () -> Double
    private var file: FileDescriptor?
    private var size = 0
    /// Octets of the line that has begun; nil between lines.
    private var lineLength: Int?
    /// Octets that could not be written since the last that could.
    private(set) var lost = 0

    init(
        _ path: FilePath, sizeLimit: Int = standardSize,
        now: @escaping () -> Double = ConsoleLogWriter.wallTime
    ) {
        self.path = path
        self.sizeLimit = sizeLimit
        self.now = now
        open()
    }

    static func wallTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The file with the lines before those of `path`.
    static func older(_ path: FilePath) -> FilePath { FilePath(path.string + ".1") }

    /// Adds what the guest has printed. Returns when it is written, or lost.
    mutating func write(_ octets: ArraySlice<UInt8>) {
        var rest = octets
        while !rest.isEmpty {
            if lineLength == nil {
                if size >= sizeLimit { rotate() }
                beginLine()
            }
            let room = Self.longestLine - (lineLength ?? 0)
            let newline = rest.firstIndex(of: UInt8(ascii: "\n"))
            let end = min(newline.map { $0 + 1 } ?? rest.endIndex, rest.startIndex + room)
            append(Array(rest[rest.startIndex..<end]))
            lineLength = (lineLength ?? 0) + (end - rest.startIndex)
            if newline == end - 1 {
                lineLength = nil
            } else if lineLength ?? 0 >= Self.longestLine {
                endLine()
            }
            rest = rest[end...]
        }
    }

    /// Adds a line of the tool's own.
    mutating func note(_ text: String) {
        endLine()
        write(Array(("swiftlet: " + text + "\n").utf8)[...])
    }

    /// Ends the line that has begun, if one has.
    mutating func endLine() {
        guard lineLength != nil else { return }
        append([UInt8(ascii: "\n")])
        lineLength = nil
    }

    private mutating func beginLine() {
        lineLength = 0
        if lost > 0 {
            let count = lost
            let text =
                "\(stamp) swiftlet: \(count) octets of the console are lost: "
                + "they could not be written\n"
            // What cannot be said now is said later.
            guard append(Array(text.utf8)) else { return }
            lost = 0
        }
        append(Array("\(stamp) ".utf8))
    }

    private var stamp: String {
        let milliseconds = Int64(now() * 1000)
        let fraction = "\(milliseconds % 1000)"
        return "\(milliseconds / 1000)."
            + String(repeating: "0", count: 3 - fraction.utf8.count) + fraction
    }

    @discardableResult
    private mutating func append(_ octets: [UInt8]) -> Bool {
        if file == nil { open() }
        guard let file, (try? file.writeAll(octets)) != nil else {
            lost += octets.count
            return false
        }
        size += octets.count
        return true
    }

    private mutating func open() {
        file = try? FileDescriptor.open(
            path, .writeOnly, options: [.create, .append, .closeOnExec],
            permissions: .ownerReadWrite)
        size = file.flatMap { try? Int($0.seek(offset: 0, from: .end)) } ?? 0
    }

    private mutating func rotate() {
        rename(path.string, Self.older(path).string)
        close()
        open()
    }

    mutating func close() {
        try? file?.close()
        file = nil
    }
}
