// ICMP errors about TCP: RFC 1122 §4.2.3.9, RFC 5927, and path MTU discovery (RFC 1191).

import Testing

@testable import SwiftletNetwork

@Suite struct TCPErrorTests {
    private static let port = 40_000

    /// A stack that has begun to connect to the peer, and the SYN's packet.
    private struct Opening: ~Copyable {
        var peer = LonelyStack()
        let id: TCPConnectionID
        let syn: [UInt8]

        init() throws {
            peer.introducePeer()
            id = try peer.stack.connect(
                to: SocketAddress(IPAddress(LonelyStack.peer), port: UInt16(port)), now: peer.now)
            syn = Array(peer.sent()[0][14...])
        }

        /// The network reports an error about `packet`.
        mutating func report(
            type: UInt8 = 3, code: UInt8, rest: UInt32 = 0, about packet: [UInt8],
            sequenceOffset: Int = 0
        ) {
            var quoted = Array(packet[0..<28])
            let sequence = number(packet, at: 24) &+ UInt32(truncatingIfNeeded: sequenceOffset)
            quoted.replaceSubrange(24..<28, with: be32(sequence))
            peer.receivePacket(
                Frames.ipv4(
                    from: LonelyStack.stranger, to: LonelyStack.address, protocolNumber: 1,
                    Frames.icmp(type: type, code: code, rest: rest, quoted)))
        }

        /// A segment of the peer's, which acknowledges `acknowledged` octets behind the SYN.
        mutating func answer(flags: UInt8, sequence: UInt32, acknowledged: UInt32 = 0) {
            let local = Int(number(syn, at: 20) >> 16)
            peer.receivePacket(
                Frames.ipv4(
                    from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 6,
                    Frames.tcp(
                        from: (LonelyStack.peer, port), to: (LonelyStack.address, local),
                        sequence: sequence,
                        acknowledgement: number(syn, at: 24) &+ 1 &+ acknowledged, flags: flags)))
        }

        /// Establishes the connection and sends so many octets; the packets that carry them.
        mutating func establish(sending count: Int) -> [[UInt8]] {
            answer(flags: 0x12, sequence: 100)
            _ = peer.sent()
            let data = [UInt8](repeating: 7, count: count)
            let taken = peer.stack.send(peer.stack.handle(id)!, data.span.bytes)
            #expect(taken == count)
            peer.stack.flush(id, now: peer.now)
            return peer.sent().map { Array($0[14...]) }
        }

        var status: TCPStatus { peer.stack.status(id) }
    }

    private static func number(_ packet: [UInt8], at offset: Int) -> UInt32 {
        packet[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    @Test(arguments: [2, 3] as [UInt8])
    func rfc1122Section4_2_3_9HardErrorsRefuseAnOpening(code: UInt8) throws {
        var opening = try Opening()
        opening.report(code: code, about: opening.syn)
        #expect(opening.status.state == .closed)
        #expect(opening.status.failure == .refused)
        let event = opening.peer.stack.nextEvent()
        #expect(event == .tcp(.closed(opening.id)))
    }

    @Test(
        arguments: [(3, 0), (3, 1), (3, 5), (3, 13), (11, 0), (11, 1), (12, 0)] as [(UInt8, UInt8)])
    func rfc1122Section4_2_3_9SoftErrorsAbortNothing(type: UInt8, code: UInt8) throws {
        var opening = try Opening()
        opening.report(type: type, code: code, about: opening.syn)
        #expect(opening.status.state == .synSent)
        opening.answer(flags: 0x12, sequence: 100)
        #expect(opening.status.state == .established)
    }

    @Test func rfc1122Section4_2_3_9SoftErrorsTellWhyItTimedOut() throws {
        var silent = try Opening()
        silent.peer.run(milliseconds: 200_000)
        #expect(silent.status.failure == .timedOut)
        var told = try Opening()
        told.report(code: 1, about: told.syn)
        told.peer.run(milliseconds: 200_000)
        #expect(told.status.failure == .unreachable)
        // What was reported before an acknowledgement is no longer true.
        var recovered = try Opening()
        recovered.report(code: 1, about: recovered.syn)
        let sent = recovered.establish(sending: 10)
        #expect(sent.count == 1)
        recovered.peer.run(milliseconds: 2_000_000)
        #expect(recovered.status.failure == .timedOut)
    }

    @Test func rfc6633SourceQuenchIsIgnored() throws {
        var opening = try Opening()
        opening.report(type: 4, code: 0, about: opening.syn)
        opening.peer.run(milliseconds: 200_000)
        #expect(opening.status.failure == .timedOut)
    }

    @Test(arguments: [-1, 1, 70_000, -70_000])
    func rfc5927Section4_1OnlySequenceNumbersInFlightCount(offset: Int) throws {
        var opening = try Opening()
        opening.report(code: 3, about: opening.syn, sequenceOffset: offset)
        #expect(opening.status.state == .synSent)
        let sent = opening.establish(sending: 1_000)
        opening.report(
            code: 4, rest: 600, about: sent[0], sequenceOffset: offset > 0 ? offset + 999 : offset)
        let isSilent = opening.peer.sent().isEmpty
        #expect(isSilent)
        #expect(opening.status.maximumSegmentSize == 536)
        let other = opening.peer.stack.interface.maximumSegment(to: IPAddress(LonelyStack.peer))
        #expect(other == 1480)
    }

    @Test(arguments: [2, 3] as [UInt8])
    func rfc5927Section5_2HardErrorsDoNotEndAnEstablishedConnection(code: UInt8) throws {
        var opening = try Opening()
        let sent = opening.establish(sending: 100)
        opening.report(code: code, about: sent[0])
        #expect(opening.status.state == .established)
        opening.answer(flags: 0x10, sequence: 101, acknowledged: 100)
        #expect(opening.status.unacknowledged == 0)
    }

    @Test func rfc1191Section3_1WhatMayComeIsNotWhatMayGo() throws {
        var opening = try Opening()
        let sent = opening.establish(sending: 1_000)
        opening.report(code: 4, rest: 556, about: sent[0])
        _ = opening.peer.sent()
        _ = try opening.peer.stack.connect(
            to: SocketAddress(IPAddress(LonelyStack.peer), port: 7), now: opening.peer.now)
        // The way back may be another: all that the link takes is offered (RFC 9293 §3.7.1).
        let syn = Array(try #require(opening.peer.sent().first)[14...])
        #expect(Array(syn[40..<44]) == [2, 4] + be16(1_460))
    }

    @Test func rfc1191Section6_4SegmentsTooLongGoAgainShorter() throws {
        var opening = try Opening()
        let sent = opening.establish(sending: 1_000)
        #expect(sent.map(\.count) == [40 + 536, 40 + 464])
        // The link of a router on the way takes 576 octets less 20.
        opening.report(code: 4, rest: 556, about: sent[0])
        #expect(opening.status.maximumSegmentSize == 556 - 40)
        let again = opening.peer.sent().map { Array($0[14...]) }
        #expect(again.map(\.count) == [556, 40 + 1_000 - 516])
        #expect(Self.number(again[0], at: 24) == Self.number(sent[0], at: 24))
        // The same about the second segment changes nothing more.
        opening.report(code: 4, rest: 556, about: sent[1])
        let isSilent = opening.peer.sent().isEmpty
        #expect(isSilent)
        opening.answer(flags: 0x10, sequence: 101, acknowledged: 1_000)
        #expect(opening.status.unacknowledged == 0)
    }
}
