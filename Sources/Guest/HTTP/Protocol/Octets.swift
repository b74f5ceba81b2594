// Looking at octets eight at a time (SWAR), and as ASCII text.

/// Eight octets at once, the first in the low bits. Every mask has 0x80 in the octets meant and is
/// exact up to its lowest set bit, which is the one asked for.
enum Word {
    @inline(__always) static var lows: UInt64 { 0x0101_0101_0101_0101 }
    @inline(__always) static var highs: UInt64 { 0x8080_8080_8080_8080 }

    /// Octets equal to `octet`.
    @inline(__always) static func equal(_ word: UInt64, _ octet: UInt8) -> UInt64 {
        let difference = word ^ (lows &* UInt64(octet))
        return (difference &- lows) & ~difference & highs
    }

    /// Octets below `bound`, which is at most 0x80.
    @inline(__always) static func below(_ word: UInt64, _ bound: UInt8) -> UInt64 {
        (word &- (lows &* UInt64(bound))) & ~word & highs
    }

    /// Octets that are not letters or "-", exact in each octet: most header names need no more.
    @inline(__always) static func notNameLetters(_ word: UInt64) -> UInt64 {
        let low = (word | (lows &* 0x20)) & ~highs
        let letter = (low &+ (lows &* 0x1F)) & ~(low &+ (lows &* 0x05)) & ~word
        let dash = word ^ (lows &* 0x2D)
        let isDash = ~(((dash & ~highs) &+ ~highs) | dash)
        return ~(letter | isDash) & highs
    }

    /// Octets that are neither letters nor digits nor one of "-.:", exact in each octet: most hosts
    /// need no more.
    @inline(__always) static func notPlainHost(_ word: UInt64) -> UInt64 {
        let octets = word & ~highs
        let low = octets | (lows &* 0x20)
        let letter = (low &+ (lows &* 0x1F)) & ~(low &+ (lows &* 0x05))
        // From "-" to ":" lie the digits, ".", and "/", which is left out.
        let middle = (octets &+ (lows &* 0x53)) & ~(octets &+ (lows &* 0x45))
        let slash = word ^ (lows &* 0x2F)
        let notSlash = ((slash & ~highs) &+ ~highs) | slash
        return ~((letter | middle & notSlash) & ~word) & highs
    }

    /// The index of the lowest marked octet; 8 if none is.
    @inline(__always) static func first(_ mask: UInt64) -> Int {
        mask.trailingZeroBitCount &>> 3
    }
}

