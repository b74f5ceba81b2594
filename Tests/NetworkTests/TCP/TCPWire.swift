// Helpers of the TCP tests: a wire between two hosts that loses, delays, reorders and duplicates.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

/// What the wire does to segments.
struct WireFaults {
    var loss = 0.0
    var duplication = 0.0
    /// Share of segments that are held back by up to `jitter`.
    var reordering = 0.0
    var delay: UInt64 = 100_000
    var jitter: UInt64 = 2_000_000
    /// Octets per second; 0: without limit.
    var rate: UInt64 = 0
    /// Nanoseconds of queue before the rate from which on packets are marked, or dropped if their
    /// senders do not heed marks; 0: never.
    var markingQueue: UInt64 = 0
}

/// Two hosts and the wire between them.
final class Wire {
    struct Packet {
        var at: UInt64
        var order: UInt64
        var toServer: Bool
        var bytes: [UInt8]
        var isMarked = false
    }

    let client: Host
    let server: Host
    var faults: WireFaults
    var random: SeededRandom
    var now: UInt64 = 1_000 * second
    /// Dropped if it says so: for losses at chosen places.
    var drops: ((Segment, _ toServer: Bool) -> Bool)?
    private(set) var carried = 0
    private(set) var marked = 0
    /// For a queue that was too long.
    private(set) var dropped = 0
    private(set) var heap: [Packet] = []
    private var order: UInt64 = 0
    private var freeAt: [UInt64] = [0, 0]

    init(
        _ faults: WireFaults = WireFaults(), seed: UInt64 = 1,
        client clientConfiguration: TCPConfiguration = TCPConfiguration(),
        server serverConfiguration: TCPConfiguration = TCPConfiguration()
    ) {
        client = Host(clientAddress, clientConfiguration)
        server = Host(serverAddress, serverConfiguration)
        self.faults = faults
        random = SeededRandom(seed: seed)
    }

    /// Puts what both hosts sent onto the wire.
    func collect() {
        for toServer in [true, false] {
            let host = toServer ? client : server
            guard !host.output.sent.isEmpty else { continue }
            let sent = host.output.sent
            host.output.sent = []
            for (_, bytes, marks) in sent {
                carried += 1
                if let drops, drops(Segment(bytes), toServer) { continue }
                if faults.loss > 0, random.chance(faults.loss) { continue }
                push(bytes, toServer, marks)
                if faults.duplication > 0, random.chance(faults.duplication) {
                    push(bytes, toServer, marks)
                }
            }
        }
    }

    private func push(_ bytes: [UInt8], _ toServer: Bool, _ marks: Bool) {
        var at = now + faults.delay
        var isMarked = false
        if faults.rate > 0 {
            let side = toServer ? 1 : 0
            if faults.markingQueue > 0, freeAt[side] > now + faults.markingQueue {
                guard marks else {
                    dropped += 1
                    return
                }
                isMarked = true
                marked += 1
            }
            freeAt[side] =
                max(freeAt[side], now) + UInt64(bytes.count) * second / faults.rate
            at = freeAt[side] + faults.delay
        }
        if faults.reordering > 0, random.chance(faults.reordering) {
            at += random.next() % max(faults.jitter, 1)
        }
        order += 1
        heap.append(
            Packet(at: at, order: order, toServer: toServer, bytes: bytes, isMarked: isMarked))
        var place = heap.count - 1
        while place > 0, before(heap[place], heap[(place - 1) / 2]) {
            heap.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    private func before(_ left: Packet, _ right: Packet) -> Bool {
        left.at != right.at ? left.at < right.at : left.order < right.order
    }

    private func pop() -> Packet {
        heap.swapAt(0, heap.count - 1)
        let packet = heap.removeLast()
        var place = 0
        while true {
            var least = place
            for child in [place * 2 + 1, place * 2 + 2]
            where child < heap.count && before(heap[child], heap[least]) {
                least = child
            }
            if least == place { return packet }
            heap.swapAt(place, least)
            place = least
        }
    }

    /// Goes to the next thing that happens, and lets it. False: nothing ever will.
    @discardableResult
    func step(until end: UInt64 = .max) -> Bool {
        collect()
        let timer = min(
            client.tcp.nextDeadline.nanoseconds, server.tcp.nextDeadline.nanoseconds)
        let packet = heap.first?.at ?? .max
        let next = min(timer, packet)
        guard next != .max, next <= end else { return false }
        now = max(now, next)
        client.now = Instant(nanoseconds: now)
        server.now = Instant(nanoseconds: now)
        if packet <= timer {
            let packet = pop()
            if packet.toServer {
                server.receive(packet.bytes, from: clientAddress, isMarked: packet.isMarked)
            } else {
                client.receive(packet.bytes, from: serverAddress, isMarked: packet.isMarked)
            }
        } else {
            if client.tcp.nextDeadline.nanoseconds <= now { client.poll() }
            if server.tcp.nextDeadline.nanoseconds <= now { server.poll() }
        }
        return true
    }

    /// Runs until the condition holds or the time is over.
    @discardableResult
    func run(for nanoseconds: UInt64, until done: () -> Bool = { false }) -> Bool {
        let end = now + nanoseconds
        while !done() {
            guard step(until: end) else {
                if heap.isEmpty || heap[0].at > end {
                    now = end
                    client.now = Instant(nanoseconds: now)
                    server.now = Instant(nanoseconds: now)
                }
                return done()
            }
        }
        return true
    }

    /// A listener at the server, and an established connection.
    func establish(
        backlog: Int = 16
    ) throws -> (client: TCPConnectionID, server: TCPConnectionID) {
        let listener = try server.tcp.listen(address: nil, port: 80, backlog: backlog)
        let id = try client.tcp.connect(
            from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: client.now,
            output: &client.output)
        var accepted: TCPConnectionID?
        run(for: 300 * second) {
            if accepted == nil { accepted = server.tcp.accept(listener) }
            return accepted != nil && client.state(id) == .established
        }
        return (id, try #require(accepted))
    }
}
