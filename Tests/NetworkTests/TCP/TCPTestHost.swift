// Helpers of the TCP tests: one host that talks to hand-made segments or over a simulated wire.

import Testing

@testable import SwiftletNetwork

let clientAddress = IPAddress(IPv4Address(10, 0, 0, 1))
let serverAddress = IPAddress(IPv4Address(10, 0, 0, 2))
let millisecond: UInt64 = 1_000_000
let second: UInt64 = 1_000_000_000

/// Collects what a TCP sends.
struct CollectingOutput: SegmentOutput, ~Copyable {
    var sent: [(to: IPAddress, bytes: [UInt8], marks: Bool)] = []
    /// Segments that are still taken; then the output has no room.
    var room = Int.max
    var maximum = 1_480
    /// Octets of a segment that there is room for; of a longer one there is none.
    var longest = Int.max

    mutating func sendSegment(
        from: IPAddress, to: IPAddress, length: Int, segmentSize: Int, marks: Bool,
        fill: (inout MutableRawSpan) -> Void
    ) -> SegmentResult {
        guard room > 0, length <= longest else { return .busy }
        room -= 1
        // 0xA5: whatever `fill` leaves out shows.
        var bytes = [UInt8](repeating: 0xA5, count: length)
        bytes.withUnsafeMutableBytes { buffer in
            var span = MutableRawSpan(_unsafeBytes: buffer)
            fill(&span)
        }
        sent.append((to, bytes, marks))
        return .sent
    }

    func maximumSegment(to: IPAddress) -> Int { maximum }
}

/// A segment as a test writes and reads it.
struct Segment {
    var from: UInt16 = 0
    var to: UInt16 = 0
    var seq: UInt32 = 0
    var ack: UInt32 = 0
    var flags: TCPFlags = .ack
    var window: UInt16 = 65_535
    var options: [UInt8] = []
    var payload: [UInt8] = []
    /// Of what was sent: routers may mark its packet. Of what is delivered: one has.
    var marks = false

    init(
        _ flags: TCPFlags, seq: UInt32, ack: UInt32 = 0, window: UInt16 = 65_535,
        options: [UInt8] = [], payload: [UInt8] = []
    ) {
        self.flags = flags
        self.seq = seq
        self.ack = ack
        self.window = window
        self.options = options
        self.payload = payload
    }

    init(_ bytes: [UInt8]) {
        let header = TCPHeader(bytes.span.bytes)!
        from = header.sourcePort
        to = header.destinationPort
        seq = header.sequence.value
        ack = header.acknowledgment.value
        flags = header.flags
        window = header.window
        options = Array(bytes[20..<header.length])
        payload = Array(bytes[header.length...])
    }

    var bytes: [UInt8] {
        let padded = options + [UInt8](repeating: 0, count: (4 - options.count % 4) % 4)
        let header = TCPHeader(
            from: from, to: to, sequence: SequenceNumber(seq), acknowledgment: SequenceNumber(ack),
            flags: flags, window: window, length: 20 + padded.count)
        var bytes = [UInt8](repeating: 0, count: 20)
        bytes.withUnsafeMutableBytes { buffer in
            var span = MutableRawSpan(_unsafeBytes: buffer)
            header.write(into: &span)
        }
        return bytes + padded + payload
    }

    /// The timestamps that it carries.
    var stamps: TCPTimestamps? {
        let all = bytes
        return TCPTimestamps(all.span.bytes, headerLength: 20 + options.count)
    }

    /// The option, padded.
    static func option(_ stamps: TCPTimestamps) -> [UInt8] {
        [1, 1, 8, 10]
            + [stamps.value, stamps.echo].flatMap { number in
                [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
            }
    }

    /// The SACK ranges that it carries.
    var sack: [(UInt32, UInt32)] {
        var ranges: [(UInt32, UInt32)] = []
        let all = bytes
        forEachSackBlock(all.span.bytes, headerLength: 20 + options.count) {
            ranges.append(($0.start.value, $0.end.value))
        }
        return ranges
    }
}

/// One TCP with its output, its clock and its events.
final class Host {
    var tcp: TCP
    var output = CollectingOutput()
    let address: IPAddress
    var now = Instant(nanoseconds: 1_000 * second)
    var events: [TCPEvent] = []

    init(_ address: IPAddress, _ configuration: TCPConfiguration = TCPConfiguration()) {
        self.address = address
        tcp = TCP(
            configuration: configuration, secret: (0x0123_4567_89AB_CDEF &+ address.low, 0x5555))
    }

    func drainEvents() {
        while let event = tcp.nextEvent() { events.append(event) }
    }

    func receive(_ bytes: [UInt8], from: IPAddress, isMarked: Bool = false) {
        tcp.receive(
            bytes.span.bytes, from: from, to: address, isMarked: isMarked, now: now, output: &output
        )
        drainEvents()
    }

    func poll() {
        tcp.poll(now: now, output: &output)
        drainEvents()
    }

    /// Lets time pass, with every timer on time.
    func advance(_ nanoseconds: UInt64) {
        let end = Instant(nanoseconds: now.nanoseconds + nanoseconds)
        while tcp.nextDeadline <= end {
            if tcp.nextDeadline > now { now = tcp.nextDeadline }
            poll()
        }
        now = end
    }

