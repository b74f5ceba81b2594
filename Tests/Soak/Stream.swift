// Octets that their count alone determines (splitmix64), as the fixture's server sends them.

struct Stream {
    private var state: UInt64
    private var word: UInt64 = 0
    private var left = 0

    init(count: Int) { state = UInt64(count) }

    mutating func next() -> UInt8 {
        if left == 0 {
            word = Self.next(&state)
            left = 8
        }
        defer { word >>= 8 }
        left -= 1
        return UInt8(truncatingIfNeeded: word)
    }

    static func next(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}

/// Choices that a seed determines.
struct Choices: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 { Stream.next(&state) }
}
