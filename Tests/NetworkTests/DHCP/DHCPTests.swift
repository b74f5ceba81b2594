// RFC 2131 and 2132: a lease's life against a simulated server, and servers that lie.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct DHCPTests {
    static let server = IPv4Address(192, 168, 7, 1)
    static let offered = IPv4Address(192, 168, 7, 50)

    /// A client that has begun.
    private func begin() -> LonelyStack {
        var peer = LonelyStack(configured: false) { $0.hostName = Array("unikernel".utf8) }
        peer.stack.configure(.dhcp, now: peer.now)
        return peer
    }

    private func messages(_ peer: inout LonelyStack) -> [ClientMessage] {
        peer.sent().compactMap { ClientMessage(frame: $0) }
    }

    private func answer(
        _ peer: inout LonelyStack, _ message: ServerMessage, broadcast: Bool = false
    ) {
        peer.receive(
            message.frame(
                to: broadcast ? .broadcast : message.your,
                hardware: broadcast ? Frames.broadcast : LonelyStack.hardware))
    }

    /// Runs discover, offer, request and ack.
    private func bind(
        _ peer: inout LonelyStack, broadcast: Bool = false,
        _ change: (inout ServerMessage) -> Void = { _ in }
    ) throws {
        let discover = try #require(seen(messages(&peer).last))
        #expect(discover.type == 1)
        var offer = ServerMessage(2, to: discover)
        change(&offer)
        answer(&peer, offer, broadcast: broadcast)
        let request = try #require(seen(messages(&peer).last))
        #expect(request.type == 3)
        var acknowledge = ServerMessage(5, to: request)
        change(&acknowledge)
        answer(&peer, acknowledge, broadcast: broadcast)
    }

    @Test(arguments: [false, true]) func rfc2131Section3_1ALeaseIsObtained(
        broadcast: Bool
    ) throws {
        var peer = begin()
        let discovers = messages(&peer)
        let discover = try #require(discovers.first)
        #expect(discovers.count == 1)
        #expect(discover.source == .any && discover.destination == .broadcast)
        #expect(discover.options[12] == Array("unikernel".utf8))
        #expect(discover.options[61] == [1] + be48(LonelyStack.hardware))
        #expect(discover.options[50] == nil && discover.options[54] == nil)
        answer(&peer, ServerMessage(2, to: discover), broadcast: broadcast)
        let request = try #require(seen(messages(&peer).first))
        #expect(request.transaction == discover.transaction)
        #expect(request.source == .any && request.destination == .broadcast)
        #expect(request.clientAddress == [0, 0, 0, 0])
        #expect(request.options[50] == be32(Self.offered.bits))
        #expect(request.options[54] == be32(Self.server.bits))
        #expect(seen(peer.stack.configuration == nil))
        answer(&peer, ServerMessage(5, to: request), broadcast: broadcast)
        let configuration = try #require(seen(peer.stack.configuration))
        #expect(configuration.network == IPv4Network(Self.offered, prefixLength: 24))
        #expect(configuration.gateway == Self.server)
        #expect(
            seen(
                peer.stack.lease?.nameServers == [IPv4Address(9, 9, 9, 9), IPv4Address(8, 8, 8, 8)])
        )
        #expect(seen(peer.stack.nextEvent() == .addressChanged))
        #expect(seen(peer.stack.nextEvent() == nil))
    }

    @Test func rfc2131Section4_1RetransmissionsBackOff() {
        var peer = begin()
        var times: [UInt64] = []
        let start = peer.now.nanoseconds
        for _ in 0..<400 {
            for message in messages(&peer) where message.type == 1 {
                times.append(peer.now.nanoseconds - start)
            }
            peer.run(milliseconds: 1000)
        }
        // 1, 2, 4 … 64 s, each an eighth more or less.
        #expect(times.count >= 9 && times.count <= 12)
        for index in 2..<times.count {
            let gap = times[index] - times[index - 1]
            #expect(gap <= 75_000_000_000)
            #expect(gap > 1_000_000_000)
        }
    }

    @Test func offersGetFourRequestsThenTheSearchBeginsAgain() throws {
        var peer = begin()
        let discover = try #require(seen(messages(&peer).first))
        answer(&peer, ServerMessage(2, to: discover))
        peer.run(milliseconds: 60_000)
        let sent = messages(&peer)
        let requests = sent.prefix { $0.type == 3 }
        #expect(requests.count == 4)
        #expect(sent.dropFirst(4).first?.type == 1)
        #expect(sent.dropFirst(4).first?.transaction != discover.transaction)
    }

    @Test func rfc2131Section4_4_5RenewalIsUnicastAtT1() throws {
        var peer = begin()
        try bind(&peer)
        peer.run(milliseconds: 1_799_000)
        #expect(seen(messages(&peer).isEmpty))
        peer.introduceServer()
        peer.run(milliseconds: 2_000)
        let renewal = try #require(seen(messages(&peer).first))
        #expect(renewal.type == 3)
        #expect(renewal.destination == Self.server && renewal.source == Self.offered)
        #expect(renewal.clientAddress == be32(Self.offered.bits))
        #expect(renewal.options[50] == nil && renewal.options[54] == nil)
        let before = try #require(seen(peer.stack.lease?.expiry))
        answer(&peer, ServerMessage(5, to: renewal))
        #expect(seen(try #require(peer.stack.lease?.expiry) > before))
        while let event = peer.stack.nextEvent() { #expect(event == .addressChanged) }
        peer.run(milliseconds: 10_000)
        #expect(seen(messages(&peer).isEmpty))
    }

    @Test func rfc2131Section4_4_5RebindingIsBroadcastAtT2AndTheLeaseEnds() throws {
        var peer = begin()
        try bind(&peer)
        // T2 is at 3150 s, the end at 3600 s.
        let renewing = peer.runWithServer(seconds: 3151)
        let last = try #require(renewing.last)
        #expect(last.type == 3 && last.destination == .broadcast)
        #expect(last.clientAddress == be32(Self.offered.bits))
        #expect(renewing.count > 2 && renewing.count < 10)
        #expect(seen(peer.stack.configuration != nil))
        peer.run(milliseconds: 450_000)
        #expect(seen(peer.stack.configuration == nil))
        #expect(seen(peer.stack.lease == nil))
        #expect(seen(messages(&peer).last?.type == 1))
    }

    @Test func aRebindingIsAnsweredByAnotherServer() throws {
        var peer = begin()
        try bind(&peer)
        peer.run(milliseconds: 3_151_000)
        let rebinding = try #require(seen(messages(&peer).last))
        var message = ServerMessage(5, to: rebinding)
        message.set(54, [192, 168, 7, 2])
        answer(&peer, message)
        #expect(seen(peer.stack.lease?.server == IPv4Address(192, 168, 7, 2)))
        #expect(seen(peer.stack.configuration?.address == Self.offered))
    }

    @Test func rfc2131Section3_1NAKStartsAgain() throws {
        var peer = begin()
        let discover = try #require(seen(messages(&peer).first))
        answer(&peer, ServerMessage(2, to: discover))
        let request = try #require(seen(messages(&peer).first))
        answer(&peer, ServerMessage(6, to: request), broadcast: true)
        #expect(seen(peer.stack.configuration == nil))
        peer.run(milliseconds: 1_500)
        #expect(seen(messages(&peer).last?.type == 1))
    }

    @Test func aNAKOfARenewalTakesTheAddressAway() throws {
        var peer = begin()
        try bind(&peer)
        let renewal = try #require(seen(peer.runWithServer(seconds: 1801).last))
        answer(&peer, ServerMessage(6, to: renewal))
        #expect(seen(peer.stack.configuration == nil))
        peer.run(milliseconds: 1_500)
        try bind(&peer)
        #expect(seen(peer.stack.configuration?.address == Self.offered))
    }

    @Test func rfc2131Section4_4_1AnAddressInUseIsDeclined() throws {
        var peer = begin()
        try bind(&peer)
        #expect(seen(peer.stack.configuration != nil))
        // The owner answers the probe.
        peer.receive(
            Frames.arp(
                operation: 2, sender: (0x0200_0000_0055, Self.offered),
                target: (LonelyStack.hardware, .any), to: LonelyStack.hardware))
        #expect(seen(peer.stack.configuration == nil))
        let decline = try #require(seen(messages(&peer).last))
        #expect(decline.type == 4)
        #expect(decline.options[50] == be32(Self.offered.bits))
        #expect(decline.options[54] == be32(Self.server.bits))
        peer.run(milliseconds: 9_900)
        #expect(seen(messages(&peer).isEmpty))
        peer.run(milliseconds: 200)
        #expect(seen(messages(&peer).last?.type == 1))
    }

    @Test func anInfiniteLeaseIsNotRenewed() throws {
        var peer = begin()
        try bind(&peer) { $0.set(51, be32(.max)) }
        #expect(seen(peer.stack.lease?.expiry == .never))
        peer.run(milliseconds: 100_000_000)
        #expect(seen(messages(&peer).isEmpty))
    }

    @Test func rfc2131Section4_1OptionOverloadIsRead() throws {
        var peer = begin()
        let discover = try #require(seen(messages(&peer).first))
        var offer = ServerMessage(2, to: discover)
        offer.set(51, nil)
        offer.set(52, [1])
        var payload = offer.payload
        payload.replaceSubrange(108..<115, with: [51, 4, 0, 0, 14, 16, 255])
        let client = DHCPMessage(payload.span.bytes)
        #expect(client?.leaseSeconds == 3600)
    }

    // MARK: Servers that lie

    @Test func answersToOthersAreIgnored() throws {
        var peer = begin()
        let discover = try #require(seen(messages(&peer).first))
        var wrong = ServerMessage(2, to: discover)
        wrong.transaction[0] ^= 1
        answer(&peer, wrong, broadcast: true)
        var foreign = ServerMessage(2, to: discover)
        foreign.hardware = 0x0200_0000_0002
        answer(&peer, foreign, broadcast: true)
        // An acknowledgement that nobody asked for.
        answer(&peer, ServerMessage(5, to: discover), broadcast: true)
        #expect(seen(messages(&peer).isEmpty))
        #expect(seen(peer.stack.configuration == nil))
    }

    @Test func senselessOffersAreIgnored() throws {
        let lies: [(inout ServerMessage) -> Void] = [
            { $0.your = .any }, { $0.your = .broadcast }, { $0.your = IPv4Address(127, 0, 0, 1) },
            { $0.your = IPv4Address(224, 1, 1, 1) }, { $0.your = IPv4Address(192, 168, 7, 255) },
            { $0.your = IPv4Address(192, 168, 7, 0) }, { $0.set(51, nil) },
            { $0.set(51, be32(0)) }, { $0.set(51, [1]) }, { $0.set(54, nil) },
            { $0.set(54, be32(0)) }, { $0.set(1, [255, 0, 255, 0]) }, { $0.set(1, be32(0)) },
            { $0.set(53, nil) }, { $0.set(53, [2, 2]) }, { $0.set(53, [99]) },
        ]
        for lie in lies {
            var peer = begin()
            let discover = try #require(seen(messages(&peer).first))
            var offer = ServerMessage(2, to: discover)
            lie(&offer)
            answer(&peer, offer, broadcast: true)
            #expect(seen(messages(&peer).isEmpty))
        }
    }

    @Test func timesOutOfOrderGetTheirDefaults() throws {
        var peer = begin()
        try bind(&peer) {
            $0.set(58, be32(9000))
            $0.set(59, be32(9999))
        }
        let lease = try #require(seen(peer.stack.lease))
        #expect(lease.renewal < lease.rebinding && lease.rebinding < lease.expiry)
        #expect(lease.expiry.nanoseconds - lease.renewal.nanoseconds == 1_800_000_000_000)
    }

    @Test func aRouterThatIsNoHostIsNoGateway() throws {
        var peer = begin()
        try bind(&peer) { $0.set(3, be32(.max)) }
        #expect(seen(peer.stack.configuration != nil))
        #expect(seen(peer.stack.configuration?.gateway == nil))
    }

    @Test func mutatedMessagesNeverTrap() throws {
        var random = SeededRandom(seed: 2131)
        var peer = begin()
        let discover = try #require(seen(messages(&peer).first))
        let good = ServerMessage(2, to: discover).payload
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int(random.next() % 6) + 1 {
                let place = 200 + Int(random.next() % UInt64(bytes.count - 200))
                bytes[place] = UInt8(truncatingIfNeeded: random.next())
            }
            let length = random.chance(perMille: 300) ? Int(random.next() % 300) : bytes.count
            _ = DHCPMessage(bytes.span.bytes.extracting(0..<min(length, bytes.count)))
        }
    }
}

extension LonelyStack {
    /// Makes the DHCP server a known neighbour.
    mutating func introduceServer() {
        receive(
            Frames.arp(
                operation: 1, sender: (Self.peerHardware, DHCPTests.server),
                target: (0, DHCPTests.offered), to: Frames.broadcast))
    }

    /// Lets time pass, answers ARP requests for the server, and tells what the client sent.
    mutating func runWithServer(seconds: Int) -> [ClientMessage] {
        var messages: [ClientMessage] = []
        for _ in 0..<seconds {
            run(milliseconds: 1000)
            for frame in sent() {
                if let message = ClientMessage(frame: frame) { messages.append(message) }
                if frame[12...13].elementsEqual([8, 6]) { introduceServer() }
            }
        }
        return messages
    }
}
