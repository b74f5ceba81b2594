// Random links, long runs: what has to hold at every step, whatever the link does.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

/// A connection over a wire, watched: each segment that is sent, and both ends after each step.
private final class WatchedWire {
    let wire: Wire
    let ids: (client: TCPConnectionID, server: TCPConnectionID)
    /// Octets of sequence space that each side sent: the first time, and again.
    var fresh = [0, 0]
    var again = [0, 0]
    /// Up to where each side has sent, and up to where the other allowed it, as seen on the wire.
    private var highest: [SequenceNumber]
    private var allowed: [SequenceNumber]
    private var acknowledged: [SequenceNumber]
    private(set) var complaints: [String] = []
    private var shift: [Int]

    init(_ wire: Wire) throws {
        self.wire = wire
        ids = try wire.establish()
        let client = Int(ids.client.index)
        let server = Int(ids.server.index)
        highest = [
            wire.client.tcp.connections[client].sndNxt, wire.server.tcp.connections[server].sndNxt,
        ]
        allowed = [
            wire.server.tcp.connections[server].rcvEdge,
            wire.client.tcp.connections[client].rcvEdge,
        ]
        acknowledged = [
            wire.client.tcp.connections[client].sndUna, wire.server.tcp.connections[server].sndUna,
        ]
        shift = [
            Int(wire.client.tcp.connections[client].receiveShift),
            Int(wire.server.tcp.connections[server].receiveShift),
        ]
        wire.drops = { [unowned self] segment, toServer in
            watch(segment, toServer ? 0 : 1)
            return false
        }
    }

    private func complain(_ what: String) {
        if complaints.count < 5 { complaints.append("\(what), at \(wire.now)") }
    }

    /// A segment that `side` sends.
    private func watch(_ segment: Segment, _ side: Int) {
        guard !segment.flags.contains(.syn), !segment.flags.contains(.rst) else { return }
        let start = SequenceNumber(segment.seq)
        let end = start + segment.payload.count + (segment.flags.contains(.fin) ? 1 : 0)
        if start > highest[side] { complain("side \(side) leaves a gap") }
        // A probe of a closed window is one octet beyond it, and so may a FIN be.
        if end > allowed[side] + 1 { complain("side \(side) sends beyond the window") }
        fresh[side] += max(end - highest[side], 0)
        again[side] += max(min(highest[side] - start, end - start), 0)
        highest[side] = SequenceNumber.later(highest[side], end)
        let ack = SequenceNumber(segment.ack)
        let other = 1 - side
        if ack > highest[other] { complain("side \(side) acknowledges what was never sent") }
        if ack < acknowledged[other] { complain("side \(side) takes an acknowledgement back") }
        acknowledged[other] = ack
        let edge = ack + Int(segment.window) << shift[side]
        // The scale hides less than one unit of it. In TIME-WAIT there is no window any more.
        let host = side == 0 ? wire.client : wire.server
        let state = host.state(side == 0 ? ids.client : ids.server)
        if state == .timeWait { return }
        if edge + 1 << shift[side] <= allowed[other] {
            complain("side \(side) takes its window back")
        }
        allowed[other] = SequenceNumber.later(allowed[other], edge)
        if segment.payload.count > 1_460 { complain("side \(side) sends too long a segment") }
    }

    /// What has to hold of each control block between two steps.
    func check() {
        check(wire.client, Int(ids.client.index))
        check(wire.server, Int(ids.server.index))
    }

    private func check(_ host: Host, _ index: Int) {
        let inFlight = host.tcp.connections[index].inFlight
        let queued = host.tcp.connections[index].sendRing.count
        if inFlight < 0 || inFlight > queued + 1 { complain("in flight: \(inFlight) of \(queued)") }
        let pipe = host.tcp.connections[index].pipe
        if pipe < 0 || pipe > max(inFlight, 0) { complain("pipe: \(pipe) of \(inFlight)") }
        let window = host.tcp.connections[index].congestion.window
        if window < host.tcp.connections[index].mss || window > 1 << 26 {
            complain("congestion window \(window)")
        }
        let held = host.tcp.connections[index].receiveRing.count
        if held > host.tcp.connections[index].receiveLimit { complain("\(held) octets held") }
        if host.tcp.connections[index].rcvEdge < host.tcp.connections[index].rcvNxt {
            complain("a window that ends before it begins")
        }
        if host.tcp.connections[index].state == .established, inFlight > 0,
            host.tcp.connections[index].retransmitAt == .max
        {
            complain("octets in flight without a timer")
        }
        var last = host.tcp.connections[index].sndUna
        for place in 0..<host.tcp.connections[index].sacked.count {
            let range = host.tcp.connections[index].sacked[place]
            if range.start < last || range.end <= range.start { complain("scoreboard") }
            last = range.end
        }
        if last > host.tcp.connections[index].sndNxt { complain("scoreboard beyond SND.NXT") }
        last = host.tcp.connections[index].rcvNxt
        for place in 0..<host.tcp.connections[index].outOfOrder.count {
            let range = host.tcp.connections[index].outOfOrder[place]
            if range.start < last || range.end <= range.start { complain("ranges out of order") }
            last = range.end
        }
        if last > host.tcp.connections[index].rcvEdge { complain("octets beyond the window") }
    }
}

