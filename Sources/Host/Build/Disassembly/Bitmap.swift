// A set of small numbers, one bit each.

/// Which of the numbers below `count` are in it; others are never.
struct Bitmap {
    private var words: [UInt64]
    let count: Int

    init(count: Int) {
        self.count = count
        words = .init(repeating: 0, count: (count + 63) / 64)
    }

    /// Whether `index` is in it.
    func contains(_ index: Int) -> Bool {
        index >= 0 && index < count && words[index >> 6] >> UInt64(index & 63) & 1 != 0
    }

    mutating func insert(_ index: Int) {
        guard index >= 0, index < count else { return }
        words[index >> 6] |= 1 << UInt64(index & 63)
    }
}
