// How connections end: timeouts, slow and broken clients, a server that stops; and mutated requests.

import SwiftletTestSupport
import Testing

@testable import SwiftletHTTP

@Suite struct ConnectionEndTests {
    @Test func slowHeadIsAnswered408() async {
        let slow = get.utf8.map { [MemoryTransport.Event.receive([$0]), .pass(2 * second)] }
        let transport = await serve(MemoryTransport(Array(slow.joined())))
        #expect(transport.text.hasPrefix("HTTP/1.1 408 "))
        #expect(transport.isFinished)
        #expect(transport.now < 16 * second)
    }

    @Test func idleConnectionEndsSilently() async {
        let transport = await serve(MemoryTransport([.receive(octets(get)), .pass(100 * second)]))
        #expect(transport.text == hello)
        #expect(transport.isFinished)
        #expect(transport.now == 61 * second)
        let patient = await serve(
            MemoryTransport([
                .receive(octets(get)), .pass(59 * second), .receive(octets(get)),
                .pass(59 * second),
                .receive(octets(get)), .end,
            ]))
        #expect(patient.text == hello + hello + hello)
    }

    @Test func slowBodyIsAnswered408ButSteadyProgressIsNot() async {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
        var script: [MemoryTransport.Event] = [.receive(octets(head))]
        for _ in 0..<100 { script += [.receive([0x61]), .pass(5 * second)] }
        let slow = await serve(MemoryTransport(script), ConnectionTests.echo)
        #expect(slow.text.hasPrefix("HTTP/1.1 408 "))
        #expect(slow.now < 40 * second)
        script = [.receive(octets(head.replacing("100", with: "900")))]
        for _ in 0..<9 {
            script += [.receive([UInt8](repeating: 0x61, count: 100)), .pass(second / 20)]
        }
        let steady = await serve(MemoryTransport(script), ConnectionTests.echo)
        #expect(steady.text.hasPrefix("HTTP/1.1 200 "))
    }

    @Test func clientThatTakesNothingIsDropped() async {
        let body = [UInt8](repeating: 1, count: 10_000)
        let stalled = MemoryTransport(get)
        stalled.sendRoom = 100
        stalled.roomAfterWait = nil
        await serve(stalled) { _, response in await response.send(body) }
        #expect(stalled.isAborted)
        // One octet a second is no progress either.
        let trickle = MemoryTransport(get)
        trickle.sendRoom = 100
        trickle.roomAfterWait = 1
        await serve(trickle) { _, response in
            await response.send(body)
            let sent = await response.write("more")
            #expect(!sent)
        }
        #expect(trickle.isAborted)
        #expect(trickle.now < 60 * second)
    }

    @Test func headsInPiecesHoldOnlySoMuchOfAllConnectionsTogether() async {
        var limits = HTTPLimits()
        limits.slowHeads = 4096
        let service = TestService(
            limits: limits, timeouts: HTTPTimeouts(), handler: ConnectionTests.echo)
        let padding = "X-Padding: " + String(repeating: "a", count: 800) + "\r\n"
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n" + padding + "\r\n"
        let inPieces: [MemoryTransport.Event] = [
            .receive(octets(String(head.prefix(600)))), .pass(second),
            .receive(octets(String(head.dropFirst(600)))), .pass(second), .receive(octets("hi")),
            .end,
        ]
        let bodyLater: [MemoryTransport.Event] = [
            .receive(octets(head)), .pass(second), .receive(octets("hi")), .end,
        ]
        for script in [inPieces, bodyLater] {
            let served = MemoryTransport(script)
            await service.serve(served)
            #expect(served.text.hasPrefix("HTTP/1.1 200 "))
            #expect(service.slowHeads == 0)
            // Other connections hold the most part of it.
            service.slowHeads = 3500
            let refused = MemoryTransport(script)
            await service.serve(refused)
            #expect(refused.text.hasPrefix("HTTP/1.1 503 "))
            #expect(refused.isFinished)
            #expect(service.slowHeads == 3500)
            service.slowHeads = 0
        }
        service.slowHeads = 4096
        let whole = MemoryTransport(get)
        await service.serve(whole)
        #expect(whole.text.hasPrefix("HTTP/1.1 200 "))
    }

