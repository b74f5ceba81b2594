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
    /// Milliseconds that every frame takes.
    var latency = 0
    /// Octets of the longest packet that passes; it changes after every 200 frames that are long, and
    /// the last one stays. Empty: any.
    var longest: [Int] = []
    /// Whether a router says so when a packet was too long, or nobody does.
    var tells = true
}

/// What became of the frames of one direction.
struct LinkCounts: Sendable {
    var carried = 0
    var lost = 0
    var duplicated = 0
    var corrupted = 0
    var delayed = 0
    var tooLong = 0
    /// The port behind had no room for them.
    var overflowed = 0
}

/// Carries frames between two ports until it is stopped.
final class ImpairedLink: Sendable {
    private let isStopped = Atomic<Bool>(false)
    private let impairment: Mutex<Impairment>
    private let counts = Mutex<(LinkCounts, LinkCounts)>((LinkCounts(), LinkCounts()))
    private let worker: Mutex<Worker<Void>?> = Mutex(nil)

    init(_ a: FramePort, _ b: FramePort, _ impairment: Impairment) throws {
        self.impairment = Mutex(impairment)
        let worker = try Worker { self.carry(a, b) }
        self.worker.withLock { $0 = worker }
    }

    /// From now on it is so bad; the seed stays what it was.
    func change(_ impairment: Impairment) { self.impairment.withLock { $0 = impairment } }

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

    private func carry(_ a: FramePort, _ b: FramePort) {
        let first = impairment.withLock { $0 }
        var there = Direction(from: a, to: b, impairment: first, seed: first.seed)
        var back = Direction(from: b, to: a, impairment: first, seed: ~first.seed)
        while !isStopped.load(ordering: .relaxed) {
            let now = impairment.withLock { $0 }
            (there.impairment, back.impairment) = (now, now)
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
        var impairment: Impairment
        var random: SeededRandom
        var counts = LinkCounts()
        /// Of more than 1280 octets: for `longest`.
        var longFrames = 0
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
            if frame.count > 1280 { longFrames += 1 }
            if let longest = longestNow, frame.count > longest + 14 {
                counts.tooLong += 1
                if impairment.tells, let answer = TooLong.answer(to: frame, longest: longest) {
                    from.send(answer)
                }
                return
            }
            let isDuplicated = random.chance(perMille: impairment.duplicated)
            if isDuplicated { counts.duplicated += 1 }
            var time = impairment.latency * 1000
            if random.chance(perMille: impairment.delayed) {
                counts.delayed += 1
                time += Int(random.next() % UInt64(impairment.delay * 1000))
            }
            for _ in 0...(isDuplicated ? 1 : 0) {
                if time > 0 {
                    held.append((.now + .microseconds(time), frame))
                } else {
                    send(frame)
                }
                time = impairment.latency * 1000
            }
        }

        private var longestNow: Int? {
            guard !impairment.longest.isEmpty else { return nil }
            return impairment.longest[min(longFrames / 200, impairment.longest.count - 1)]
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
