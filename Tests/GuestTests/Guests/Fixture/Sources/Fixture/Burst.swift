// Much memory for a moment, and again later: what the host took back meanwhile must not show.

import Swiftlet

enum Burst {
    /// Words of an array that takes a mebibyte with its header.
    private static let count = ((1 << 20) - 64) / MemoryLayout<Int>.size
    private static let blockCount = 150

    /// So many blocks of words that tell their places.
    private static func fill(_ seed: Int) -> [[Int]] {
        (0..<blockCount).map { block in
            .init(unsafeUninitializedCapacity: count) { words, used in
                for index in 0..<count { words[index] = seed &+ block &* count &+ index }
                used = count
            }
        }
    }

    private static func isRight(_ blocks: [[Int]], _ seed: Int) -> Bool {
        var expected = seed
        for block in blocks {
            for word in block {
                guard word == expected else { return false }
                expected &+= 1
            }
        }
        return true
    }

    static func run() async {
        // Stays in use all the time, between what is freed.
        let kept = fill(7).prefix(3).map { $0 }
        var blocks = fill(1)
        guard isRight(blocks, 1) else { return print("burst: wrong at once") }
        blocks = []
        // Two looks of the monitor's, and memory that is used between and after them.
        for round in 0..<3 {
            await sleep(for: .milliseconds(1500))
            let small = (0..<1000).map { [Int](repeating: $0 &+ round, count: 100) }
            for (index, piece) in small.enumerated() where piece[99] != index &+ round {
                return print("burst: wrong")
            }
        }
        blocks = fill(2)
        let isWhole = isRight(blocks, 2) && isRight(kept, 7)
        blocks = []
        print(isWhole ? "burst: right" : "burst: wrong")
        await sleep(for: .seconds(1_000_000))
        print("kept \(kept.count)")
    }
}
