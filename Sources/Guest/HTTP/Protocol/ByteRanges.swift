// Range requests (RFC 9110 §14): the ranges a client asks for, fitted to what there is.

/// The satisfiable ranges of a Range field, at most eight of them.
public struct ByteRanges {
    /// What to do with a Range field.
    public enum Outcome {
        /// Answer as if it were not there: it is malformed, of another unit, or asks for too much.
        case ignored
        /// Answer 416: nothing that it asks for exists.
        case unsatisfiable
        /// Answer 206 with these.
        case ranges(ByteRanges)
    }

    public private(set) var count = 0
    private var starts = InlineArray<8, UInt64>(repeating: 0)
    private var ends = InlineArray<8, UInt64>(repeating: 0)

    /// The range at `index`; its end is exclusive.
    public subscript(index: Int) -> (start: UInt64, end: UInt64) { (starts[index], ends[index]) }

    /// Reads the value of a Range field.
    ///
    /// More than eight ranges, or ranges that together are more than the whole, are an attack or a
    /// mistake (§14.2); the whole is then the better answer.
    public static func parse(_ value: RawSpan, size: UInt64) -> Outcome {
        guard value.byteCount > 6, value.extracting(first: 6).equalsIgnoringCase("bytes=") else {
            return .ignored
        }
        var ranges = ByteRanges()
        var isMalformed = false
        var asked = 0
        var total: UInt64 = 0
        value.extracting(droppingFirst: 6).forEachListMember { member in
            asked &+= 1
            var dash = 0
            while dash < member.byteCount, member.octet(dash) != 0x2D { dash &+= 1 }
            guard dash < member.byteCount, asked <= 8 else {
                isMalformed = true
                return false
            }
            let lastText = member.extracting(dash &+ 1..<member.byteCount)
            let last = lastText.saturatingDecimal
            if dash == 0 {
                // The last so many octets.
                guard let suffix = last else {
                    isMalformed = true
                    return false
                }
                let length = min(suffix, size)
                if length > 0 { ranges.add(size &- length, size) }
                total = total.addingReportingOverflow(length).partialValue
                return true
            }
            guard let first = member.extracting(first: dash).saturatingDecimal,
                lastText.byteCount == 0 || last != nil, first <= last ?? .max
            else {
                isMalformed = true
                return false
            }
            if first < size {
                let end = min(last ?? .max, size &- 1) &+ 1
                ranges.add(first, end)
                total = total.addingReportingOverflow(end &- first).partialValue
            }
            return true
        }
        if isMalformed || asked == 0 { return .ignored }
        if ranges.count == 0 { return .unsatisfiable }
        if ranges.count > 1, total > size { return .ignored }
        return .ranges(ranges)
    }

    private mutating func add(_ start: UInt64, _ end: UInt64) {
        guard count < 8 else { return }
        starts[count] = start
        ends[count] = end
        count &+= 1
    }
}

extension RawSpan {
    /// As `decimal`, but a number too large becomes the largest there is.
    var saturatingDecimal: UInt64? {
        guard byteCount > 0 else { return nil }
        for index in 0..<byteCount where !ASCII.isDigit(octet(index)) { return nil }
        return decimal ?? .max
    }
}
