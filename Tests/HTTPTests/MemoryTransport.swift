// A connection made of memory and a script: what the client does, and when.

@testable import SwiftletHTTP

/// Octets in from a script, octets out into an array; time moves only by the script and by waits.
final class MemoryTransport: HTTPTransport, @unchecked Sendable {
    enum Event {
        case receive([UInt8])
        /// Nothing happens for so many nanoseconds.
        case pass(UInt64)
        /// The client ends its direction.
        case end
        case reset
    }

    enum Failure: Error {
        case timedOut, reset, interrupted
    }

    let remoteAddress = "client"
    var script: [Event]
    var inbox: [UInt8] = []
    var outbox: [UInt8] = []
    var now: UInt64 = 1_000_000_000
    var unixSeconds: Int64? = 784_111_777
    var isFinished = false
    var isAborted = false
    private var isInterrupted = false
    /// Octets taken by one `send`, and until the next wait.
    var sendRoom = Int.max
    /// What a wait for room makes of `sendRoom`; nil lets it time out.
    var roomAfterWait: Int? = Int.max
    /// Octets shown at once, as if a ring ended there.
    var runLimit = Int.max
    var waits = 0
    var onWait: (() -> Void)?
    /// What others do during the second wait, when the first octets have come.
    var duringWait: (nonisolated(nonsending) () async -> Void)?

    init(_ script: [Event]) { self.script = script }

    convenience init(_ text: String) { self.init([.receive(Array(text.utf8)), .end]) }

    var receivedCount: Int { inbox.count }

    func withReceived<R: ~Copyable>(_ body: (RawSpan) -> R) -> R {
        let octets = inbox
        return body(octets.span.bytes.extracting(first: min(octets.count, runLimit)))
    }

    func consume(_ count: Int) {
        precondition(count <= inbox.count)
        inbox.removeFirst(count)
    }

    func send(_ bytes: RawSpan) -> Int {
        if isAborted { return bytes.byteCount }
        let count = min(bytes.byteCount, sendRoom)
        for index in 0..<count { outbox.append(bytes.octet(index)) }
        if sendRoom != .max { sendRoom -= count }
        return count
    }

    var awaitsOctets: Bool { inbox.isEmpty && !isAborted }

    /// Leaves the wait to `waitUntilReadable`, which comes next: a spurious wake-up.
    nonisolated(nonsending) func pause(until deadline: UInt64) async {}

    nonisolated(nonsending)
        func waitUntilReadable(until deadline: UInt64) async throws(Failure) -> Bool
    {
        waits += 1
        onWait?()
        if waits == 2 { await duringWait?() }
        while true {
            if isAborted { throw .reset }
            if isInterrupted { throw .interrupted }
            if !inbox.isEmpty { return true }
            guard !script.isEmpty else {
                now = deadline
                throw .timedOut
            }
            switch script.removeFirst() {
            case .receive(let octets): inbox += octets
            case .end:
                script = [.end]
                return false
            case .reset: throw .reset
            case .pass(let duration):
                let end = now + duration
                if end >= deadline {
                    if end > deadline { script.insert(.pass(end - deadline), at: 0) }
                    now = deadline
                    throw .timedOut
                }
                now = end
            }
        }
    }

    nonisolated(nonsending)
        func waitUntilWritable(until deadline: UInt64) async throws(Failure)
    {
        waits += 1
        if isAborted { throw .reset }
        guard let roomAfterWait else {
            now = deadline
            throw .timedOut
        }
        now += 1_000_000_000
        if now > deadline { throw .timedOut }
        sendRoom = roomAfterWait
    }

    static func isTimeout(_ failure: Failure) -> Bool { failure == .timedOut }
    func finish() { isFinished = true }
    func abort() { isAborted = true }
    func interrupt() { isInterrupted = true }

    var text: String { String(decoding: outbox, as: UTF8.self) }
}
