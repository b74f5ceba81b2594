// RFC 768 and RFC 1122 §4.1: sockets, queues and their bounds, checksums.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct UDPTests {
    private func datagram(
        _ payload: [UInt8], to port: Int = 53, from: Int = 4000
    ) -> [UInt8] {
        Frames.ipv4(
            from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 17,
            Frames.udp(from: (LonelyStack.peer, from), to: (LonelyStack.address, port), payload))
    }

    @Test(arguments: [false, true]) func rfc768WhatIsSentIsAWellFormedDatagram(
        offloads: Bool
    ) throws {
        var peer = LonelyStack(offloads: offloads)
        peer.introducePeer()
        var random = SeededRandom(seed: 768)
        let socket = try peer.stack.bindUDP(port: 4000)
        for length in [0, 1, 2, 511, 1472] {
            let payload = random.bytes(length)
            try peer.stack.sendUDP(
                socket, payload.span.bytes,
                to: SocketAddress(IPAddress(LonelyStack.peer), port: 53), now: peer.now)
            let frame = try #require(seen(peer.sent().first))
            #expect(
                seen(
                    Array(frame[34...])
                        == Frames.udp(
                            from: (LonelyStack.address, 4000), to: (LonelyStack.peer, 53), payload
                        )))
        }
        let long = [UInt8](repeating: 0, count: 1473)
        #expect(throws: UDPError.tooLong) {
            try peer.stack.sendUDP(
                socket, long.span.bytes,
                to: SocketAddress(IPAddress(LonelyStack.peer), port: 53), now: peer.now)
        }
    }

    @Test func rfc768LengthAndChecksumAreChecked() throws {
        var peer = LonelyStack()
        let socket = try peer.stack.bindUDP(port: 53)
        let good = datagram([1, 2, 3, 4])
        for (index, value) in [(24, UInt8(0xFF)), (25, 7), (25, 13), (28, 9), (27, 1)] {
            var bad = good
            bad[index] = value
            peer.receivePacket(bad)
        }
        #expect(seen(peer.stack.statistics.droppedChecksums == 5))
        var unsummed = good
        unsummed[26] = 0
        unsummed[27] = 0
        peer.receivePacket(unsummed)
        #expect(seen(peer.stack.receivedCountUDP(socket) == 1))
        // The card's word suffices.
        var verified = good
        verified[27] ^= 0x10
        peer.receive(
            Frames.ethernet(
                to: LonelyStack.hardware, from: LonelyStack.peerHardware, type: 0x0800, verified),
            verified: true)
        #expect(seen(peer.stack.receivedCountUDP(socket) == 2))
    }

    @Test func eventsCoalesceAndClosedSocketsAreSilent() throws {
        var peer = LonelyStack()
        while peer.stack.nextEvent() != nil {}
        let socket = try peer.stack.bindUDP(port: 53)
        for _ in 0..<5 { peer.receivePacket(datagram([1])) }
        #expect(seen(peer.stack.nextEvent() == .udp(.readable(socket))))
        #expect(seen(peer.stack.nextEvent() == nil))
        peer.receivePacket(datagram([1]))
        peer.stack.closeUDP(socket)
        #expect(seen(peer.stack.nextEvent() == nil))
        #expect(seen(peer.stack.receivedCountUDP(socket) == 0))
        #expect(throws: UDPError.closed) {
            let payload: [UInt8] = []
            try peer.stack.sendUDP(
                socket, payload.span.bytes,
                to: SocketAddress(IPAddress(LonelyStack.peer), port: 53), now: peer.now)
        }
        let next = try peer.stack.bindUDP(port: 53)
        #expect(next != socket && next.slot == socket.slot)
    }

    @Test func portsAndSocketsAreBounded() throws {
        var udp = UDP(configuration: UDPConfiguration(), secret: 1)
        _ = try udp.bind(address: nil, port: 53)
        #expect(throws: UDPError.addressInUse) { try udp.bind(address: nil, port: 53) }
        var ports: Set<UInt16> = []
        for _ in 1..<256 {
            let id = try udp.bind(address: nil, port: 0)
            let port = try #require(seen(udp.binding(id)?.port))
            #expect(port >= 49_152)
            ports.insert(port)
        }
        #expect(ports.count == 255)
        #expect(throws: UDPError.tooManySockets) { try udp.bind(address: nil, port: 1) }
    }

    @Test func theMoreSpecificSocketReceives() throws {
        var udp = UDP(configuration: UDPConfiguration(), secret: 1)
        let any = try udp.bind(address: nil, port: 5)
        let one = try udp.bind(address: IPAddress(IPv4Address(10, 0, 0, 1)), port: 5)
        let remote = SocketAddress(IPAddress(IPv4Address(10, 0, 0, 9)), port: 9)
        let payload: [UInt8] = [1]
        for host: UInt8 in [1, 2] {
            let isTaken = udp.deliver(
                payload.span.bytes, to: 5, at: IPAddress(IPv4Address(10, 0, 0, host)), from: remote)
            #expect(isTaken)
        }
        #expect(seen(udp.count(any) == 1 && udp.count(one) == 1))
    }

    // MARK: The queue

    private let endpoints = UDPEndpoints(
        remote: SocketAddress(IPAddress(IPv4Address(1, 2, 3, 4)), port: 5),
        local: IPAddress(IPv4Address(5, 6, 7, 8)))

    @Test(arguments: [1 as UInt64, 2, 3, 4]) func theQueueAgreesWithAModel(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var queue = DatagramQueue(maximumOctets: 16_384, maximumCount: 40)
        var model: [[UInt8]] = []
        for _ in 0..<4000 {
            if random.chance(perMille: 520) {
                let payload = random.bytes(Int(random.next() % (seed * 500)))
                if queue.append(payload.span.bytes, endpoints: endpoints) {
                    model.append(payload)
                } else {
                    // Only for a reason: too many, or too much.
                    let waiting = model.reduce(0) { $0 + $1.count }
                    #expect(model.count == 40 || waiting + payload.count > 16_384 / 3)
                }
            } else {
                let got = queue.takeFirst { bytes, _ in copy(bytes) }
                #expect(got == (model.isEmpty ? nil : model.removeFirst()))
            }
            #expect(seen(queue.count == model.count))
            #expect(seen(queue.memory <= 16_384))
        }
    }

    @Test func anEmptiedQueueGivesItsMemoryBack() {
        var queue = DatagramQueue(maximumOctets: 65_536, maximumCount: 100)
        #expect(seen(queue.memory == 0))
        let payload = [UInt8](repeating: 1, count: 1400)
        for _ in 0..<100 { _ = queue.append(payload.span.bytes, endpoints: endpoints) }
        #expect(seen(queue.memory == 65_536))
        while queue.takeFirst({ _, _ in true }) != nil {}
        #expect(seen(queue.memory <= 2048))
    }

    @Test func aFloodOverflowsOneQueueOnly() throws {
        var peer = LonelyStack()
        let flooded = try peer.stack.bindUDP(port: 53)
        let other = try peer.stack.bindUDP(port: 54)
        let payload = [UInt8](repeating: 1, count: 1000)
        for _ in 0..<2000 { peer.receivePacket(datagram(payload)) }
        peer.receivePacket(datagram(payload, to: 54))
        #expect(seen(peer.stack.receivedCountUDP(flooded) == 65))
        #expect(seen(peer.stack.receivedCountUDP(other) == 1))
        #expect(seen(peer.stack.udp.memory <= 70_000))
        #expect(seen(peer.stack.udp.overflows == 1935))
    }
}
