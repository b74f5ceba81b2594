// Standard input through the supervisor: in pieces, with an end, and not faster than it is taken.

import Glibc
import SwiftletBootProtocol
import SwiftletBuild
import SystemPackage
import Testing

@testable import SwiftletInstances

@Suite("Standard input of instances")
struct InputTests {
    private func makePipe() throws -> (reading: FileDescriptor, writing: FileDescriptor) {
        let pipe = try FileDescriptor.pipe()
        for end in [pipe.readEnd, pipe.writeEnd] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
        return (pipe.readEnd, pipe.writeEnd)
    }

    @Test("What is written arrives in pieces, and the end behind it")
    func pieces() async throws {
        let pipe = try makePipe()
        _ = try pipe.writing.writeAll(Array("abc".utf8))
        let life = try Life(
            "echo ready; head -c 7 <&3 | od -An -tx1; exit 3", hasInput: true, input: pipe.reading)
        try await life.waitForConsole("ready")
        try pipe.writing.close()
        #expect(try await life.code == 3)
        #expect(try life.console() == "ready\n 03 00 61 62 63 00 00\n")
        try pipe.reading.close()
    }

    @Test("Without a source the input is at its end at once, after a restart too")
    func none() async throws {
        let life = try Life(
            "head -c 2 <&3 | od -An -tx1; test -e again || { touch again; exit 1; }",
            restart: .onFailure(limit: nil),
            hasInput: true)
        #expect(try await life.code == 0)
        #expect(
            try life.console().split(separator: "\n").filter { $0 == " 00 00" }.count == 2)
    }

    @Test("A machine that takes nothing stops the writer; the supervisor goes on")
    func backpressure() async throws {
        let pipe = try makePipe()
        pipe.writing.makeNonblocking()
        let life = try Life("echo ready; exec sleep 1000", hasInput: true, input: pipe.reading)
        try await life.waitForConsole("ready")
        let octets = [UInt8](repeating: 1, count: 65536)
        var written = 0
        // Until nothing goes in for a while; pipe, piece and socket hold less than 2 MiB.
        var refusals = 0
        while refusals < 20, written < 16 << 20 {
            if let count = try? octets.withUnsafeBytes({ try pipe.writing.write($0) }), count > 0 {
                written += count
                refusals = 0
            } else {
                refusals += 1
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        #expect(written < 2 << 20)
        try life.instance.tell(.kill)
        #expect(try await life.code == 137)
        try pipe.writing.close()
        try pipe.reading.close()
    }

    @Test("A machine that closes its input ends neither the supervisor nor itself")
    func closed() async throws {
        let pipe = try makePipe()
        let life = try Life(
            "exec 3<&-; echo closed; head -c 1; exit 9", hasInput: true, input: pipe.reading)
        try await life.waitForConsole("closed")
        _ = try pipe.writing.writeAll(Array(repeating: 5, count: 1000))
        try life.instance.tell(.stop(seconds: 1000))
        #expect(try await life.code == 9)
        try pipe.writing.close()
        try pipe.reading.close()
    }

    /// Pipes can be read without waiting since Linux 6.4, sockets always.
    private static let canReadPipes: Bool = {
        let release = (try? FileSystem.read("/proc/sys/kernel/osrelease")) ?? []
        let numbers = String(decoding: release, as: UTF8.self).split { !$0.isNumber }
            .compactMap { Int($0) }
        return numbers.count > 1 && (numbers[0], numbers[1]) >= (6, 4)
    }()

    @Test(
        "Octets that somebody else took after they were announced are not waited for",
        arguments: canReadPipes ? [false, true] : [false])
    func shared(isPipe: Bool) throws {
        var pipe = try makePipe()
        if !isPipe {
            for file in [pipe.reading, pipe.writing] { try file.close() }
            let ends = try InputSocket()
            pipe = (ends.ours, ends.theirs)
        }
        let socket = try InputSocket()
        var pump = InputPump(pipe.reading)
        _ = try pipe.writing.writeAll([7])
        var wanted = try #require(pump.polled(socket.ours))
        #expect(poll(&wanted, 1, 0) == 1)
        var buffer = [UInt8](repeating: 0, count: 10)
        let taken = try buffer.withUnsafeMutableBytes { try pipe.reading.read(into: $0) }
        #expect(taken == 1)
        pump.pass(to: socket.ours)
        #expect(pump.polled(socket.ours)?.fd == pipe.reading.rawValue)
        #expect(fcntl(pipe.reading.rawValue, F_GETFL) & O_NONBLOCK == 0)
        _ = try pipe.writing.writeAll([8])
        pump.pass(to: socket.ours)
        let count = try buffer.withUnsafeMutableBytes { try socket.theirs.read(into: $0) }
        #expect(buffer[..<count] == [1, 0, 8])
        for file in [pipe.reading, pipe.writing, socket.ours, socket.theirs] { try file.close() }
    }

    @Test("A piece that does not go in at once goes in in parts, whole and in order")
    func parts() throws {
        let pipe = try makePipe()
        let socket = try InputSocket()
        socket.ours.makeNonblocking()
        socket.theirs.makeNonblocking()
        var size = Int32(4096)
        setsockopt(
            socket.ours.rawValue, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        var pump = InputPump(pipe.reading)
        let sent = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 2) }
        var stream: [UInt8] = []
        var place = 0
        var buffer = [UInt8](repeating: 0, count: 3000)
        while var wanted = pump.polled(socket.ours) {
            if place < sent.count {
                place += try pipe.writing.writeAll(sent[place..<min(place + 10_000, sent.count)])
                if place == sent.count { try pipe.writing.close() }
            }
            if poll(&wanted, 1, 0) > 0 { pump.pass(to: socket.ours) }
            let count =
                (try? buffer.withUnsafeMutableBytes { try socket.theirs.read(into: $0) }) ?? 0
            stream += buffer[..<count]
        }
        while let count = try? buffer.withUnsafeMutableBytes({ try socket.theirs.read(into: $0) }),
            count > 0
        {
            stream += buffer[..<count]
        }
        var pieces = InputPieces()
        var received: [UInt8] = []
        var start = 0
        while start < stream.count {
            let range = stream[start...].withUnsafeBytes { pieces.next(in: $0.bytes) }
            received += stream[(start + range.lowerBound)..<(start + range.upperBound)]
            pieces.take(range.count)
            start += range.upperBound
        }
        #expect(received == sent)
        #expect(pieces.hasEnded)
        for file in [pipe.reading, socket.ours, socket.theirs] { try file.close() }
    }
}
