// The resolver on one stack, a name server on another, and a link between them that is good or bad.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

/// A resolver on the left, whose queries a server on the right answers.
struct LinkedResolver: ~Copyable {
    var link: SimulatedLink
    var resolver = DNSResolver()
    private var random = SeededRandom(seed: 99)
    private let server: UDPSocketID
    private let listener: TCPListenerID
    private static let place = SocketAddress(IPAddress(SimulatedLink.rightAddress), port: 53)
    /// Answers over UDP are cut off.
    var truncates = false
    /// Source ports of the queries that have arrived.
    private(set) var ports: [UInt16] = []

    private init(
        _ link: consuming SimulatedLink, server: UDPSocketID, listener: TCPListenerID
    ) {
        self.link = link
        self.server = server
        self.listener = listener
    }

    static func make(_ quality: LinkQuality, seed: UInt64) throws -> LinkedResolver {
        var link = SimulatedLink(quality, seed: seed)
        link.configure()
        let server = try link.right.bindUDP(port: 53)
        let listener = try link.right.listen(port: 53, backlog: 4)
        link.run(milliseconds: 10)
        return LinkedResolver(link, server: server, listener: listener)
    }

    /// Asks, and runs until there is a result.
    mutating func ask(_ text: String) throws -> DNSResult? {
        let question = DNSQuestion(name(text), .a)
        switch resolver.look(up: question, servers: [Self.place], now: link.now) {
        case .result(let result): return result
        case .asked(let ticket, _):
            defer { _ = resolver.leave(ticket) }
            try drive(ticket)
            return resolver.result(ticket)
        }
    }

    private mutating func drive(_ ticket: DNSTicket) throws {
        var socket: UDPSocketID?
        var connection: TCPConnectionID?
        var unsent: [UInt8] = []
        while true {
            switch resolver.nextAction(ticket, now: link.now, random: random.next()) {
            case .finished: return
            case .send(let message, let place):
                if let socket { link.left.closeUDP(socket) }
                let fresh = try link.left.bindUDP(port: 0)
                socket = fresh
                try link.left.sendUDP(fresh, message.span.bytes, to: place, now: link.now)
            case .stream(let message, let place, _):
                connection = try link.left.connect(to: place, now: link.now)
                unsent = message
            case .wait(let deadline):
                _ = link.step(until: deadline)
                serve()
                if let socket {
                    while let got = link.left.receiveUDP(socket, { (copy($0), $1.remote) }) {
                        resolver.receive(ticket, got.0.span.bytes, from: got.1)
                    }
                }
                if let connection, link.left.status(connection).state == .established {
                    if !unsent.isEmpty {
                        Self.send(&link.left, connection, unsent, link.now)
                        unsent = []
                    }
                    let octets = Self.take(&link.left, connection, link.now)
                    resolver.receiveStream(ticket, octets.span.bytes)
                }
            }
        }
    }

    private mutating func serve() {
        while let (query, from) = link.right.receiveUDP(server, { (copy($0), $1.remote) }) {
            ports.append(from.port)
            let text = truncates ? DNSText(to: query, flags: 0x0200) : answer(query)
            try? link.right.sendUDP(server, text.octets.span.bytes, to: from, now: link.now)
        }
        while let connection = link.right.accept(listener) { accepted.append(connection) }
        for connection in accepted {
            let octets = Self.take(&link.right, connection, link.now)
            guard octets.count > 2 else { continue }
            let text = answer(Array(octets[2...]))
            let framed = be16(text.octets.count) + text.octets
            Self.send(&link.right, connection, framed, link.now)
        }
    }

    private var accepted: [TCPConnectionID] = []

    private func answer(_ query: [UInt8]) -> DNSText {
        var text = DNSText(to: query, answers: 1)
        text.address(DNSText.question(query).name, [192, 0, 2, 80])
        return text
    }

    private static func send(
        _ stack: inout NetworkStack<SimulatedDevice>, _ id: TCPConnectionID, _ octets: [UInt8],
        _ now: Instant
    ) {
        guard let handle = stack.handle(id) else { return }
        let count = stack.send(handle, octets.span.bytes)
        #expect(count == octets.count)
        stack.flush(id, now: now)
    }

    private static func take(
        _ stack: inout NetworkStack<SimulatedDevice>, _ id: TCPConnectionID, _ now: Instant
    ) -> [UInt8] {
        guard let handle = stack.handle(id) else { return [] }
        let octets = stack.withReceived(handle) { copy($0) }
        stack.consume(handle, octets.count, now: now)
        return octets
    }
}

@Suite("The resolver on the network")
struct DNSOverLinkTests {
    private let answer = DNSResult.answer(.addresses([v4(192, 0, 2, 80)]))

    @Test("A name is resolved over two stacks, each attempt from a port of its own")
    func plain() throws {
        var linked = try LinkedResolver.make(.perfect, seed: 1)
        for index in 0..<20 { #expect(try linked.ask("n\(index).test") == answer) }
        #expect(seen(Set(linked.ports).count == 20))
        #expect(try linked.ask("n0.test") == answer)
        #expect(seen(linked.ports.count == 20))
    }

    @Test("A link that loses half of all frames costs time, and seldom the answer")
    func loss() throws {
        var quality = LinkQuality.perfect
        quality.loss = 500
        var answered = 0
        for seed in 1...40 as ClosedRange<UInt64> {
            var linked = try LinkedResolver.make(quality, seed: seed)
            let result = try linked.ask("a.test")
            if result == answer { answered += 1 }
            #expect(result == answer || result == .failure(.timedOut))
            #expect(seen(linked.link.now.nanoseconds < 9_000_000_000))
        }
        // Three attempts of a chance of a quarter each, and ARP before them.
        #expect(answered > 10 && answered < 40)
    }

    @Test("RFC 7766: a truncated answer is fetched over TCP", arguments: [0, 20])
    func truncated(loss: Int) throws {
        var quality = LinkQuality.perfect
        quality.loss = loss
        var linked = try LinkedResolver.make(quality, seed: 5)
        linked.truncates = true
        #expect(try linked.ask("a.test") == answer)
    }
}
