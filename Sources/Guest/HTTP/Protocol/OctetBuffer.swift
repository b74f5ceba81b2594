// A growing run of octets that is written front to back and used again: heads, header lines.

/// Octets to be sent or kept. Emptying it keeps the storage.
public struct OctetBuffer {
    private var storage: [UInt8]
    public private(set) var count = 0

    /// No storage until something is appended.
    public init() { storage = [] }

    public init(capacity: Int) { storage = [UInt8](repeating: 0, count: capacity) }

    /// What was appended.
    public var octets: RawSpan {
        @inline(__always) @_lifetime(borrow self) get {
            storage.span.bytes.extracting(first: count)
        }
    }

    /// Shows what was appended: for buffers that are stored in an object.
    @inline(__always) public func withOctets<R>(_ body: (RawSpan) -> R) -> R { body(octets) }

    /// Octets that fit before the storage has to grow.
    @inline(__always) public var room: Int { storage.count &- count }

    @inline(__always) public mutating func removeAll() { count = 0 }

    public mutating func truncate(to newCount: Int) { count = max(0, min(count, newCount)) }

    /// Gives the storage back if it is larger than `bound`.
    public mutating func shrink(above bound: Int) {
        if storage.count > bound { storage = [] }
        count = min(count, storage.count)
    }

    @inline(never) private mutating func grow(by more: Int) {
        var larger = [UInt8](repeating: 0, count: max(256, (count &+ more) &* 2))
        var span = larger.mutableSpan
        var target = span.mutableBytes
        Self.copy(storage.span.bytes.extracting(first: count), to: &target, at: 0)
        storage = larger
    }

    /// Copies by words; the last one overlaps its neighbour, so that no tail is left over.
    @inline(__always)
    private static func copy(_ bytes: RawSpan, to raw: inout MutableRawSpan, at start: Int) {
        let size = bytes.byteCount
        if size >= 8 {
            var index = 0
            let last = size &- 8
            while index < last {
                raw.storeBytes(
                    of: bytes.word(index), toByteOffset: start &+ index, as: UInt64.self)
                index &+= 8
            }
            raw.storeBytes(of: bytes.word(last), toByteOffset: start &+ last, as: UInt64.self)
        } else if size >= 4 {
            raw.storeBytes(of: bytes.halfWord(0), toByteOffset: start, as: UInt32.self)
            raw.storeBytes(
                of: bytes.halfWord(size &- 4), toByteOffset: start &+ size &- 4, as: UInt32.self)
        } else {
            var index = 0
            while index < size {
                raw.storeBytes(
                    of: bytes.octet(index), toByteOffset: start &+ index, as: UInt8.self)
                index &+= 1
            }
        }
    }

    // Not inlined: a response head is a dozen of these, and an image has to be small.
    @inline(never) public mutating func append(_ bytes: RawSpan) { appendInline(bytes) }

    /// As `append`, for the one path that is short of time.
    @inline(__always) mutating func appendInline(_ bytes: RawSpan) {
        if room < bytes.byteCount { grow(by: bytes.byteCount) }
        let start = count
        var span = storage.mutableSpan
        var target = span.mutableBytes
        Self.copy(bytes, to: &target, at: start)
        count &+= bytes.byteCount
    }

    @inline(__always) public mutating func append(_ literal: StaticString) {
        append(literal.octets)
    }

    @inline(__always) public mutating func append(octet: UInt8) {
        if room < 1 { grow(by: 1) }
        storage[count] = octet
        count &+= 1
    }

    /// The end of a response's head, and its content if that fits: `length` in decimal, an empty
    /// line, `content`. One look at the storage for all of it: every small response ends so.
    ///
    /// - Returns: false if the content was too long; the head is there all the same.
    @_optimize(speed)
    mutating func appendEnd(length: UInt64, content: RawSpan) -> Bool {
        if room < 24 { grow(by: 24) }
        let fits = content.byteCount <= room &- 24
        var index = count
        var raw = storage.mutableSpan
        var target = raw.mutableBytes
        if length < 10 {
            target.storeBytes(
                of: 0x30 &+ UInt8(truncatingIfNeeded: length), toByteOffset: index, as: UInt8.self)
            index &+= 1
        } else {
            index &+= Self.digits(of: length)
            var place = index
            var rest = length
            repeat {
                place &-= 1
                target.storeBytes(
                    of: 0x30 &+ UInt8(truncatingIfNeeded: rest % 10), toByteOffset: place,
                    as: UInt8.self)
                rest /= 10
            } while rest > 0
        }
        target.storeBytes(of: 0x0A0D_0A0D, toByteOffset: index, as: UInt32.self)
        index &+= 4
        if fits {
            Self.copy(content, to: &target, at: index)
            index &+= content.byteCount
        }
        count = index
        return fits
    }

    private static func digits(of value: UInt64) -> Int {
        var digits = 1
        var bound = value
        while bound >= 10 {
            bound /= 10
            digits &+= 1
        }
        return digits
    }

    /// The number in decimal.
    public mutating func append(decimal value: UInt64) {
        if value < 10 { return append(octet: 0x30 &+ UInt8(truncatingIfNeeded: value)) }
        if room < 20 { grow(by: 20) }
        var digits = Self.digits(of: value)
        var index = count &+ digits
        count = index
        var rest = value
        repeat {
            index &-= 1
            storage[index] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            digits &-= 1
        } while digits > 0
    }

    /// The number in hexadecimal, without leading zeros.
    public mutating func append(hexadecimal value: UInt64) {
        append(hexadecimal: value, digits: max(1, (67 &- value.leadingZeroBitCount) / 4))
    }

    /// The lowest `digits` digits of the number in hexadecimal; at most 16.
    public mutating func append(hexadecimal value: UInt64, digits: Int) {
        if room < 16 { grow(by: 16) }
        for index in 0..<digits {
            let shift = UInt64(4 &* (digits &- 1 &- index))
            let digit = UInt8(truncatingIfNeeded: value &>> shift & 15)
            storage[count &+ index] = digit < 10 ? 0x30 &+ digit : 0x57 &+ digit
        }
        count &+= digits
    }
}
