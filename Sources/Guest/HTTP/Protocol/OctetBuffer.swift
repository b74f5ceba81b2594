// A growing run of octets that is written front to back and used again: heads, header lines.

/// Octets to be sent or kept, with one owner: no reference counting on the path of a request.
/// Emptying it keeps the storage.
///
/// Soundness: `storage` has `capacity` octets, of which the first `count` were written.
public struct OctetBuffer: ~Copyable {
    private var storage: UnsafeMutableRawPointer?
    /// Octets that the storage has.
    private(set) var capacity = 0
    public private(set) var count = 0

    /// No storage until something is appended.
    public init() {}

    public init(capacity: Int) { reserve(capacity) }

    deinit { storage?.deallocate() }

    /// What was appended.
    public var octets: RawSpan {
        @inline(__always) @_lifetime(borrow self) get {
            guard let storage else { return RawSpan() }
            let span = RawSpan(_unsafeStart: UnsafeRawPointer(storage), byteCount: count)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// Shows what was appended: for buffers that are stored in an object.
    @inline(__always) public borrowing func withOctets<R: ~Copyable>(_ body: (RawSpan) -> R) -> R {
        body(octets)
    }

    /// Octets that fit before the storage has to grow.
    @inline(__always) public var room: Int { capacity &- count }

    @inline(__always) public mutating func removeAll() { count = 0 }

    @inline(__always) public mutating func truncate(to newCount: Int) {
        count = max(0, min(count, newCount))
    }

    /// Gives the storage back if it is larger than `bound`; what was appended is lost then.
    public mutating func shrink(above bound: Int) {
        guard capacity > bound else { return }
        storage?.deallocate()
        storage = nil
        capacity = 0
        count = 0
    }

    /// Room for `more` octets behind those that are there.
    @inline(__always) private mutating func makeRoom(for more: Int) {
        if room < more { reserve(max(256, (count &+ more) &* 2)) }
    }

    @inline(never) private mutating func reserve(_ newCapacity: Int) {
        let larger = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        if let storage {
            larger.copyMemory(from: storage, byteCount: count)
            storage.deallocate()
        }
        storage = larger
        capacity = newCapacity
    }

    /// Where the next octet goes; only after `makeRoom`.
    @inline(__always) private var end: UnsafeMutableRawPointer {
        storage.unsafelyUnwrapped + count
    }

    /// Copies by words; the last one overlaps its neighbour, so that no tail is left over.
    @inline(__always)
    private static func copy(_ bytes: RawSpan, to target: UnsafeMutableRawPointer) {
        let size = bytes.byteCount
        if size >= 8 {
            var index = 0
            let last = size &- 8
            while index < last {
                target.storeBytes(of: bytes.word(index), toByteOffset: index, as: UInt64.self)
                index &+= 8
            }
            target.storeBytes(of: bytes.word(last), toByteOffset: last, as: UInt64.self)
        } else if size >= 4 {
            target.storeBytes(of: bytes.halfWord(0), as: UInt32.self)
            target.storeBytes(
                of: bytes.halfWord(size &- 4), toByteOffset: size &- 4, as: UInt32.self)
        } else {
            var index = 0
            while index < size {
                target.storeBytes(of: bytes.octet(index), toByteOffset: index, as: UInt8.self)
                index &+= 1
            }
        }
    }

    // Not inlined: a response head is a dozen of these, and an image has to be small.
    @inline(never) public mutating func append(_ bytes: RawSpan) {
        guard bytes.byteCount > 0 else { return }
        makeRoom(for: bytes.byteCount)
        Self.copy(bytes, to: end)
        count &+= bytes.byteCount
    }

    @inline(__always) public mutating func append(_ literal: StaticString) {
        append(literal.octets)
    }

    @inline(__always) public mutating func append(octet: UInt8) {
        makeRoom(for: 1)
        end.storeBytes(of: octet, as: UInt8.self)
        count &+= 1
    }

    /// The end of a response's head, and its content if that fits: `length` in decimal, an empty
    /// line, `content`. One look at the storage for all of it: every small response ends so.
    ///
    /// - Returns: false if the content was too long; the head is there all the same.
    @_optimize(speed)
    mutating func appendEnd(length: UInt64, content: RawSpan) -> Bool {
        makeRoom(for: Self.longestDecimal &+ 4)
        if length < 10 {
            end.storeBytes(of: 0x30 &+ UInt8(truncatingIfNeeded: length), as: UInt8.self)
            count &+= 1
        } else {
            appendDigits(of: length)
        }
        end.storeBytes(of: 0x0A0D_0A0D, as: UInt32.self)
        count &+= 4
        guard content.byteCount <= room else { return false }
        Self.copy(content, to: end)
        count &+= content.byteCount
        return true
    }

    /// Digits of the largest number.
    private static var longestDecimal: Int { 20 }

    @inline(never) private mutating func appendDigits(of value: UInt64) {
        makeRoom(for: Self.longestDecimal)
        let digits = Self.digits(of: value)
        var rest = value
        for index in 1...digits {
            end.storeBytes(
                of: 0x30 &+ UInt8(truncatingIfNeeded: rest % 10),
                toByteOffset: digits &- index, as: UInt8.self)
            rest /= 10
        }
        count &+= digits
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
    @inline(__always) public mutating func append(decimal value: UInt64) {
        appendDigits(of: value)
    }

    /// The number in hexadecimal, without leading zeros.
    public mutating func append(hexadecimal value: UInt64) {
        append(hexadecimal: value, digits: max(1, (67 &- value.leadingZeroBitCount) / 4))
    }

    /// The lowest `digits` digits of the number in hexadecimal; at most 16.
    public mutating func append(hexadecimal value: UInt64, digits: Int) {
        var left = min(digits, 16)
        while left > 0 {
            left &-= 1
            let digit = UInt8(truncatingIfNeeded: value &>> UInt64(4 &* left) & 15)
            append(octet: digit < 10 ? 0x30 &+ digit : 0x57 &+ digit)
        }
    }
}
