// One header line (RFC 9112 §5), as requests and responses have them: scanned strictly, in place.

/// What stands where a header line may.
enum FieldScan: Equatable {
    case line(name: OctetRange, value: OctetRange, next: Int)
    case needsMore
    case malformed
}

extension RawSpan {
    /// Scans the header line at `start`. What smuggling attacks live on is malformed: blanks around
    /// the name, folded lines, bare CR and LF, other control characters (RFC 9112 §5.1, §5.2).
    @inline(__always)
    func scanField(at start: Int) -> FieldScan {
        var index = start
        while true {
            let stops = Word.notNameLetters(word(index))
            index &+= Word.first(stops)
            if stops == 0 { continue }
            let octet = octet(index)
            if octet == ASCII.colon { break }
            if index >= byteCount { return .needsMore }
            // Blanks here are a folded line or one before the colon: both forbidden (§5.1, §5.2).
            guard ASCII.isToken(octet) else { return .malformed }
            index &+= 1
        }
        guard index > start else { return .malformed }
        let name = OctetRange(start: start, end: index)

        index &+= 1
        var valueStart = index
        while ASCII.isBlank(octet(valueStart)) { valueStart &+= 1 }
        index = valueStart
        while true {
            let word = word(index)
            let stops = Word.below(word, 0x20) | Word.equal(word, 0x7F)
            index &+= Word.first(stops)
            if stops == 0 { continue }
            guard octet(index) == ASCII.tab else { break }
            index &+= 1
        }
        if index >= byteCount { return .needsMore }
        guard octet(index) == ASCII.carriageReturn else { return .malformed }
        guard index &+ 1 < byteCount else { return .needsMore }
        guard octet(index &+ 1) == ASCII.lineFeed else { return .malformed }
        let next = index &+ 2
        while index > valueStart, ASCII.isBlank(octet(index &- 1)) { index &-= 1 }
        return .line(name: name, value: OctetRange(start: valueStart, end: index), next: next)
    }

    /// Calls `body` with the name and value of each header line in `fields`, in order, until it
    /// returns false. The lines were scanned before, so that looking for a colon and a CR is enough.
    @inline(__always)
    func forEachField(
        in fields: OctetRange, _ body: (_ name: OctetRange, _ value: OctetRange) -> Bool
    ) {
        var position = Int(fields.start)
        let end = min(fields.end, byteCount)
        while position < end {
            var colon = position
            while colon < end, octet(colon) != ASCII.colon { colon &+= 1 }
            var lineEnd = colon
            while lineEnd < end {
                let stop = Word.first(Word.equal(word(lineEnd), ASCII.carriageReturn))
                lineEnd &+= stop
                if stop < 8 { break }
            }
            lineEnd = min(lineEnd, end)
            var valueStart = min(colon &+ 1, lineEnd)
            var valueEnd = lineEnd
            while valueStart < valueEnd, ASCII.isBlank(octet(valueStart)) { valueStart &+= 1 }
            while valueEnd > valueStart, ASCII.isBlank(octet(valueEnd &- 1)) { valueEnd &-= 1 }
            let more = body(
                OctetRange(start: position, end: colon),
                OctetRange(start: valueStart, end: valueEnd))
            if !more { return }
            position = lineEnd &+ 2
        }
    }

    /// Where the value of the first header line called `name` lies; nil if `fields` has none.
    @inline(__always)
    func field(_ name: RawSpan, in fields: OctetRange) -> OctetRange? {
        var found: OctetRange?
        forEachField(in: fields) { fieldName, value in
            guard Int(fieldName.count) == name.byteCount,
                octets(fieldName).equalsIgnoringCase(name)
            else { return true }
            found = value
            return false
        }
        return found
    }

    /// True if this can be a header line's name: a token (RFC 9110 §5.1).
    var isFieldName: Bool {
        for index in 0..<byteCount where !ASCII.isToken(octet(index)) { return false }
        return byteCount > 0
    }

    /// True if this can be a header line's value (RFC 9110 §5.5); no line ends within it.
    var isFieldValue: Bool {
        for index in 0..<byteCount where !ASCII.isFieldValue(octet(index)) { return false }
        return true
    }
}
