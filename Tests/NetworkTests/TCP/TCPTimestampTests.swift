// Timestamps: RFC 7323 §3 (the option), §4 (what is echoed), §5 (PAWS), RFC 6191, RFC 4987.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: timestamps and PAWS (RFC 7323)")
struct TCPTimestampTests {
    private static let offer: [UInt8] = [2, 4, 5, 0xB4, 1, 1, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0]

    private func established() throws -> ScriptedPeer {
        let peer = ScriptedPeer()
        try peer.establish(options: Self.offer)
        return peer
    }

    @Test("both offer, then every segment carries them, and the MSS shrinks (§3.2, RFC 6691 §2)")
    func negotiated() throws {
        let peer = try established()
        let host = peer.host
        #expect(peer.stamps?.value == 100)
        #expect(host.status(peer.id).maximumSegmentSize == 1_448)
        host.send(peer.id, peer.data(3_000, from: 0))
        host.advance(5 << 20)
        peer.deliver(payload: [1])
        host.finish(peer.id)
        peer.deliver([.fin, .ack], payload: [2])
        let sent = host.takeSent()
        #expect(sent.count >= 4)
        #expect(sent.allSatisfy { $0.stamps?.echo == 100 && $0.options.count == 12 })
        #expect(sent.map(\.payload.count).prefix(3) == [1_448, 1_448, 104])
    }

    @Test("a peer that offers none gets none, and a configuration without offers none (§2.2)")
    func notNegotiated() throws {
        let peer = ScriptedPeer()
        try peer.establish()
        peer.host.send(peer.id, [1])
        #expect(peer.host.takeSent().first?.options == [])
        var configuration = TCPConfiguration()
        configuration.timestamps = false
        let other = ScriptedPeer(configuration)
        try other.establish(options: Self.offer)
        #expect(other.stamps == nil)
        other.deliver(options: Segment.option(TCPTimestamps(value: 5, echo: 0)))
        other.host.send(other.id, [1])
        #expect(other.host.takeSent().first?.options == [])
        #expect(other.host.status(other.id).maximumSegmentSize == 1_460)
    }

    @Test("the clock ticks about once a millisecond, from another start for each peer (§5.4)")
    func clock() throws {
        let peer = try established()
        let host = peer.host
        host.send(peer.id, [1])
        host.now = Instant(nanoseconds: host.now.nanoseconds + 1_000 << 20)
        host.send(peer.id, [2])
        let sent = host.takeSent().compactMap(\.stamps?.value)
        try #require(sent.count == 2)
        #expect(sent[1] &- sent[0] == 1_000)
        var tuple = TCPTuple(
            local: serverAddress, remote: clientAddress, localPort: 80, remotePort: 1)
        let first = host.tcp.initialNumbers(tuple, host.now).timestampOffset
        tuple.remotePort = 2
        #expect(host.tcp.initialNumbers(tuple, host.now).timestampOffset != first)
    }

    @Test("what is echoed is the earliest segment that was not acknowledged (§4.3)")
    func echoed() throws {
        let peer = try established()
        let host = peer.host
        peer.stamps?.value = 200
        peer.deliver(payload: peer.data(100, from: peer.seq))
        peer.stamps?.value = 201
        peer.deliver(payload: peer.data(100, from: peer.seq))  // the acknowledgement is delayed
        host.advance(50 * millisecond)
        #expect(host.takeSent().map(\.stamps?.echo) == [200])
        // A gap: the segments behind it are not echoed, the one that fills it is.
        let hole = peer.seq
        peer.stamps?.value = 300
        peer.deliver(payload: peer.data(100, from: hole &+ 100), at: hole &+ 100)
        #expect(host.takeSent().map(\.stamps?.echo) == [200])
        peer.stamps?.value = 310
        peer.deliver(payload: peer.data(100, from: hole), at: hole)
        let last = try #require(host.takeSent().last)
        #expect(last.ack == hole &+ 200)
        #expect(last.stamps?.echo == 310)
    }

    @Test("PAWS: an old duplicate in the window is answered and dropped (§5.3, R1)")
    func oldDuplicate() throws {
        let peer = try established()
        let host = peer.host
        peer.stamps?.value = 0x8000_0000 &- 10  // far ahead of 100, but not behind it
        peer.deliver(payload: [1])
        #expect(host.read(peer.id) == [1])
        host.advance(50 * millisecond)
        _ = host.takeSent()
        peer.stamps?.value = 0x8000_0000 &- 11
        peer.deliver(payload: [66], at: peer.seq)
        #expect(host.receivedCount(peer.id) == 0)
        #expect(host.takeSent().map(\.ack) == [peer.seq])
        // At most one such answer in a while (RFC 5961 §7): two confused peers do not flood.
        for _ in 0..<100 { peer.deliver(payload: [66], at: peer.seq) }
        #expect(host.takeSent().isEmpty)
        peer.stamps?.value = 0x8000_0005  // numbers wrap around
        peer.deliver(payload: [2])
        #expect(host.read(peer.id) == [2])
    }

    @Test("after 24 days of silence any timestamp is believed (§5.5)")
    func silence() throws {
        let peer = try established()
        let host = peer.host
        host.advance(25 * 86_400 * second)
        peer.stamps?.value = 99
        peer.deliver(payload: [1])
        #expect(host.read(peer.id) == [1])
        peer.stamps?.value = 98
        peer.deliver(payload: [2], at: peer.seq)
        #expect(host.receivedCount(peer.id) == 0)
    }

