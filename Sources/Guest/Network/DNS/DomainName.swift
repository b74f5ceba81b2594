// Domain names (RFC 1035 §2.3, §3.1): checked when they come as text, and when they come from the
// network, where one part may stand for another (§4.1.4).

/// A name as on the wire: labels, each behind its length, and a zero at the end. Equal names may
/// differ in the case of their letters (RFC 4343).
public struct DomainName: Sendable {
    /// Octets of the longest name, lengths and the last zero included (RFC 1035 §2.3.4).
    static var longest: Int { 255 }
    /// Octets of the longest label.
    static var longestLabel: Int { 63 }

    /// The labels with their lengths.
    let octets: [UInt8]

    /// Reads a host's name such as `www.example.org`, with or without a dot at the end: letters,
    /// digits, `-` and `_`. Nil for anything else, and for a name whose last label is a number:
    /// that is a mistaken address (RFC 1123 §2.1).
    public init?(text: RawSpan) {
        var octets: [UInt8] = []
        var end = text.byteCount
        if end > 0, text.octet(at: end - 1) == 0x2E { end -= 1 }
        guard end > 0, end <= Self.longest - 2 else { return nil }
        octets.reserveCapacity(end + 2)
        octets.append(0)
        var label = 0
        var isNumber = true
        for index in 0..<end {
            let octet = text.octet(at: index)
            if octet == 0x2E {
                guard octets[label] > 0 else { return nil }
                label = octets.count
                octets.append(0)
                isNumber = true
                continue
            }
            let isDigit = octet &- 0x30 < 10
            guard isDigit || (octet | 0x20) &- 0x61 < 26 || octet == 0x2D || octet == 0x5F,
                octets[label] < UInt8(Self.longestLabel)
            else { return nil }
            if !isDigit { isNumber = false }
            octets[label] += 1
            octets.append(Self.lower(octet))
        }
        guard octets[label] > 0, !isNumber else { return nil }
        octets.append(0)
        self.octets = octets
    }

    /// Reads a name in a message, and moves `offset` behind it; nil if it is malformed.
    ///
    /// A pointer leads to what stands before the run of labels that it ends, so there is no loop.
    init?(_ message: RawSpan, at offset: inout Int) {
        var octets: [UInt8] = []
        var place = offset
        var start = offset
        var isElsewhere = false
        while true {
            guard place < message.byteCount else { return nil }
            let length = Int(message.octet(at: place))
            if length >= 0xC0 {
                guard place + 1 < message.byteCount else { return nil }
                let target = (length & 0x3F) << 8 | Int(message.octet(at: place + 1))
                guard target < start else { return nil }
                if !isElsewhere { offset = place + 2 }
                isElsewhere = true
                start = target
                place = target
                continue
            }
            // The two other kinds were never put to use (RFC 6891 §5).
            guard length <= Self.longestLabel, place + 1 + length <= message.byteCount,
                octets.count + 1 + length <= Self.longest
            else { return nil }
            for index in place...place + length { octets.append(message.octet(at: index)) }
            place += 1 + length
            if length == 0 { break }
        }
        if !isElsewhere { offset = place }
        self.octets = octets
    }

    /// The name of no label.
    var isRoot: Bool { octets.count == 1 }

    /// The same name with letters in a mixture of cases, which a server has to repeat: what cannot
    /// see the question has to guess it. `bits` are used again after 32 letters.
    func mixed(by bits: UInt32) -> DomainName {
        var mixed = octets
        var count: UInt32 = 0
        for index in mixed.indices where (mixed[index] | 0x20) &- 0x61 < 26 {
            // No length of a label is as large as a letter's number.
            if bits >> (count & 31) & 1 == 1 { mixed[index] ^= 0x20 }
            count += 1
        }
        return DomainName(octets: mixed)
    }

    private init(octets: [UInt8]) { self.octets = octets }

    /// True if this name is `label`, or one below it. `label` is in lower case.
    func lies(in label: StaticString) -> Bool {
        let count = label.utf8CodeUnitCount
        let start = octets.count - count - 2
        guard start >= 0, Int(octets[start]) == count else { return false }
        var place = 0
        while place < start { place += 1 + Int(octets[place]) }
        guard place == start else { return false }
        let wanted = DomainName.octets(of: label)
        for index in 0..<count where Self.lower(octets[start + 1 + index]) != wanted[index] {
            return false
        }
        return true
    }

    private static func octets(of label: StaticString) -> [UInt8] {
        label.withUTF8Buffer { [UInt8]($0) }
    }

    /// The name with dots, without one at the end; nil if it is none that a host could have.
    var text: [UInt8]? {
        var text: [UInt8] = []
        var place = 0
        while octets[place] > 0 {
            let length = Int(octets[place])
            if place > 0 { text.append(0x2E) }
            text += octets[place + 1...place + length]
            place += 1 + length
        }
        return DomainName(text: text.span.bytes) == nil ? nil : text
    }

    static func lower(_ octet: UInt8) -> UInt8 {
        octet &- 0x41 < 26 ? octet | 0x20 : octet
    }

    /// True if not even the case differs.
    func isIdentical(to other: DomainName) -> Bool {
        octets.span.bytes.equals(other.octets.span.bytes)
    }
}

extension DomainName: Equatable {
    public static func == (left: DomainName, right: DomainName) -> Bool {
        guard left.octets.count == right.octets.count else { return false }
        for index in left.octets.indices
        where lower(left.octets[index]) != lower(right.octets[index]) {
            return false
        }
        return true
    }
}
