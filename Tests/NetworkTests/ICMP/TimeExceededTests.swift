// Datagrams whose fragments do not all come: RFC 792, RFC 1122 §3.3.2, RFC 4443 §3.3, RFC 8200 §4.5.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite("ICMP: time exceeded in reassembly")
struct TimeExceededTests {
    private static let payload =
        be16(5) + be16(99) + be16(3000) + be16(0) + [1, 2, 3, 4, 5, 6, 7, 8]

    /// A stack of IPv4 that knows its neighbour.
    private func host4() -> LonelyStack {
        var peer = LonelyStack()
        peer.introducePeer()
        return peer
    }

    private func fragment4(
        offset: Int, protocolNumber: UInt8 = 17, to: IPv4Address = LonelyStack.address,
        payload: [UInt8] = payload
    ) -> [UInt8] {
        Frames.ipv4(
            from: LonelyStack.peer, to: to, protocolNumber: protocolNumber, payload,
            fragment: 0x2000 | offset / 8)
    }

    /// The ICMP messages of IPv4 that were sent, from their first octet on.
    private func messages4(_ peer: inout LonelyStack) -> [[UInt8]] {
        peer.sent().filter { $0.count > 34 && $0[12] == 8 && $0[13] == 0 && $0[23] == 1 }
            .map { Array($0[34...]) }
    }

    @Test("The sender is told, with the beginning of what came (RFC 1122 §3.3.2)")
    func told() {
        var peer = host4()
        peer.receivePacket(fragment4(offset: 1480))
        peer.receivePacket(fragment4(offset: 0))
        peer.run(milliseconds: 29_000)
        #expect(messages4(&peer).isEmpty)
        peer.run(milliseconds: 2_000)
        let messages = messages4(&peer)
        #expect(messages.count == 1)
        guard let message = messages.first, message.count >= 36 else { return }
        // Type 11, code 1; the header, and eight octets behind it (RFC 792).
        #expect(message[0] == 11 && message[1] == 1 && message.count == 36)
        #expect(naiveSum(message) == 0xFFFF)
        #expect(message[8] == 0x45 && message[17] == 17)
        #expect(Array(message[20..<24]) == be32(LonelyStack.peer.bits))
        #expect(Array(message[24..<28]) == be32(LonelyStack.address.bits))
        #expect(Array(message[28..<36]) == Array(Self.payload.prefix(8)))
        #expect(seen(peer.stack.reassembly.memory == 0 && peer.stack.reassembly.count == 0))
        #expect(seen(peer.stack.reassembly.nextDeadline == .never))
    }

    @Test(
        "Nobody is told without the first fragment, to groups, and about errors (RFC 1122 §3.2.2)")
    func notTold() {
        var peer = host4()
        peer.receivePacket(fragment4(offset: 1480))
        peer.receivePacket(
            fragment4(offset: 0, to: .broadcast), to: Frames.broadcast)
        peer.receivePacket(
            fragment4(
                offset: 0, protocolNumber: 1, payload: Frames.icmp(type: 3, code: 3, Self.payload)))
        // Overlaps are an attack.
        peer.receivePacket(fragment4(offset: 0, protocolNumber: 200))
        peer.receivePacket(fragment4(offset: 8, protocolNumber: 200))
        peer.run(milliseconds: 31_000)
        #expect(messages4(&peer).isEmpty)
        #expect(seen(peer.stack.reassembly.count == 0))
        // A question is no error.
        peer.introducePeer()
        peer.receivePacket(
            fragment4(
                offset: 0, protocolNumber: 1, payload: Frames.icmp(type: 8, code: 0, Self.payload)))
        peer.run(milliseconds: 31_000)
        #expect(messages4(&peer).map { $0[0] } == [11])
    }

    @Test("It is told at a bounded rate, as all errors are (RFC 1812 §4.3.2.8)")
    func bounded() {
        var peer = LonelyStack {
            $0.errorsPerSecond = 1
            $0.errorBurst = 5
        }
        peer.introducePeer()
        for identification in 0..<16 {
            peer.receivePacket(
                Frames.ipv4(
                    from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 17,
                    Self.payload, identification: identification, fragment: 0x2000))
        }
        peer.run(milliseconds: 31_000)
        #expect(messages4(&peer).count == 5)
        #expect(seen(peer.stack.reassembly.count == 0))
    }

    /// A stack of IPv6 that knows its neighbour.
    private func host6() -> LonelyStack {
        var peer = LonelyStack(ipv6: .automatic)
        peer.receiveSolicitation(of: peer.linkLocal)
        _ = peer.sent()
        return peer
    }

    private func fragment6(
        _ peer: borrowing LonelyStack, offset: Int, next: UInt8 = 17, to: IPAddress? = nil,
        from: IPAddress = LonelyStack.neighbour, payload: [UInt8] = payload
    ) -> [UInt8] {
        Frames.ipv6(
            from: from, to: to ?? peer.stack.addressesIPv6[0].address, next: 44,
            [next, 0] + be16(offset | 1) + be32(5) + payload)
    }

    @Test("The same in IPv6 (RFC 4443 §3.3, RFC 8200 §4.5)")
    func told6() {
        var peer = host6()
        let own = peer.linkLocal
        let beginning = fragment6(peer, offset: 0)
        peer.receive6(beginning)
        peer.run(milliseconds: 31_000)
        let frames = peer.sentMessages(3)
        #expect(frames.count == 1)
        guard let frame = frames.first, frame.count >= 110 else { return }
        #expect(frame[55] == 1 && holds6(frame))
        #expect(address6(frame, 22) == own && address6(frame, 38) == LonelyStack.neighbour)
        // The packet: its addresses, and what the fragment had.
        #expect(address6(frame, 70) == LonelyStack.neighbour && address6(frame, 86) == own)
        #expect(Array(frame[102..<110]) == Array(Self.payload.prefix(8)))
    }

    @Test("Nobody is told whom no address names, nor about groups and errors (RFC 4443 §2.4 (e))")
    func notTold6() {
        var peer = host6()
        let all = v6("ff02::1")
        let later = fragment6(peer, offset: 1232)
        let fromNobody = fragment6(peer, offset: 0, from: .unspecified)
        let toAll = fragment6(peer, offset: 0, to: all)
        let error = fragment6(peer, offset: 0, next: 58, payload: [1, 4, 0, 0, 0, 0, 0, 0])
        peer.receive6(later)
        peer.receive6(fromNobody)
        peer.receiveGroup6(toAll)
        peer.receive6(error)
        peer.run(milliseconds: 31_000)
        #expect(peer.sentMessages(3).isEmpty)
        #expect(seen(peer.stack.reassembly.count == 0))
    }

    @Test("A datagram from no address to a closed port is not answered (RFC 4443 §2.4 (e))")
    func unspecifiedSource() {
        var peer = host6()
        peer.receiveRouter()
        let own = peer.linkLocal
        _ = peer.sent()
        peer.receive6(Frames.udp6(from: (.unspecified, 5), to: (own, 99), [1, 2, 3]))
        peer.receive6(Frames.ipv6(from: .unspecified, to: own, next: 200, [1, 2, 3]))
        peer.run(milliseconds: 1_000)
        #expect(peer.sent().allSatisfy { $0[20] != 58 || $0[54] >= 128 })
        // From somewhere it is.
        peer.receive6(Frames.udp6(from: (LonelyStack.neighbour, 5), to: (own, 99), [1, 2, 3]))
        #expect(peer.sentMessages(1).count == 1)
    }
}
