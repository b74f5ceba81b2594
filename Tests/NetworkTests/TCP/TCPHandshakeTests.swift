// Opening a connection: RFC 9293 §3.5 and §3.10.7.2 to 4, RFC 7323 §2, RFC 6298, RFC 5961.

import Testing

@testable import SwiftletNetwork

@Suite("TCP: opening (RFC 9293 §3.5)")
struct TCPHandshakeTests {
    @Test("three-way handshake, both ends told (§3.5, figure 6)")
    func threeWay() throws {
        let wire = Wire()
        let ids = try wire.establish()
        #expect(wire.client.events.contains(.connected(ids.client)))
        #expect(wire.server.state(ids.server) == .established)
        let status = wire.server.status(ids.server)
        #expect(status.remote.address == clientAddress)
        #expect(status.local == SocketAddress(serverAddress, port: 80))
        #expect(status.maximumSegmentSize == 1_448)  // timestamps take twelve octets
        #expect(wire.client.status(ids.client).local.port >= 49_152)
    }

    @Test("simultaneous open (§3.5, figure 7)")
    func simultaneousOpen() throws {
        let host = Host(serverAddress)
        let id = try host.tcp.connect(
            from: serverAddress, to: SocketAddress(clientAddress, port: 4_000), now: host.now,
            output: &host.output)
        let syn = try #require(host.takeSent().first)
        #expect(syn.flags == [.syn, .ece, .cwr])
        var other = Segment(.syn, seq: 900, options: [2, 4, 5, 0xB4])
        other.from = 4_000
        other.to = syn.from
        host.receive(other.bytes, from: clientAddress)
        #expect(host.state(id) == .synReceived)
        let answer = try #require(host.takeSent().first)
        #expect(answer.flags == [.syn, .ack])
        #expect(answer.seq == syn.seq)
        #expect(answer.ack == 901)
        other.flags = [.syn, .ack]
        other.ack = syn.seq &+ 1
        host.receive(other.bytes, from: clientAddress)
        #expect(host.state(id) == .established)
        #expect(host.events.contains(.connected(id)))
    }

    @Test("a lost SYN and a lost SYN-ACK are sent again (RFC 6298 §5.5)")
    func lostSyn() throws {
        let wire = Wire()
        var dropped = 0
        wire.drops = { segment, _ in
            guard segment.flags.contains(.syn), dropped < 2 else { return false }
            dropped += 1
            return true
        }
        let ids = try wire.establish()
        #expect(dropped == 2)
        #expect(wire.client.status(ids.client).retransmissions == 2)
    }

    @Test("an unanswered SYN backs off, then times out (§3.8.3)")
    func unanswered() throws {
        let host = Host(clientAddress)
        let start = host.now.nanoseconds
        let id = try host.tcp.connect(
            from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: host.now,
            output: &host.output)
        var times: [UInt64] = []
        while host.state(id) == .synSent {
            times += host.takeSent().map { _ in (host.now.nanoseconds - start) / second }
            host.now = host.nextDeadline
            host.poll()
        }
        #expect(times == [0, 1, 3, 7, 15, 31])
        #expect(host.status(id).failure == .timedOut)
        #expect(host.events == [.closed(id)])
    }

    @Test("a RST refuses (§3.10.7.3); one that acknowledges nothing of ours does not")
    func refused() throws {
        let host = Host(clientAddress)
        let id = try host.tcp.connect(
            from: clientAddress, to: SocketAddress(serverAddress, port: 80), now: host.now,
            output: &host.output)
        let syn = try #require(host.takeSent().first)
        var rst = Segment([.rst, .ack], seq: 0, ack: syn.seq)
        rst.from = 80
        rst.to = syn.from
        host.receive(rst.bytes, from: serverAddress)
        #expect(host.state(id) == .synSent)
        rst.ack = syn.seq &+ 1
        host.receive(rst.bytes, from: serverAddress)
        #expect(host.status(id).failure == .refused)
        #expect(host.takeSent().isEmpty)
    }

    @Test("a closed port answers with RST (§3.10.7.1)")
    func closedPort() throws {
        let peer = ScriptedPeer()
        peer.deliver(Segment(.syn, seq: 77))
        peer.deliver(Segment(.ack, seq: 77, ack: 1_234))
        peer.deliver(Segment(.rst, seq: 77))
        let sent = peer.host.takeSent()
        try #require(sent.count == 2)
        #expect(sent[0].flags == [.rst, .ack])
        #expect(sent[0].seq == 0)
        #expect(sent[0].ack == 78)
        #expect(sent[1].flags == .rst)
        #expect(sent[1].seq == 1_234)
    }

