// Two stacks on one link: the protocols together, end to end.

import SwiftletNetwork
import SwiftletTestSupport
import Testing

@Suite struct TwoStacksTests {
    @Test func aDatagramWaitsForARPAndArrives() throws {
        var link = SimulatedLink(seed: 1)
        link.configure()
        let client = try link.left.bindUDP(port: 0)
        let server = try link.right.bindUDP(port: 53)
        try link.left.sendUDP(
            client, ([1, 2, 3] as [UInt8]).span.bytes,
            to: SocketAddress(IPAddress(SimulatedLink.rightAddress), port: 53), now: link.now)
        link.run(milliseconds: 10)
        let from = link.right.receiveUDP(server) { bytes, endpoints in
            #expect(bytes.byteCount == 3)
            #expect(endpoints.local == IPAddress(SimulatedLink.rightAddress))
            return endpoints.remote
        }
        #expect(from?.address == IPAddress(SimulatedLink.leftAddress))
        #expect(seen(from?.port == link.left.portUDP(client)))
        #expect(seen(link.left.statistics.droppedFrames == 0))
    }

    @Test(arguments: [1 as UInt64, 2, 3]) func datagramsOverABadLinkAreWholeOrLost(
        seed: UInt64
    ) throws {
        var link = SimulatedLink(.bad, seed: seed)
        link.configure()
        let client = try link.left.bindUDP(port: 1000)
        let server = try link.right.bindUDP(port: 2000)
        var random = SeededRandom(seed: seed)
        var sent: Set<[UInt8]> = []
        var received = 0
        let to = SocketAddress(IPAddress(SimulatedLink.rightAddress), port: 2000)
        for _ in 0..<500 {
            let payload = random.bytes(Int(random.next() % 1400) + 8)
            sent.insert(payload)
            try? link.left.sendUDP(client, payload.span.bytes, to: to, now: link.now)
            link.run(milliseconds: 3)
            while let bytes = link.right.receiveUDP(server, { bytes, _ in copy(bytes) }) {
                #expect(sent.contains(bytes))
                received += 1
            }
        }
        #expect(received > 450)
        #expect(seen(link.right.receivedCountUDP(server) == 0))
    }

    @Test func loopbackReachesOurselvesWithoutTheWire() throws {
        var link = SimulatedLink(seed: 4)
        link.configure()
        link.run(milliseconds: 10_000)
        let carried = link.framesCarried
        let one = try link.left.bindUDP(port: 1)
        let two = try link.left.bindUDP(port: 2)
        for address in [IPv4Address(127, 0, 0, 1), SimulatedLink.leftAddress] {
            try link.left.sendUDP(
                one, ([7] as [UInt8]).span.bytes, to: SocketAddress(IPAddress(address), port: 2),
                now: link.now)
            link.run(milliseconds: 1)
            let from = link.left.receiveUDP(two) { _, endpoints in endpoints.remote }
            #expect(from == SocketAddress(IPAddress(address), port: 1))
        }
        #expect(seen(link.framesCarried == carried))
    }
}

func copy(_ bytes: RawSpan) -> [UInt8] {
    bytes.withUnsafeBytes { [UInt8]($0) }
}