    @Test("a segment without the option is dropped, a RST is not (§3.2)")
    func missing() throws {
        let peer = try established()
        let host = peer.host
        let stamps = peer.stamps
        peer.stamps = nil
        peer.deliver(payload: [1], at: peer.seq)
        #expect(host.receivedCount(peer.id) == 0)
        #expect(host.takeSent().isEmpty)
        peer.stamps = stamps
        peer.deliver(payload: [1])
        #expect(host.read(peer.id) == [1])
        peer.stamps = nil
        peer.deliver(.rst)
        #expect(host.status(peer.id).failure == .reset)
    }

    @Test("a timestamp laid out otherwise is read all the same; a broken one is none")
    func layouts() throws {
        let peer = try established()
        let host = peer.host
        peer.stamps = nil
        peer.deliver(
            payload: [1], options: [8, 10, 0, 0, 0, 101, 0, 0, 0, 0, 1, 1])
        #expect(host.read(peer.id) == [1])
        for broken: [UInt8] in [
            [1, 1, 8, 9, 0, 0, 0, 101, 0, 0, 0, 0], [1, 1, 8, 11, 0, 0, 0, 101, 0, 0, 0, 0],
            [1, 1, 8], [0, 1, 8, 10, 0, 0, 0, 101, 0, 0, 0, 0], [1, 1, 5, 2, 8, 10, 0, 0],
        ] {
            peer.deliver(payload: [2], options: broken, at: peer.seq)
            #expect(host.receivedCount(peer.id) == 0, "\(broken)")
        }
    }

    @Test("who guesses a number in the window but not the acknowledgement moves no timestamp")
    func injected() throws {
        let peer = try established()
        let host = peer.host
        let honest = try #require(peer.stamps)
        peer.stamps?.value = honest.value &+ 0x7000_0000
        peer.deliver(payload: [66], at: peer.seq, ack: peer.ack &+ 500_000)
        peer.stamps?.value = honest.value &+ 1
        peer.deliver(payload: [1])
        #expect(host.read(peer.id) == [1])
    }

    @Test("SACK beside timestamps has room for three ranges (RFC 2018 §3)")
    func sackRanges() throws {
        let peer = ScriptedPeer()
        try peer.establish(options: Self.offer + [4, 2, 1, 1])
        let base = peer.seq
        for place: UInt32 in [2, 4, 6, 8] {
            peer.deliver(payload: peer.data(10, from: place), at: base &+ place * 10)
        }
        let last = try #require(peer.host.takeSent().last)
        #expect(last.sack.count == 3)
        #expect(last.stamps != nil)
        #expect(last.options.count == 40)
    }

    @Test("a half-open connection and TIME-WAIT speak with timestamps too (§3.2)")
    func compactEntries() throws {
        let peer = ScriptedPeer()
        let host = peer.host
        _ = try host.tcp.listen(address: nil, port: 80, backlog: 4)
        peer.deliver(Segment(.syn, seq: 10, options: Self.offer))
        host.advance(1_100 * millisecond)
        let answers = host.takeSent()
        #expect(answers.count == 2)
        #expect(answers.allSatisfy { $0.flags == [.syn, .ack] && $0.stamps?.echo == 100 })
        peer.deliver(Segment(.syn, seq: 12, options: Self.offer))  // a wrong SYN
        #expect(host.takeSent().first?.stamps?.echo == 100)

        let other = try established()
        other.host.finish(other.id)
        other.ack &+= 1
        other.deliver([.fin, .ack])
        #expect(other.host.timeWaitCount == 1)
        _ = other.host.takeSent()
        other.deliver([.fin, .ack], at: other.seq &- 1)
        #expect(other.host.takeSent().first?.stamps?.echo == 100)
    }

    @Test("TIME-WAIT ends early for a SYN with a later timestamp (RFC 6191 §2)")
    func timeWaitReuse() throws {
        for (value, isTaken) in [(UInt32(101), true), (100, false), (99, false)] {
            let peer = try established()
            let host = peer.host
            host.finish(peer.id)
            peer.ack &+= 1
            peer.deliver([.fin, .ack])
            _ = host.takeSent()
            var options = Self.offer
            options[11] = UInt8(value)
            // Its number is one that the old connection used.
            peer.deliver(Segment(.syn, seq: peer.seq &- 2, options: options))
            let answer = try #require(host.takeSent().first)
            #expect(answer.flags == (isTaken ? [.syn, .ack] : .ack), "\(value)")
        }
    }

    @Test("a SYN cookie keeps window scale and SACK in the timestamp (RFC 4987 §3.6)")
    func cookies() throws {
        var configuration = TCPConfiguration()
        configuration.maximumHalfOpen = 0
        let wire = Wire(server: configuration)
        let ids = try wire.establish()
        #expect(wire.server.statistics.cookiesAccepted == 1)
        #expect(wire.server.status(ids.server).maximumSegmentSize == 1_448)
        // The scale shows in the window, SACK and timestamps in what is sent.
        let window = wire.server.status(ids.server).peerWindow
        wire.client.send(ids.client, [1])
        wire.run(for: second)
        #expect(wire.server.status(ids.server).peerWindow > window - 2_000)
        #expect(wire.server.read(ids.server) == [1])
        for shift in [nil, 0, 7, 14] as [UInt8?] {
            for sack in [false, true] {
                var options = TCPSynOptions()
                options.windowShift = shift
                options.sackPermitted = sack
                for clock in [0, 63, 64, 0x8000_0001, UInt32.max] {
                    let hidden = TCPCookies.hide(options, in: clock)
                    #expect(clock &- hidden < 64)
                    let found = TCPCookies.reveal(TCPTimestamps(value: 1, echo: hidden))
                    #expect(found.windowShift == shift)
                    #expect(found.sackPermitted == sack)
                }
            }
        }
    }
}
