// What clients and strangers on the wire may send, and must not break: others are served meanwhile.

import Glibc
import SwiftletBuild
import SwiftletNetwork
import SwiftletTestSupport
import Testing

extension NetworkGuests {
    @Suite("Bad input", .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment))
    struct BadInputTests {
        /// Who attacks, and from where.
        struct Attacker: Sendable {
            let place: Place
            /// The wire to the guest.
            let wire: FramePort

            /// A normal request, which has to be answered.
            func ask() throws {
                let answer = try Client(place).get("/")
                guard answer.status == 200, answer.text == "fixture\n" else {
                    throw MachineFailure(description: "\(answer)")
                }
            }

            /// Sends frames. The tap holds a thousand and drops the rest; an answer between them says
            /// that those before it have arrived.
            func send(_ frames: some Sequence<[UInt8]>) throws {
                for (index, frame) in frames.enumerated() {
                    try wire.sendWaiting(frame)
                    if index % 256 == 255 { try ask() }
                }
            }

            /// Page frames that the guest has left.
            func freeFrames() throws -> Int {
                let answer = try Client(place).get("/frames")
                return Int(answer.text.dropLast()) ?? -1
            }
        }

        /// Boots the server and attacks it, with another client being served. Tables and stocks of
        /// freed buffers (TCPConfiguration.memoryCache) fill up at first, and have to serve again
        /// later; what is lost is lost each time. So one of the later attacks has to leave as many
        /// page frames free as there were before it.
        private func withstand(
            on type: MachineKind,
            after preparation: @escaping @Sendable (Attacker) throws -> Void = { _ in },
            _ attack: @escaping @Sendable (Attacker) throws -> Void
        ) async throws {
            let network = try await NetworkNamespace(.direct)
            let image = try await GuestImages.guest("Fixture")
            try await Machine.with(
                image, type: type, on: network, arguments: ["serve"]
            ) { machine in
                _ = try await machine.curl("/")
                let attacker = Attacker(
                    place: machine.place,
                    wire: try FramePort.interface(NetworkNamespace.guestTap, in: network))
                try await onThread { try preparation(attacker) }
                var free = [try attacker.freeFrames()]
                repeat {
                    let bystander = try Bystander(machine.place)
                    let outcome: Result<Void, any Error>
                    do {
                        outcome = .success(try await onThread { try attack(attacker) })
                    } catch {
                        outcome = .failure(error)
                    }
                    let served = Result { try bystander.stop() }
                    do {
                        try outcome.get()
                        #expect(try served.get() > 0)
                    } catch {
                        throw MachineFailure(description: "\(error)\n\(await machine.output)")
                    }
                    free.append(try await settled(attacker, from: free[free.count - 1]))
                } while free.count < 3
                    || free.count < 6 && free[free.count - 1] < free[free.count - 2]
                #expect(free[free.count - 1] >= free[free.count - 2], "free frames: \(free)")
                // The stock of freed rings is 64 frames; the tables of TCP are small beside it.
                #expect(free[0] - free[free.count - 1] < 256, "free frames: \(free)")
            }
        }

        /// Waits, within bounds, until so many frames are free, or no more become free.
        private func settled(_ attacker: Attacker, from wanted: Int) async throws -> Int {
            var free = try attacker.freeFrames()
            for _ in 0..<4 where free < wanted {
                try await Task.sleep(for: .seconds(1))
                free = try attacker.freeFrames()
            }
            return free
        }

        @Test("Garbage instead of HTTP is answered 400", arguments: MachineKind.environments)
        func garbage(type: MachineKind) async throws {
            @Sendable func send(_ attacker: Attacker, _ count: Int) throws {
                var random = SeededRandom(seed: 4)
                let texts = [
                    "\r\n\r\nnonsense\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "G\u{1}T / HTTP/1.1\r\nHost: a\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                    "GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                        + "Transfer-Encoding: chunked\r\n\r\n",
                ].map { Array($0.utf8) }
                let noise = (0..<count).map { _ in
                    [0x80] + random.bytes(Int(random.next() % 300)) + Array("\r\n\r\n".utf8)
                }
                for octets in texts + noise {
                    let client = try Client(attacker.place)
                    client.send(octets)
                    let answer = try client.answer()
                    guard answer.status == 400, client.waitForEnd() else {
                        throw MachineFailure(description: "\(octets): \(answer)")
                    }
                    try attacker.ask()
                }
            }
            // A server that closes first keeps the connection in TIME-WAIT for a minute: their table
            // is filled up to its bound, lest its growth be taken for a leak.
            let fill = { @Sendable (attacker: Attacker) throws -> Void in
                for _ in 0..<TCPConfiguration().maximumTimeWait {
                    let client = try Client(attacker.place)
                    client.send("GET / HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n")
                    _ = try client.answer()
                }
            }
            try await withstand(on: type, after: fill) { try send($0, 100) }
        }

        @Test("A header of a megabyte is answered 431", arguments: MachineKind.environments)
        func longHeader(type: MachineKind) async throws {
            @Sendable func send(_ attacker: Attacker, _ count: Int) throws {
                for _ in 0..<count {
                    let client = try Client(attacker.place)
                    client.send("GET / HTTP/1.1\r\nHost: guest\r\nX-Long: ")
                    client.send([UInt8](repeating: 0x61, count: 1 << 20))
                    client.send("\r\n\r\n")
                    let answer = try client.answer()
                    guard answer.status == 431 else {
                        throw MachineFailure(description: "\(answer)")
                    }
                    try attacker.ask()
                }
            }
            try await withstand(on: type) {
                try send($0, 10)
            }
        }

        @Test("Clients that send an octet a second are closed", arguments: MachineKind.environments)
        func slowLoris(type: MachineKind) async throws {
            try await withstand(on: type) { attacker in
                let clients = try (0..<60).map { _ in
                    let client = try Client(attacker.place)
                    client.send("GET / HTTP/1.1\r\nHost: guest\r\nX-Slow: ")
                    return client
                }
                var open = clients
                for _ in 0..<40 where !open.isEmpty {
                    open.removeAll { !$0.send("a") }
                    sleep(1)
                }
                guard open.isEmpty else {
                    throw MachineFailure(description: "\(open.count) are still open")
                }
            }
        }

        @Test("A thousand connections that end in a reset", arguments: MachineKind.environments)
        func resets(type: MachineKind) async throws {
            @Sendable func connect(_ attacker: Attacker, _ count: Int) throws {
                for index in 0..<count {
                    let client = try Client(attacker.place)
                    switch index % 4 {
                    case 1: client.send("GET / HT")
                    case 2: client.send("GET / HTTP/1.1\r\nHost: guest\r\n\r\n")
                    case 3: client.send("GET /random?1000000 HTTP/1.1\r\nHost: guest\r\n\r\n")
                    default: break
                    }
                    client.abort()
                    if index % 100 == 99 { try attacker.ask() }
                }
            }
            try await withstand(on: type) {
                try connect($0, 1000)
            }
        }

        @Test(
            "A hundred thousand SYNs from addresses that do not exist",
            arguments: MachineKind.environments)
        func synFlood(type: MachineKind) async throws {
            @Sendable func flood(_ attacker: Attacker, _ count: Int) throws {
                var random = SeededRandom(seed: 5)
                let guest = HandMade.guest
                let before = try attacker.place.network?.framesToGuest()
                try attacker.send(
                    (0..<count).lazy.map { _ in
                        let word = random.next()
                        // 198.18.0.0/15 is for measurements and belongs to nobody (RFC 2544).
                        let stranger = IPv4Address(
                            bits: 0xC612_0000 | UInt32(truncatingIfNeeded: word) & 0x1_FFFF)
                        let segment = Frames.tcp(
                            from: (stranger, 1024 + Int(word >> 32 & 0x7FFF)), to: (guest, 80),
                            sequence: UInt32(truncatingIfNeeded: word >> 17), acknowledgement: 0,
                            flags: 0x02)
                        return HandMade.frame(
                            Frames.ipv4(
                                from: stranger, to: guest, protocolNumber: 6, segment))
                    })
                try attacker.ask()
                guard let before, let after = try attacker.place.network?.framesToGuest(),
                    after.carried - before.carried >= count, after.dropped == before.dropped
                else { throw MachineFailure(description: "the guest did not get all of it") }
            }
            try await withstand(on: type) {
                try flood($0, 100_000)
            }
        }

        @Test(
            "Malformed frames of every layer, and a request after each", arguments: Layer.allCases,
            MachineKind.environments)
        func malformed(layer: Layer, type: MachineKind) async throws {
            @Sendable func send(_ attacker: Attacker) throws {
                for (name, frames) in layer.malformed {
                    do {
                        try attacker.send(frames)
                        try attacker.ask()
                    } catch {
                        throw MachineFailure(description: "after '\(name)': \(error)")
                    }
                }
            }
            try await withstand(on: type, send)
        }

        @Test(
            "Valid frames with octets changed or missing, by a seed",
            arguments: MachineKind.environments)
        func mutated(type: MachineKind) async throws {
            @Sendable func send(_ attacker: Attacker, _ count: Int) throws {
                var random = SeededRandom(seed: 6)
                let valid = HandMade.valid
                for index in 0..<count {
                    var frame = valid[Int(random.next() % UInt64(valid.count))]
                    for _ in 0..<(random.next() % 4) {
                        // Behind the hardware addresses, so that the guest looks at it.
                        let place = 12 + Int(random.next() % UInt64(frame.count - 12))
                        frame[place] = UInt8(truncatingIfNeeded: random.next())
                    }
                    if random.chance(perMille: 300) {
                        frame = Array(
                            frame.prefix(14 + Int(random.next() % UInt64(frame.count - 13))))
                    }
                    // Who believes that the gateway has moved talks to nobody: ARP is like that.
                    if frame.starts(with: HandMade.valid[0][..<14]), frame.count >= 32,
                        frame[28..<32].elementsEqual([10, 77, 0, 1])
                    {
                        continue
                    }
                    if random.chance(perMille: 800) { HandMade.mendChecksums(&frame) }
                    try attacker.wire.sendWaiting(frame)
                    if index % 20 == 19 { try attacker.ask() }
                }
            }
            try await withstand(on: type) {
                try send($0, 10_000)
            }
        }
    }
}
