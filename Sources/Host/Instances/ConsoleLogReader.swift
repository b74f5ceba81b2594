// Reads the log of an instance, through rotations, as it grows.

import Glibc
import SwiftletBuild
import SystemPackage

/// Follows the two files of a log. Each call of `next` gives what has been added.
public struct ConsoleLogReader {
    private let path: FilePath
    private var file: FileDescriptor?
    private var identity: UInt64 = 0
    private var pending: [FilePath]
    /// Octets of a line whose time is not read yet.
    private var held: [UInt8] = []
    private var lineIsShown: Bool?

    /// Lines from this time on, in seconds since 1970.
    private let since: Double
    private let showsTimes: Bool

    public init(_ path: FilePath, since: Double = 0, showsTimes: Bool = false) {
        self.path = path
        self.since = since
        self.showsTimes = showsTimes
        pending = [ConsoleLogWriter.older(path), path]
    }

    /// What has been added since the last call, without the times of lines; nil if nothing has.
    public mutating func next() -> [UInt8]? {
        var shown: [UInt8] = []
        while true {
            if let file {
                if take(file, &shown) { continue }
                guard let current = Self.identity(path), current != identity else { break }
                // Put aside meanwhile: what was added just before is read, then its successor.
                if take(file, &shown) { continue }
                try? file.close()
                self.file = nil
                if pending.isEmpty { pending = [path] }
            }
            guard !pending.isEmpty else { break }
            let next = pending.removeFirst()
            file = try? FileDescriptor.open(next, .readOnly, options: .closeOnExec)
            if let file { identity = Self.identity(file) }
            if file == nil, pending.isEmpty { pending = [path] }
            if file == nil, next == path { break }
        }
        return shown.isEmpty ? nil : shown
    }

    /// Reads on; false at the end of what there is.
    private mutating func take(_ file: FileDescriptor, _ shown: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        guard let count = try? buffer.withUnsafeMutableBytes({ try file.read(into: $0) }), count > 0
        else { return false }
        filter(buffer[..<count], &shown)
        return true
    }

    private mutating func filter(_ octets: ArraySlice<UInt8>, _ shown: inout [UInt8]) {
        for octet in octets {
            if let isShown = lineIsShown {
                if isShown { shown.append(octet) }
                if octet == UInt8(ascii: "\n") { lineIsShown = nil }
            } else if octet == UInt8(ascii: " ") || octet == UInt8(ascii: "\n") {
                // A line that a full disk has cut has no time: it is shown with what it has.
                let time = Double(String(decoding: held, as: UTF8.self))
                let isShown = time.map { $0 >= since } ?? (since == 0)
                if isShown, time == nil || showsTimes { shown += held + [octet] }
                held.removeAll(keepingCapacity: true)
                lineIsShown = octet == UInt8(ascii: "\n") ? nil : isShown
            } else {
                held.append(octet)
            }
        }
    }

    private static func identity(_ path: FilePath) -> UInt64? {
        var information = stat()
        return stat(path.string, &information) == 0 ? UInt64(information.st_ino) : nil
    }

    private static func identity(_ file: FileDescriptor) -> UInt64 {
        var information = stat()
        return fstat(file.rawValue, &information) == 0 ? UInt64(information.st_ino) : 0
    }
}
