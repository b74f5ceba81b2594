// Sequence numbers: 32 bits that wrap around, compared by distance (RFC 9293 §3.4).

/// A TCP sequence number. "Less" means: at most half the number space behind. That is no total
/// order, so the type is not Comparable.
struct SequenceNumber: Equatable, Sendable {
    var value: UInt32

    @inline(__always)
    init(_ value: UInt32) {
        self.value = value
    }

    /// The signed distance from `right` to `left`.
    @inline(__always)
    static func - (left: SequenceNumber, right: SequenceNumber) -> Int {
        Int(Int32(bitPattern: left.value &- right.value))
    }

    @inline(__always)
    static func + (left: SequenceNumber, right: Int) -> SequenceNumber {
        SequenceNumber(left.value &+ UInt32(truncatingIfNeeded: right))
    }

    @inline(__always)
    static func += (left: inout SequenceNumber, right: Int) {
        left = left + right
    }

    @inline(__always)
    static func < (left: SequenceNumber, right: SequenceNumber) -> Bool { left - right < 0 }
    @inline(__always)
    static func > (left: SequenceNumber, right: SequenceNumber) -> Bool { left - right > 0 }
    @inline(__always)
    static func <= (left: SequenceNumber, right: SequenceNumber) -> Bool { left - right <= 0 }
    @inline(__always)
    static func >= (left: SequenceNumber, right: SequenceNumber) -> Bool { left - right >= 0 }

    /// The later of two.
    @inline(__always)
    static func later(_ left: SequenceNumber, _ right: SequenceNumber) -> SequenceNumber {
        left > right ? left : right
    }
}
