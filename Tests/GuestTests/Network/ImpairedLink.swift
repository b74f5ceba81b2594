// A bad cable: carries frames between two ports, and loses, repeats, delays and breaks some of them.

import Glibc
import SwiftletTestSupport
import Synchronization

/// What happens to frames, in thousandths of them, decided by a seed.
struct Impairment: Sendable {
    var seed: UInt64
    var lost = 0
    var duplicated = 0
    /// One bit is turned.
    var corrupted = 0
    /// Held back by up to `delay` milliseconds, so that later ones overtake them.
    var delayed = 0
    var delay = 5
}

/// What became of the frames of one direction.
struct LinkCounts: Sendable {
    var carried = 0
    var lost = 0
    var duplicated = 0
    var corrupted = 0
    var delayed = 0
    /// The port behind had no room for them.
    var overflowed = 0
}

/// Carries frames between two ports until it is stopped.
final class ImpairedLink: Sendable {
    private let isStopped = Atomic<Bool>(false)
    private let counts = Mutex<(LinkCounts, LinkCounts)>((LinkCounts(), LinkCounts()))
    private let worker: Mutex<Worker<Void>?> = Mutex(nil)

    init(_ a: FramePort, _ b: FramePort, _ impairment: Impairment) throws {
        let worker = try Worker { self.carry(a, b, impairment) }
        self.worker.withLock { $0 = worker }
    }

    /// Ends it, and tells what happened from the first port to the second, and back.
    @discardableResult
    func stop() throws -> (LinkCounts, LinkCounts) {
        isStopped.store(true, ordering: .relaxed)
        let worker = self.worker.withLock { worker in
            defer { worker = nil }
            return worker
        }
        try worker?.result()
        return counts.withLock { $0 }
    }

    private func carry(_ a: FramePort, _ b: FramePort, _ impairment: Impairment) {
        var there = Direction(from: a, to: b, impairment: impairment, seed: impairment.seed)
        var back = Direction(from: b, to: a, impairment: impairment, seed: ~impairment.seed)
        while !isStopped.load(ordering: .relaxed) {
            var waiting = [
                pollfd(fd: a.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: b.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&waiting, 2, there.held.isEmpty && back.held.isEmpty ? 100 : 1)
            if waiting[0].revents != 0 { there.carry() }
            if waiting[1].revents != 0 { back.carry() }
            there.release()
            back.release()
        }
        counts.withLock { [there, back] in $0 = (there.counts, back.counts) }
    }

    private struct Direction {
        let from: FramePort
        let to: FramePort
        let impairment: Impairment
        var random: SeededRandom
        var counts = LinkCounts()
        /// Frames that wait, and until when.
        var held: [(due: ContinuousClock.Instant, frame: [UInt8])] = []

        init(from: FramePort, to: FramePort, impairment: Impairment, seed: UInt64) {
            self.from = from
            self.to = to
            self.impairment = impairment
            random = SeededRandom(seed: seed)
        }

        /// Takes what has come, up to a bound, so that the other direction gets its turn.
        mutating func carry() {
            for _ in 0..<64 {
                guard let frame = from.receive() else { return }
                impair(frame)
            }
        }

        private mutating func impair(_ frame: [UInt8]) {
            if random.chance(perMille: impairment.lost) {
                counts.lost += 1
                return
            }
            var frame = frame
            if random.chance(perMille: impairment.corrupted) {
                counts.corrupted += 1
                frame[Int(random.next() % UInt64(frame.count))] ^= 1 << UInt8(random.next() & 7)
            }
            let isDuplicated = random.chance(perMille: impairment.duplicated)
            if isDuplicated { counts.duplicated += 1 }
            if random.chance(perMille: impairment.delayed) {
                counts.delayed += 1
                let microseconds = random.next() % UInt64(impairment.delay * 1000)
                held.append((.now + .microseconds(Int(microseconds)), frame))
            } else {
                send(frame)
            }
            if isDuplicated { send(frame) }
        }

        mutating func release() {
            guard !held.isEmpty else { return }
            let now = ContinuousClock.now
            for entry in held where entry.due <= now { send(entry.frame) }
            held.removeAll { $0.due <= now }
        }

        private mutating func send(_ frame: [UInt8]) {
            if to.send(frame) { counts.carried += 1 } else { counts.overflowed += 1 }
        }
    }
}