    @Test("options of the SYN-ACK answer those of the SYN (RFC 7323 §2.2, RFC 2018 §2)")
    func options() throws {
        let peer = ScriptedPeer()
        _ = try peer.host.tcp.listen(address: nil, port: 80, backlog: 4)
        peer.deliver(Segment(.syn, seq: 1, options: [2, 4, 5, 0xB4, 1, 3, 3, 7, 4, 2]))
        peer.deliver(Segment(.syn, seq: 1), port: 40_001)
        let sent = peer.host.takeSent()
        try #require(sent.count == 2)
        #expect(sent[0].options == [2, 4, 0x05, 0xB4, 1, 3, 3, 5, 1, 1, 4, 2])
        #expect(sent[1].options == [2, 4, 0x05, 0xB4])
    }

    @Test("initial sequence numbers differ by connection and grow with time (RFC 6528)")
    func initialSequence() throws {
        let peer = ScriptedPeer()
        let host = peer.host
        let one = TCPTuple(
            local: serverAddress, remote: clientAddress, localPort: 80, remotePort: 1)
        var two = one
        two.remotePort = 2
        let later = Instant(nanoseconds: host.now.nanoseconds + second)
        let first = host.tcp.initialNumbers(one, host.now).sequence
        let second = host.tcp.initialNumbers(two, host.now).sequence
        let third = host.tcp.initialNumbers(one, later).sequence
        #expect(first != second)
        #expect(third - first == 1_000_000_000 >> 12 || third - first == 1_000_000_000 >> 12 + 1)
    }

    @Test("ports are picked by chance, and no one's twice (RFC 6056 §3.3.1)")
    func ephemeralPorts() throws {
        let host = Host(clientAddress)
        let remote = SocketAddress(serverAddress, port: 80)
        var ports: [Int] = []
        for _ in 0..<500 {
            _ = try host.tcp.connect(
                from: clientAddress, to: remote, now: host.now, output: &host.output)
            ports.append(Int(try #require(host.takeSent().last).from))
        }
        #expect(ports.allSatisfy { (49_152...65_535).contains($0) })
        #expect(Set(ports).count == 500)
        // Neither rising nor within a narrow band, as a counter's would be.
        let steps = zip(ports, ports.dropFirst()).map { $1 - $0 }
        #expect(steps.count { $0 > 0 } < 300 && steps.count { $0 < 0 } < 300)
        #expect(steps.count { abs($0) < 64 } < 20)
        // Another secret, other ports.
        let other = Host(IPAddress(IPv4Address(10, 0, 0, 9)))
        _ = try other.tcp.connect(
            from: other.address, to: remote, now: other.now, output: &other.output)
        #expect(other.takeSent().last.map { Int($0.from) } != ports[0])
    }

    @Test("the window field of a SYN is not scaled, later ones are (RFC 7323 §2.2)")
    func windowScale() throws {
        let peer = ScriptedPeer()
        peer.window = 500
        try peer.establish(options: [2, 4, 5, 0xB4, 1, 3, 3, 7])
        #expect(peer.host.status(peer.id).peerWindow == 500 << 7)
        peer.host.send(peer.id, [1])
        let sent = try #require(peer.host.takeSent().first)
        #expect(Int(sent.window) << 5 > 65_000)
        #expect(sent.window < 4_096)
    }

    @Test("a stale ACK to a half-open connection is refused; the connection still opens")
    func staleAck() throws {
        let peer = ScriptedPeer()
        let listener = try peer.host.tcp.listen(address: nil, port: 80, backlog: 4)
        peer.deliver(Segment(.syn, seq: 10))
        let answer = try #require(peer.host.takeSent().first)
        peer.deliver(Segment(.ack, seq: 11, ack: answer.seq &+ 2))
        let rst = try #require(peer.host.takeSent().first)
        #expect(rst.flags == .rst)
        #expect(rst.seq == answer.seq &+ 2)
        #expect(peer.host.accept(listener) == nil)
        peer.deliver(Segment(.ack, seq: 11, ack: answer.seq &+ 1))
        #expect(peer.host.accept(listener) != nil)
    }
}
