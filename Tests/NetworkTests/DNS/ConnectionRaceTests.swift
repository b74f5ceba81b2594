// Happy Eyeballs: who is tried when.

import Testing

@testable import SwiftletNetwork

@Suite("Happy Eyeballs (RFC 8305)")
struct ConnectionRaceTests {
    private let six = (1...3).map { IPAddress(high: 0x2001_0DB8_0000_0000, low: $0) }
    private let four = (1...3).map { v4(192, 0, 2, UInt8($0)) }

    private func at(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: milliseconds * 1_000_000)
    }

    @Test("§3: IPv6 addresses are used at once")
    func sixFirst() {
        var race = ConnectionRace()
        #expect(race.nextAction(now: at(0)) == .wait(until: .never))
        race.resolvedSix([six[0]], now: at(5))
        #expect(race.nextAction(now: at(5)) == .attempt(six[0]))
    }

    @Test("§3: IPv4 addresses wait 50 ms for the others, and no longer")
    func resolutionDelay() {
        var race = ConnectionRace()
        race.resolvedFour([four[0]], now: at(5))
        #expect(race.nextAction(now: at(5)) == .wait(until: at(55)))
        var other = race
        #expect(race.nextAction(now: at(55)) == .attempt(four[0]))
        // Those that come late are among the next.
        race.resolvedSix([six[0]], now: at(100))
        #expect(race.nextAction(now: at(100)) == .wait(until: at(305)))
        #expect(race.nextAction(now: at(305)) == .attempt(six[0]))
        other.resolvedSix([six[0]], now: at(20))
        #expect(other.nextAction(now: at(20)) == .attempt(six[0]))
    }

    @Test("§3: without IPv6 addresses there is nothing to wait for")
    func noSix() {
        var race = ConnectionRace()
        race.resolvedFour([four[0]], now: at(5))
        race.resolvedSix([], now: at(10))
        #expect(race.nextAction(now: at(10)) == .attempt(four[0]))
        race = ConnectionRace()
        race.resolvedSix([], now: at(5))
        #expect(race.nextAction(now: at(5)) == .wait(until: .never))
        race.resolvedFour([four[0]], now: at(10))
        #expect(race.nextAction(now: at(10)) == .attempt(four[0]))
    }

    @Test("§4: where IPv6 leads to no world, IPv4 is first, and IPv6 waits")
    func fourFirst() {
        var race = ConnectionRace(prefersSix: false)
        race.resolvedSix(six, now: at(5))
        #expect(race.nextAction(now: at(5)) == .wait(until: at(55)))
        race.resolvedFour(four, now: at(10))
        for (index, address) in [four[0], six[0], four[1], six[1]].enumerated() {
            #expect(race.nextAction(now: at(10 + UInt64(index) * 250)) == .attempt(address))
        }
        race = ConnectionRace(prefersSix: false)
        race.resolvedFour(four, now: at(5))
        #expect(race.nextAction(now: at(5)) == .attempt(four[0]))
        race = ConnectionRace(prefersSix: false)
        race.resolvedSix(six, now: at(5))
        race.resolvedFour([], now: at(6))
        #expect(race.nextAction(now: at(6)) == .attempt(six[0]))
    }

    @Test("§4, §5: the families take turns, 250 ms apart")
    func interleaving() {
        var race = ConnectionRace()
        race.resolvedFour(four, now: at(0))
        race.resolvedSix(six, now: at(0))
        let order = [six[0], four[0], six[1], four[1], six[2], four[2]]
        for (index, address) in order.enumerated() {
            let time = UInt64(index) * 250
            #expect(race.nextAction(now: at(time)) == .attempt(address))
            if index < 5 {
                #expect(race.nextAction(now: at(time + 249)) == .wait(until: at(time + 250)))
            }
        }
        #expect(race.nextAction(now: at(9000)) == .wait(until: .never))
    }

    @Test("§5: what fails lets the next begin at once; where no route leads costs nothing")
    func failures() {
        var race = ConnectionRace()
        race.resolvedSix(Array(six[..<2]), now: at(0))
        race.resolvedFour([four[0]], now: at(0))
        #expect(race.nextAction(now: at(0)) == .attempt(six[0]))
        race.attemptFailed(now: at(0))
        #expect(race.nextAction(now: at(0)) == .attempt(four[0]))
        race.attemptFailed(now: at(30))
        #expect(race.nextAction(now: at(30)) == .attempt(six[1]))
        #expect(race.nextAction(now: at(30)) == .wait(until: .never))
        race.attemptFailed(now: at(40))
        #expect(race.nextAction(now: at(40)) == .failed)
    }

    @Test("While one family is asked for, the other's failures are not the end")
    func lateFamily() {
        var race = ConnectionRace()
        race.resolvedSix([six[0]], now: at(0))
        #expect(race.nextAction(now: at(0)) == .attempt(six[0]))
        race.attemptFailed(now: at(1))
        #expect(race.nextAction(now: at(1)) == .wait(until: .never))
        race.resolvedFour([four[0]], now: at(700))
        #expect(race.nextAction(now: at(700)) == .attempt(four[0]))
    }

    @Test("No address at all, and too many")
    func bounds() {
        var race = ConnectionRace()
        race.resolvedSix([], now: at(0))
        race.resolvedFour([], now: at(0))
        #expect(race.nextAction(now: at(0)) == .failed)
        race = ConnectionRace(awaitsSix: false)
        race.resolvedFour((0..<40).map { v4(192, 0, 2, $0) }, now: at(0))
        var count = 0
        while case .attempt = race.nextAction(now: at(0)) {
            count += 1
            race.attemptFailed(now: at(0))
        }
        #expect(count == 16)
        #expect(race.nextAction(now: at(0)) == .failed)
    }
}