@Suite("TCP: random links")
struct TCPRandomLinkTests {
    /// Half a million segments, with the shares of loss, delay and reordering of each seed; each
    /// side sends, reads and pauses as the seed says.
    @Test("what must hold, holds on every link", arguments: 0..<5)
    func invariants(part: Int) throws {
        var segments = 0
        var seed = UInt64(part) << 32
        while segments < 100_000 {
            seed += 1
            var random = SeededRandom(seed: seed)
            var faults = WireFaults(
                loss: [0, 0, 0.01, 0.03, 0.15][Int(random.next() % 5)],
                duplication: [0, 0, 0.02, 0.1][Int(random.next() % 4)],
                reordering: [0, 0, 0.02, 0.3][Int(random.next() % 4)],
                delay: [20_000, 500_000, 20_000_000, 150_000_000][Int(random.next() % 4)],
                jitter: 1 + random.next() % 30_000_000)
            if random.chance(0.4) {
                faults.rate = 100_000 << (random.next() % 8)
                faults.markingQueue = random.chance(0.5) ? 20 * millisecond : 0
            }
            var configuration = TCPConfiguration()
            configuration.timestamps = random.chance(0.7)
            configuration.congestionNotification = random.chance(0.5)
            configuration.maximumReceiveBuffer = 2_000 << (random.next() % 10)
            configuration.options.noDelay = random.chance(0.7)
            segments += try run(&random, faults, configuration, seed)
        }
    }

    /// One connection to its end; returns the segments that it took.
    private func run(
        _ random: inout SeededRandom, _ faults: WireFaults, _ configuration: TCPConfiguration,
        _ seed: UInt64
    ) throws -> Int {
        let wire = Wire(faults, seed: random.next(), client: configuration, server: configuration)
        let watched = try WatchedWire(wire)
        let sizes = [Int(random.next() % 2_000_000), Int(random.next() % 200_000)]
        let slowReader = random.chance(0.2)
        var sent = [0, 0]
        var received = [0, 0]
        var isRight = true
        var nextRead: [UInt64] = [0, 0]
        let pattern = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 167 >> 3) }
        var finished = [false, false]
        let end = wire.now + 36_000 * second
        while wire.now < end {
            for side in 0..<2 {
                let host = side == 0 ? wire.client : wire.server
                let id = side == 0 ? watched.ids.client : watched.ids.server
                if sent[side] < sizes[side], host.sendRoom(id) > 0 {
                    let start = sent[side] & 0xFFFF
                    let most = random.chance(0.1) ? 1 + Int(random.next() % 3_000) : 65_536
                    let count = min(65_536 - start, sizes[side] - sent[side], most)
                    sent[side] += host.send(id, Array(pattern[start..<start + count]))
                }
                if sent[side] == sizes[side], !finished[side] {
                    finished[side] = true
                    host.finish(id)
                }
                if slowReader {
                    if wire.now < nextRead[side] { continue }
                    nextRead[side] = wire.now + random.next() % (50 * millisecond)
                }
                let octets = host.read(id)
                // A sample: octets that are missing, doubled or misplaced move all that follow.
                for offset in stride(from: 0, to: octets.count, by: 61)
                where octets[offset] != pattern[(received[side] + offset) & 0xFFFF] {
                    isRight = false
                }
                received[side] += octets.count
            }
            watched.check()
            if received[1] == sizes[0], received[0] == sizes[1] { break }
            if !wire.step(until: end) {
                // Nothing is under way; a reader that pauses goes on.
                guard slowReader else { break }
                wire.run(for: 50 * millisecond)
            }
        }
        let about: Comment = "seed \(seed) \(faults)"
        #expect(isRight, about)
        #expect(received == [sizes[1], sizes[0]], about)
        #expect(watched.complaints == [], about)
        // What goes again is in proportion to what the link lost, repeated or delayed.
        let bad = faults.loss * 4 + faults.reordering * 2 + (wire.dropped > 0 ? 1 : 0) + 0.02
        for side in 0..<2 {
            let most = Double(watched.fresh[side]) * bad + 100_000
            #expect(Double(watched.again[side]) <= most, about)
        }
        for (host, id) in [(wire.client, watched.ids.client), (wire.server, watched.ids.server)] {
            host.tcp.release(id)
        }
        wire.drops = nil
        wire.faults = WireFaults()
        wire.run(for: 1_000 * second)
        for host in [wire.client, wire.server] {
            #expect(host.connectionCount == 0 && host.memoryInUse == 0, about)
            #expect(host.nextDeadline == .never, about)
        }
        return wire.carried
    }
}
