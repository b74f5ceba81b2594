// Page frames and heap on host memory, against a model of what is in use.

import SwiftletTestSupport
import Testing

@testable import SwiftletMachine
@testable import SwiftletMemory

struct MemoryTests {
    /// A heap on `count` frames of host memory, in two regions with a hole between them.
    private func withHeap(frames count: Int, _ body: (inout HeapAllocator) throws -> Void) rethrows
    {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: count * PageFrames.size, alignment: PageFrames.size)
        defer { memory.deallocate() }
        let start = UInt64(UInt(bitPattern: memory))
        let half = start + UInt64(count / 2 * PageFrames.size)
        var heap = HeapAllocator()
        heap.frames.addRegion(MemoryRegion(start: start, end: half))
        heap.frames.addRegion(
            MemoryRegion(
                start: half + UInt64(PageFrames.size),
                end: start + UInt64(count * PageFrames.size)))
        let isReady = heap.frames.finishRegions()
        #expect(isReady)
        try body(&heap)
    }

    @Test func framesComeBackTogether() throws {
        try withHeap(frames: 1024) { heap in
            let free = heap.frames.freeCount
            var random = SeededRandom(seed: 1)
            var held: [(pointer: UnsafeMutableRawPointer, count: Int)] = []
            for step in 0..<20_000 {
                if held.isEmpty || Bool.random(using: &random) {
                    let count = Int.random(in: 1...40, using: &random)
                    guard let pointer = heap.frames.allocate(count, zeroed: false) else { continue }
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
                    heap.frames.free(pointer, count: count)
                }
            }
            for (pointer, count) in held { heap.frames.free(pointer, count: count) }
            let freeAtEnd = heap.frames.freeCount
            #expect(freeAtEnd == free)
            // All of it is one run again (less the tags and the hole).
            let run = heap.frames.allocate(256)
            let large = try #require(run)
            heap.frames.free(large, count: 256)
        }
    }

    @Test func exhaustionIsAnAnswer() {
        withHeap(frames: 64) { heap in
            var count = 0
            while heap.frames.allocate(1, zeroed: false) != nil { count += 1 }
            let (total, free) = (heap.frames.totalCount, heap.frames.freeCount)
            #expect(count == total)
            #expect(free == 0)
            let more = heap.allocate(16)
            #expect(more == nil)
        }
    }

    @Test func sizeClassesFitAndWasteLittle() {
        for size in 1...HeapAllocator.largestClass {
            let index = HeapAllocator.sizeClass(size)
            #expect(HeapAllocator.size(ofClass: index) >= size)
            #expect(index == 0 || HeapAllocator.size(ofClass: index - 1) < size)
            #expect(HeapAllocator.size(ofClass: index) % 16 == 0)
        }
    }

    @Test(arguments: [1, 2, 3])
    func heapNeverOverlapsAndGivesBack(seed: UInt64) {
        withHeap(frames: 4096) { heap in
            let free = heap.frames.freeCount
            var random = SeededRandom(seed: seed)
            var held: [(pointer: UnsafeMutableRawPointer, size: Int, mark: UInt8)] = []
            for step in 0..<50_000 {
                if held.count < 500, held.isEmpty || Int.random(in: 0..<5, using: &random) < 3 {
                    let size =
                        Int.random(in: 0..<20, using: &random) == 0
                        ? Int.random(in: 1...40_000, using: &random)
                        : Int.random(in: 1...600, using: &random)
                    let alignment = [16, 16, 16, 64, 4096].randomElement(using: &random)!
                    guard let pointer = heap.allocate(size, alignment: alignment) else {
                        Issue.record("no memory")
                        return
                    }
                    #expect(UInt(bitPattern: pointer) % UInt(alignment) == 0)
                    let usable = heap.usableSize(pointer)
                    #expect(usable >= size)
                    let mark = UInt8(truncatingIfNeeded: step)
                    pointer.initializeMemory(as: UInt8.self, repeating: mark, count: size)
                    held.append((pointer, size, mark))
                } else {
                    let (pointer, size, mark) = held.remove(
                        at: Int.random(in: 0..<held.count, using: &random))
                    let bytes = UnsafeRawBufferPointer(start: pointer, count: size)
                    #expect(bytes.allSatisfy { $0 == mark })
                    heap.free(pointer)
                }
            }
            for (pointer, _, _) in held { heap.free(pointer) }
            // At most one empty slab of each class is kept.
            let kept = free - heap.frames.freeCount
            #expect(kept <= 28 * 4)
        }
    }
}