    /// What was sent since the last call.
    func takeSent() -> [Segment] {
        let sent = output.sent.map { sent in
            var segment = Segment(sent.bytes)
            segment.marks = sent.marks
            return segment
        }
        output.sent = []
        return sent
    }

    @discardableResult
    func send(_ id: TCPConnectionID, _ bytes: [UInt8]) -> Int {
        let count = tcp.send(id, bytes.span.bytes)
        tcp.flush(id, now: now, output: &output)
        return count
    }

    func read(_ id: TCPConnectionID, most: Int = .max) -> [UInt8] {
        var all: [UInt8] = []
        while all.count < most {
            let run = tcp.withReceived(id) { span in
                span.withUnsafeBytes { Array($0.prefix(most - all.count)) }
            }
            if run.isEmpty { break }
            all += run
            tcp.consume(id, run.count, now: now, output: &output)
        }
        return all
    }

    // Plain values for #expect, which cannot look into what is not copyable.
    func accept(_ listener: TCPListenerID) -> TCPConnectionID? { tcp.accept(listener) }
    func status(_ id: TCPConnectionID) -> TCPStatus { tcp.status(id) }
    func receivedCount(_ id: TCPConnectionID) -> Int { tcp.receivedCount(id) }
    func sendRoom(_ id: TCPConnectionID) -> Int { tcp.sendRoom(id) }
    var connectionCount: Int { tcp.connectionCount }
    var halfOpenCount: Int { tcp.halfOpenCount }
    var timeWaitCount: Int { tcp.timeWaitCount }
    var memoryInUse: Int { tcp.memoryInUse }
    var hasUndelivered: Bool { tcp.hasUndelivered }
    var nextDeadline: Instant { tcp.nextDeadline }
    var statistics: TCPStatistics { tcp.statistics }

    func finish(_ id: TCPConnectionID) { tcp.finish(id, now: now, output: &output) }
    func abort(_ id: TCPConnectionID) { tcp.abort(id, now: now, output: &output) }
    func state(_ id: TCPConnectionID) -> TCPState { tcp.status(id).state }
}

/// A host and a peer that is nothing but hand-made segments.
final class ScriptedPeer {
    let host: Host
    /// The peer's next sequence number, and what it acknowledges.
    var seq: UInt32 = 5_000
    var ack: UInt32 = 0
    var window: UInt16 = 65_535
    /// What its segments carry as timestamps, once the connection stands.
    var stamps: TCPTimestamps?
    var id: TCPConnectionID!
    let port: UInt16 = 40_000
    let hostPort: UInt16 = 80

    init(_ configuration: TCPConfiguration = TCPConfiguration()) {
        host = Host(serverAddress, configuration)
    }

    func deliver(_ segment: Segment, port: UInt16? = nil) {
        var segment = segment
        segment.from = port ?? self.port
        segment.to = hostPort
        host.receive(segment.bytes, from: clientAddress, isMarked: segment.marks)
    }

    /// Delivers at the current numbers.
    func deliver(
        _ flags: TCPFlags = .ack, payload: [UInt8] = [], options: [UInt8] = [], at: UInt32? = nil,
        ack: UInt32? = nil
    ) {
        deliver(
            Segment(
                flags, seq: at ?? seq, ack: ack ?? self.ack, window: window,
                options: (stamps.map { Segment.option($0) } ?? []) + options, payload: payload))
        if at == nil {
            seq &+= UInt32(payload.count) &+ (flags.contains(.fin) ? 1 : 0)
        }
    }

    /// Listens, and carries out the handshake.
    func establish(
        options: [UInt8] = [2, 4, 0x05, 0xB4], backlog: Int = 8, isn: UInt32 = 5_000,
        heedsMarks: Bool = false
    ) throws {
        let listener = try host.tcp.listen(address: nil, port: hostPort, backlog: backlog)
        let bits: TCPFlags = heedsMarks ? [.syn, .ece, .cwr] : .syn
        deliver(Segment(bits, seq: isn, window: window, options: options))
        let answer = try #require(host.takeSent().first)
        #expect(answer.flags == (heedsMarks ? [.syn, .ack, .ece] : [.syn, .ack]))
        #expect(answer.ack == isn &+ 1)
        seq = isn &+ 1
        ack = answer.seq &+ 1
        if let told = answer.stamps {
            stamps = TCPTimestamps(value: told.echo, echo: told.value)
        }
        deliver(.ack)
        let accepted = try #require(host.accept(listener))
        id = accepted
        #expect(host.state(id) == .established)
        #expect(host.takeSent().isEmpty)
        host.events = []
    }

    /// Delivers octets out of a pattern that depends on the sequence number.
    func data(_ count: Int, from: UInt32) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: (from &+ UInt32($0)) &* 31 >> 3) }
    }
}

/// A SACK option with ranges that count in segments of 1 460 octets from `first` on.
func sackOption(_ first: UInt32, _ ranges: [(Int, Int)]) -> [UInt8] {
    var option: [UInt8] = [1, 1, 5, UInt8(2 + 8 * ranges.count)]
    for range in ranges {
        for edge in [range.0, range.1] {
            let number = first &+ UInt32(edge * 1_460)
            option += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
        }
    }
    return option
}