    @Test func whoHasBeenSendingAHeadForLongestMakesRoom() async {
        var limits = HTTPLimits()
        limits.slowHeads = 4096
        let service = TestService(
            limits: limits, timeouts: HTTPTimeouts(), handler: ConnectionTests.echo)
        let line = "POST / HTTP/1.1\r\nHost: a\r\nX-Padding: " + String(repeating: "a", count: 1000)
        let end = "\r\nContent-Length: 2\r\n\r\n"
        let slow = MemoryTransport([.receive(octets(line)), .pass(second), .end])
        // While the slow one waits for more, others come with as much, at once or in pieces.
        let others = [
            MemoryTransport([
                .receive(octets(line + end)), .pass(second), .receive(octets("hi")), .end,
            ]),
            MemoryTransport([
                .receive(octets(line)), .pass(second), .receive(octets(end + "hi")), .end,
            ]),
        ]
        var held: [Int] = []
        slow.duringWait = {
            held.append(service.slowHeads)
            service.slowHeads += 1500
            for other in others { await service.serve(other) }
            held.append(service.slowHeads)
        }
        await service.serve(slow)
        #expect(held.count == 2 && held[0] > 1000)
        for other in others { #expect(other.text.hasPrefix("HTTP/1.1 200 "), "\(other.text)") }
        // Nothing is held of the slow one from then on, and nothing was answered.
        #expect(held.last == 1500)
        #expect(service.slowHeads == 1500)
        #expect(slow.outbox.isEmpty && slow.isFinished)
    }

    @Test func idleConnectionsHoldNoHeads() async {
        final class Place: @unchecked Sendable {
            var service: TestService?
            var held: [Int] = []
        }
        let place = Place()
        let service = TestService(limits: HTTPLimits(), timeouts: HTTPTimeouts()) { _, response in
            place.held.append(place.service?.slowHeads ?? -1)
            await response.send("Hello")
        }
        place.service = service
        let half = get.count / 2
        await service.serve(
            MemoryTransport([
                .receive(octets(String(get.prefix(half)))), .pass(second),
                .receive(octets(String(get.dropFirst(half)))), .pass(second),
                .receive(octets(get)), .end,
            ]))
        #expect(place.held.count == 2)
        #expect(place.held.first ?? 0 > 0)
        #expect(place.held.last == 0)
        place.service = nil
    }

    @Test func resetsAndEndsAnywhereAreTakenCalmly() async {
        let bytes = octets("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde")
        for count in 0..<bytes.count {
            for end in [MemoryTransport.Event.end, .reset] {
                let transport = MemoryTransport([.receive(Array(bytes[..<count])), end])
                await serve(transport, ConnectionTests.echo)
                #expect(!transport.text.contains("200"))
                #expect(transport.isFinished || transport.isAborted)
            }
        }
    }

    // MARK: The end

    @Test func stopFinishesWhatRunsAndEndsIdleConnections() async {
        let service = TestService(limits: HTTPLimits(), timeouts: HTTPTimeouts()) { _, response in
            await response.send("Hello")
        }
        let busy = MemoryTransport([
            .receive(octets("GET / HT")), .receive(octets("TP/1.1\r\nHost: a\r\n\r\n" + get)),
        ])
        busy.onWait = { if busy.waits == 2 { service.stop() } }
        await service.serve(busy)
        #expect(
            busy.text
                == hello.replacing(
                    "Content-Type", with: "Connection: close\r\nContent-Type", maxReplacements: 1))
        #expect(busy.isFinished)
        let idleService = TestService(limits: HTTPLimits(), timeouts: HTTPTimeouts()) {
            _, response in
            await response.send("Hello")
        }
        let idle = MemoryTransport([.receive(octets(get)), .pass(30 * second)])
        idle.onWait = { if idle.waits == 2 { idleService.stop() } }
        await idleService.serve(idle)
        #expect(idle.text == hello)
        #expect(idle.now < 2 * second)
        // A FIN, no RST: what was sent last may still be under way.
        #expect(idle.isFinished)
        #expect(!idle.isAborted)
    }

    @Test func mutationsNeverTrap() async {
        var random = SeededRandom(seed: 0x5EED_0002)
        let seeds = [
            get, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world" + get,
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
                + "5;x=y\r\nhello\r\n006\r\n world\r\n0\r\nT: v\r\n\r\n" + get,
        ].map(octets)
        for round in 0..<20_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0..<(1 + random.next() % 4) {
                let at = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: at)
                default: bytes.insert([13, 10, 58, 32, 0x30, 0x46][Int(random.next() % 6)], at: at)
                }
            }
            let split = Int(random.next() % UInt64(bytes.count + 1))
            let transport = MemoryTransport([
                .receive(Array(bytes[..<split])), .receive(Array(bytes[split...])), .end,
            ])
            transport.runLimit = 1 + Int(random.next() % 200)
            await serve(transport, ConnectionTests.echo)
            #expect(transport.isFinished || transport.isAborted)
            #expect(transport.outbox.isEmpty || transport.text.hasPrefix("HTTP/1.1 "))
        }
    }
}
