// Standard input on its way to a machine: read when the machine has taken what was read before, so
// that one piece at most is held here.

import CSwiftletProcess
import Glibc
import SwiftletBootProtocol
import SwiftletBuild
import SystemPackage

/// Passes octets of one descriptor on, in pieces (`InputPiece`), and its end.
struct InputPump {
    /// Octets read at once.
    private static let longest = 32 << 10

    /// Nil once it has ended.
    private var source: FileDescriptor?
    /// The piece under way, its header included, and how much of it is written.
    private var piece: [UInt8] = []
    private var written = 0
    /// The machine has heard of the end, or takes nothing any more.
    private var isDone = false

    /// - Parameter source: stays as it is, blocking or not: others may share it.
    init(_ source: FileDescriptor?) {
        self.source = source
        begin()
    }

    /// A new machine: what was meant for the one before it has gone with that one.
    mutating func begin() {
        isDone = false
        written = 0
        piece = source == nil ? InputPiece.header(0) : []
    }

    /// What is to be waited for; nil if nothing is.
    func polled(_ target: FileDescriptor) -> pollfd? {
        if isDone { return nil }
        if !piece.isEmpty {
            return pollfd(fd: target.rawValue, events: Int16(POLLOUT), revents: 0)
        }
        return source.map { pollfd(fd: $0.rawValue, events: Int16(POLLIN), revents: 0) }
    }

    /// What was waited for has come: reads, or writes to `target`, which does not block.
    mutating func pass(to target: FileDescriptor) {
        if piece.isEmpty { read() }
        while written < piece.count {
            let count = piece[written...].withUnsafeBytes {
                send(target.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else {
                if errno == EINTR { continue }
                // The machine has gone; its end is told elsewhere.
                if errno != EAGAIN { isDone = true }
                return
            }
            written += count
        }
        isDone = source == nil
        piece = []
        written = 0
    }

    /// Makes the next piece. Any error is the end, as a closed descriptor is.
    private mutating func read() {
        guard let source else { return }
        var octets = [UInt8](repeating: 0, count: Self.longest)
        var count = octets.withUnsafeMutableBytes {
            swiftlet_read_ready(source.rawValue, $0.baseAddress, $0.count)
        }
        if count < 0 {
            // Somebody who shares the descriptor was faster.
            if errno == EAGAIN || errno == EINTR { return }
            count = 0
        }
        if count == 0 { self.source = nil }
        piece = InputPiece.header(count) + octets[..<count]
    }
}

/// The two ends of a socket that carries standard input: a socket, as QEMU takes no pipe.
struct InputSocket {
    var ours: FileDescriptor
    var theirs: FileDescriptor

    init() throws(ToolError) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
            throw ToolError(
                "cannot make a socket: \(Errno(rawValue: errno).description)")
        }
        (ours, theirs) = (FileDescriptor(rawValue: ends[0]), FileDescriptor(rawValue: ends[1]))
    }
}
