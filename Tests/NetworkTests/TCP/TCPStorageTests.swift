// The containers under TCP: slab, rings, pool, table, timer heap, intervals, SipHash.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite("TCP: storage")
struct TCPStorageTests {
    @Test("SipHash-2-4 gives the reference vectors")
    func sipHash() {
        let key: (UInt64, UInt64) = (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908)
        let empty = SipHash(key: key)
        #expect(empty.finalize() == 0x726F_DB47_DD0E_0E31)
        var eight = SipHash(key: key)
        eight.combine(0x0706_0504_0302_0100)
        #expect(eight.finalize() == 0x93F5_F579_9A93_2462)
    }

    @Test("slab: lowest place first, generations tell old handles, chunks go back")
    func slab() {
        var slab = Slab<Int>()
        var handles: [(Int, UInt32)] = []
        for value in 0..<100 {
            var generation: UInt32 = 0
            let index = slab.insert { _, given in
                generation = given
                return value
            }
            handles.append((index, generation))
        }
        let inOrder = handles.map(\.0) == Array(0..<100)
        #expect(inOrder)
        for (index, _) in handles where index % 3 == 0 { slab.remove(index) }
        let again = slab.insert { _, _ in 1_000 }
        let oldIsGone = !slab.contains(0, generation: handles[0].1)
        let newLives = slab.contains(0)
        #expect(again == 0)
        #expect(oldIsGone)
        #expect(newLives)
        for index in 0..<100 { slab.remove(index) }
        let count = slab.count
        let contains = slab.contains(50) || slab.contains(10_000) || slab.contains(-1)
        #expect(count == 0)
        #expect(!contains)
    }

    @Test("ring: any sequence of writes, gaps, drops and growth keeps the octets")
    func ring() {
        var random = SeededRandom(seed: 5)
        var pool = BlockPool(limit: 1 << 20, cacheLimit: 1 << 16)
        var ring = ByteRing()
        var expected: [UInt8] = []
        var next: UInt8 = 0
        for _ in 0..<5_000 {
            let count = Int(random.next() % 300)
            if random.chance(0.5), expected.count < 4_000 {
                let bytes = (0..<count).map { _ in
                    next &+= 1
                    return next
                }
                let reserved = ring.reserve(ring.count + count, ceiling: 1 << 20, from: &pool)
                #expect(reserved)
                // The later half first: a gap, then what fills it.
                let half = count / 2
                let later = Array(bytes[half...])
                let earlier = Array(bytes[..<half])
                ring.write(later.span.bytes, at: ring.count + half)
                ring.write(earlier.span.bytes, at: ring.count)
                ring.extend(by: count)
                expected += bytes
            } else {
                let front = ring.withFront { span in span.withUnsafeBytes { Array($0) } }
                #expect(front.elementsEqual(expected.prefix(front.count)))
                ring.drop(count)
                expected.removeFirst(min(count, expected.count))
                if ring.count == 0 { ring.clear(into: &pool) }
            }
            let length = ring.count
            #expect(length == expected.count)
        }
        ring.clear(into: &pool)
        let used = pool.used
        let cached = pool.cached
        #expect(used == 0)
        #expect(cached <= 1 << 16)
    }

    @Test("table: a model of insertions and removals, with few hashes and many collisions")
    func table() {
        var random = SeededRandom(seed: 6)
        var table = TCPTable()
        var model: [Int: UInt32] = [:]
        for _ in 0..<20_000 {
            let index = Int(random.next() % 500)
            if let hash = model[index] {
                table.remove(hash, .connection(index))
                model[index] = nil
            } else {
                let hash = UInt32(random.next() % 97) &* 0x0101_0101
                table.insert(hash, .connection(index))
                model[index] = hash
            }
            let probe = Int(random.next() % 500)
            let hash = model[probe] ?? 3
            var position: Int?
            var found = false
            while let value = table.next(hash, &position) {
                if value == .connection(probe) { found = true }
            }
            #expect(found == (model[probe] != nil))
        }
        let count = table.count
        #expect(count == model.count)
    }

    @Test("timer heap: comes up in order, lazily moved")
    func timers() {
        var random = SeededRandom(seed: 7)
        var heap = TimerHeap()
        var model: [Int: UInt64] = [:]
        for _ in 0..<20_000 {
            let index = Int(random.next() % 200)
            let deadline = random.next() % 1_000_000
            switch random.next() % 3 {
            case 0:
                heap.set(index, deadline)
                model[index] = deadline
            case 1:
                heap.arm(index, deadline)
                model[index] = min(model[index] ?? .max, deadline)
            default:
                heap.set(index, .max)
                model[index] = nil
            }
            let earliest = heap.earliest
            #expect(earliest == model.values.min() ?? .max)
        }
        var last: UInt64 = 0
        while let index = heap.due(.max - 1) {
            #expect(model[index]! >= last)
            last = model[index]!
            heap.set(index, .max)
        }
    }

    @Test("intervals: a model of octets, across the wrap of the numbers")
    func intervals() {
        var random = SeededRandom(seed: 8)
        var pool = BlockPool(limit: 1 << 20, cacheLimit: 0)
        for round in 0..<200 {
            var intervals = SequenceIntervals()
            var model = [Bool](repeating: false, count: 500)
            let base = SequenceNumber(UInt32(truncatingIfNeeded: -Int(random.next() % 500)))
            for _ in 0..<60 {
                let start = Int(random.next() % 480)
                let end = start + 1 + Int(random.next() % 20)
                let inserted = intervals.insert(
                    SequenceInterval(start: base + start, end: base + end), from: &pool)
                #expect(inserted)
                for place in start..<end { model[place] = true }
            }
            let low = Int(random.next() % 200)
            intervals.removeBelow(base + low, into: &pool)
            for place in 0..<low { model[place] = false }
            for place in low..<500 {
                let found = intervals.index(of: base + place) != nil
                #expect(found == model[place], "round \(round)")
            }
            let gaps = intervals.gaps(from: base + low, to: base + 500)
            #expect(gaps == model[low...].filter { !$0 }.count)
            let gap = intervals.gap(from: base + low, to: base + 500)
            let first = model[low...].firstIndex(of: false)
            #expect(gap.map { $0.start - base } == first)
            intervals.clear(into: &pool)
        }
        let used = pool.used
        #expect(used == 0)
    }
}
