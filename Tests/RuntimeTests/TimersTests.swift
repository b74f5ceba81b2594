// The timer wheel and heap against a model: whatever the order of starts and stops, each timer
// fires once, not before its time, and the earlier before the later.

import SwiftletTestSupport
import Testing

@testable import SwiftletRuntime

/// Timers are the machine's, so these tests take turns.
@Suite(.serialized)
struct TimersTests {
    private static let count = 64

    private func stopAll() {
        Timers.reset()
        Timers.reserve(Int32(Self.count))
    }

    @Test func firesInOrderAcrossRoundsOfTheWheel() {
        stopAll()
        // From a nanosecond to hours: near ones, every bucket distance, several rounds.
        let deadlines: [UInt64] = [
            1, 50_000_000, 67_108_864, 134_217_728, 1_000_000_000, 17_179_869_184, 17_179_869_185,
            40_000_000_000, 3_600_000_000_000,
        ]
        for (index, deadline) in deadlines.enumerated().reversed() {
            Timers.start(Int32(index), deadline: deadline)
        }
        var fired: [UInt64] = []
        var now: UInt64 = 0
        while Timers.nextDeadline != .max {
            let next = Timers.nextDeadline
            #expect(next >= now || next <= deadlines[fired.count])
            now = max(now, next)
            while let index = Timers.nextDue(now: now) {
                #expect(deadlines[Int(index)] <= now)
                fired.append(deadlines[Int(index)])
            }
        }
        #expect(fired == deadlines)
    }

    @Test(arguments: 0..<20)
    func behavesAsASortedList(seed: Int) {
        stopAll()
        var random = SeededRandom(seed: UInt64(seed))
        var model: [Int32: UInt64] = [:]
        var now: UInt64 = 0
        for _ in 0..<5000 {
            let index = Int32.random(in: 0..<Int32(Self.count), using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                // A timer that runs is put off or brought forward.
                let scale = UInt64.random(in: 10...36, using: &random)
                let deadline = now + UInt64.random(in: 0..<(1 << scale), using: &random)
                Timers.start(index, deadline: deadline)
                model[index] = deadline
            case 2:
                Timers.stop(index)
                model[index] = nil
            default:
                now += UInt64.random(in: 0..<2_000_000_000, using: &random)
                var previous: UInt64 = 0
                while let due = Timers.nextDue(now: now) {
                    let deadline = model.removeValue(forKey: due)
                    #expect(deadline != nil && deadline! <= now && deadline! >= previous)
                    previous = deadline ?? 0
                }
                #expect(!model.values.contains { $0 <= now })
            }
            let earliest = model.values.min() ?? .max
            #expect(Timers.nextDeadline <= earliest)
        }
        // Whatever was stopped or put off: asked at each time that it names, it soon comes to rest.
        for index in model.keys { Timers.stop(index) }
        var questions = 0
        while Timers.nextDeadline != .max, questions < 2 {
            now = max(now, Timers.nextDeadline)
            #expect(Timers.nextDue(now: now) == nil)
            questions += 1
        }
        #expect(Timers.nextDeadline == .max)
    }
}