extension RawSpan {
    /// The octet at `index`; 0 past the end.
    @inline(__always) func octet(_ index: Int) -> UInt8 {
        UInt(bitPattern: index) < UInt(bitPattern: byteCount)
            ? unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self) : 0
    }

    /// The eight octets from `index`, zeros standing in for those past the end.
    @inline(__always) func word(_ index: Int) -> UInt64 {
        let last = byteCount &- 8
        if last >= 0 {
            if UInt(bitPattern: index) <= UInt(bitPattern: last) {
                return unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            }
            if UInt(bitPattern: index) < UInt(bitPattern: byteCount) {
                // The last eight, without those before `index`.
                let word = unsafeLoadUnaligned(fromUncheckedByteOffset: last, as: UInt64.self)
                return word &>> UInt64(truncatingIfNeeded: 8 &* (index &- last))
            }
        }
        return partialWord(index)
    }

    @inline(never) func partialWord(_ index: Int) -> UInt64 {
        var word: UInt64 = 0
        var position = byteCount
        while position > index {
            position &-= 1
            word = word &<< 8 | UInt64(octet(position))
        }
        return word
    }

    /// The four octets from `index`, zeros standing in for those past the end.
    @inline(__always) func halfWord(_ index: Int) -> UInt32 {
        let last = byteCount &- 4
        if last >= 0 {
            if UInt(bitPattern: index) <= UInt(bitPattern: last) {
                return unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt32.self)
            }
            if UInt(bitPattern: index) < UInt(bitPattern: byteCount) {
                let word = unsafeLoadUnaligned(fromUncheckedByteOffset: last, as: UInt32.self)
                return word &>> UInt32(truncatingIfNeeded: 8 &* (index &- last))
            }
        }
        return UInt32(truncatingIfNeeded: partialWord(index))
    }

    /// True if both hold the same octets.
    public func equals(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        var index = 0
        while byteCount &- index >= 8 {
            let here = unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            let there = other.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            if here != there { return false }
            index &+= 8
        }
        while index < byteCount {
            let here = unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
            if here != other.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self) {
                return false
            }
            index &+= 1
        }
        return true
    }

    /// True if both hold the same octets, ASCII letters of either case being the same
    /// (RFC 9110 §5.1 for field names).
    public func equalsIgnoringCase(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        var index = 0
        while index < byteCount {
            if ASCII.lower(octet(index)) != ASCII.lower(other.octet(index)) { return false }
            index &+= 1
        }
        return true
    }

    /// True if these are the octets of `literal`.
    @inline(__always) public func equals(_ literal: StaticString) -> Bool {
        equals(literal.octets)
    }

    /// True if these are the octets of `literal`, ASCII letters of either case being the same.
    @inline(__always) public func equalsIgnoringCase(_ literal: StaticString) -> Bool {
        byteCount == literal.utf8CodeUnitCount && equalsIgnoringCase(literal.octets)
    }

    /// True if the octets begin with those of `prefix`.
    public func starts(with prefix: RawSpan) -> Bool {
        byteCount >= prefix.byteCount && extracting(first: prefix.byteCount).equals(prefix)
    }

    /// The same octets in an array of their own.
    var copy: [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(byteCount)
        for index in 0..<byteCount { copy.append(octet(index)) }
        return copy
    }

    /// Without optional whitespace (SP, HTAB) at either end (RFC 9110 §5.6.3).
    @_lifetime(copy self) func trimmed() -> RawSpan {
        var start = 0
        var end = byteCount
        while start < end, ASCII.isBlank(octet(start)) { start &+= 1 }
        while end > start, ASCII.isBlank(octet(end &- 1)) { end &-= 1 }
        return extracting(start..<end)
    }

    /// The number these octets write in decimal, digits alone; nil if it is none or does not fit.
    public var decimal: UInt64? {
        guard byteCount > 0 else { return nil }
        var value: UInt64 = 0
        for index in 0..<byteCount {
            let digit = octet(index) &- 0x30
            guard digit < 10 else { return nil }
            let (high, low) = value.multipliedFullWidth(by: 10)
            let (sum, carry) = low.addingReportingOverflow(UInt64(digit))
            guard high == 0, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// Calls `body` with each member of a comma-separated list, whitespace removed, empty members
    /// left out (RFC 9110 §5.6.1), until it returns false.
    func forEachListMember(_ body: (RawSpan) -> Bool) {
        var start = 0
        while start <= byteCount {
            var end = start
            while end < byteCount, octet(end) != 0x2C { end &+= 1 }
            let member = extracting(start..<end).trimmed()
            if member.byteCount > 0, !body(member) { return }
            start = end &+ 1
        }
    }
}

extension StaticString {
    /// The octets of the literal.
    @inlinable public var octets: RawSpan {
        @_lifetime(immortal) get {
            // Sound: a literal's octets are never written to and never go away.
            let span =
                hasPointerRepresentation
                ? unsafe RawSpan(
                    _unsafeStart: UnsafeRawPointer(utf8Start), byteCount: utf8CodeUnitCount)
                : RawSpan()
            return unsafe _overrideLifetime(span, borrowing: ())
        }
    }
}

/// Kinds of ASCII characters (RFC 5234 appendix B.1, RFC 9110 §5.6.2).
enum ASCII {
    @inline(__always) static var tab: UInt8 { 0x09 }
    @inline(__always) static var lineFeed: UInt8 { 0x0A }
    @inline(__always) static var carriageReturn: UInt8 { 0x0D }
    @inline(__always) static var space: UInt8 { 0x20 }
    @inline(__always) static var colon: UInt8 { 0x3A }

    @inline(__always) static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }
    @inline(__always) static func isDigit(_ octet: UInt8) -> Bool { octet &- 0x30 < 10 }
    @inline(__always) static func isLetter(_ octet: UInt8) -> Bool { (octet | 0x20) &- 0x61 < 26 }

    @inline(__always) static func lower(_ octet: UInt8) -> UInt8 {
        octet &- 0x41 < 26 ? octet | 0x20 : octet
    }

    /// The value of a hexadecimal digit; nil if it is none.
    @inline(__always) static func hexadecimal(_ octet: UInt8) -> UInt8? {
        if isDigit(octet) { return octet &- 0x30 }
        let letter = (octet | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }

    /// A character of a token (RFC 9110 §5.6.2), by one bit of a 256-bit table.
    @inline(__always) static func isToken(_ octet: UInt8) -> Bool {
        let row: UInt64 =
            octet < 0x40 ? 0x03FF_6CFA_0000_0000 : octet < 0x80 ? 0x57FF_FFFF_C7FF_FFFE : 0
        return row &>> UInt64(octet & 0x3F) & 1 == 1
    }

    /// A character of a field value: visible, blank or obs-text (RFC 9110 §5.5).
    @inline(__always) static func isFieldValue(_ octet: UInt8) -> Bool {
        octet >= 0x20 && octet != 0x7F || octet == 0x09
    }

    /// A character of `host[:port]` (RFC 3986 §3.2.2): unreserved, sub-delims, "%", ":", "[", "]".
    static func isHost(_ octet: UInt8) -> Bool {
        let row: UInt64 =
            octet < 0x40 ? 0x2FFF_7FF2_0000_0000 : octet < 0x80 ? 0x47FF_FFFE_AFFF_FFFE : 0
        return row &>> UInt64(octet & 0x3F) & 1 == 1
    }
}
