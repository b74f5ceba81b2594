// Page frames and heap on host memory, against a model of what is in use.

import Testing

@testable import SwiftletMachine
@testable import SwiftletMemory

/// The allocators are the machine's, so these tests take turns.
@Suite(.serialized)
struct MemoryTests {
    /// Gives the allocator `frames` frames of host memory for the time of `body`.
    private func withMemory(frames: Int, _ body: () throws -> Void) rethrows {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: frames * PageFrames.size, alignment: PageFrames.size)
        defer { memory.deallocate() }
        let start = UInt64(UInt(bitPattern: memory))
        PageFrames.reset()
        Heap.reset()
        defer {
            PageFrames.reset()
            Heap.reset()
        }
        // Two regions with a hole between them.
        let half = start + UInt64(frames / 2 * PageFrames.size)
        PageFrames.addRegion(MemoryRegion(start: start, end: half))
        PageFrames.addRegion(
            MemoryRegion(
                start: half + UInt64(PageFrames.size),
                end: start + UInt64(frames * PageFrames.size)))
        #expect(PageFrames.finishRegions())
        try body()
    }

    @Test func framesComeBackTogether() throws {
        try withMemory(frames: 1024) {
            let free = PageFrames.freeCount
            var random = SeededGenerator(seed: 1)
            var held: [(pointer: UnsafeMutableRawPointer, count: Int)] = []
            for step in 0..<20_000 {
                if held.isEmpty || Bool.random(using: &random) {
                    let count = Int.random(in: 1...40, using: &random)
                    guard let pointer = PageFrames.allocate(count, zeroed: false) else { continue }
                    // Overlap would show as a mark of another.
                    pointer.storeBytes(of: step, as: Int.self)
                    (pointer + (count * PageFrames.size - 8)).storeBytes(of: step, as: Int.self)
                    held.append((pointer, count))
                } else {
                    let (pointer, count) = held.remove(
                        at: Int.random(in: 0..<held.count, using: &random))
                    #expect(
                        pointer.load(as: Int.self)
                            == (pointer + (count * PageFrames.size - 8)).load(as: Int.self))
                    PageFrames.free(pointer, count: count)
                }
            }
            for (pointer, count) in held { PageFrames.free(pointer, count: count) }
            #expect(PageFrames.freeCount == free)
            // All of it is one run again (less the tags and the hole).
            let large = try #require(PageFrames.allocate(256))
            PageFrames.free(large, count: 256)
        }
    }

    @Test func exhaustionIsAnAnswer() {
        withMemory(frames: 64) {
            var count = 0
            while PageFrames.allocate(1, zeroed: false) != nil { count += 1 }
            #expect(count == PageFrames.totalCount)
            #expect(PageFrames.freeCount == 0)
            #expect(Heap.allocate(16) == nil)
        }
    }

    @Test func sizeClassesFitAndWasteLittle() {
        for size in 1...Heap.largestClass {
            let index = Heap.sizeClass(size)
            #expect(Heap.size(ofClass: index) >= size)
            #expect(index == 0 || Heap.size(ofClass: index - 1) < size)
            #expect(Heap.size(ofClass: index) % 16 == 0)
        }
    }

    @Test(arguments: [1, 2, 3])
    func heapNeverOverlapsAndGivesBack(seed: UInt64) {
        withMemory(frames: 4096) {
            let free = PageFrames.freeCount
            var random = SeededGenerator(seed: seed)
            var held: [(pointer: UnsafeMutableRawPointer, size: Int, mark: UInt8)] = []
            for step in 0..<50_000 {
                if held.count < 500, held.isEmpty || Int.random(in: 0..<5, using: &random) < 3 {
                    let size =
                        Int.random(in: 0..<20, using: &random) == 0
                        ? Int.random(in: 1...40_000, using: &random)
                        : Int.random(in: 1...600, using: &random)
                    let alignment = [16, 16, 16, 64, 4096].randomElement(using: &random)!
                    guard let pointer = Heap.allocate(size, alignment: alignment) else {
                        Issue.record("no memory")
                        return
                    }
                    #expect(UInt(bitPattern: pointer) % UInt(alignment) == 0)
                    #expect(Heap.usableSize(pointer) >= size)
                    let mark = UInt8(truncatingIfNeeded: step)
                    pointer.initializeMemory(as: UInt8.self, repeating: mark, count: size)
                    held.append((pointer, size, mark))
                } else {
                    let (pointer, size, mark) = held.remove(
                        at: Int.random(in: 0..<held.count, using: &random))
                    let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
                    #expect(bytes.allSatisfy { $0 == mark })
                    Heap.free(pointer)
                }
            }
            for (pointer, _, _) in held { Heap.free(pointer) }
            // At most one empty slab of each class is kept.
            #expect(free - PageFrames.freeCount <= 28 * 4)
        }
    }
}

/// SplitMix64: the same numbers for the same seed.
private struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
