// DNS messages (RFC 1035 §4): questions written, records read with suspicion.

/// Formats of messages.
enum DNSMessage {
    static var headerLength: Int { 12 }
    /// Octets that an answer over UDP may have: what passes everywhere in one packet (RFC 6891
    /// §6.2.5 leaves the choice to the sender).
    static var datagramSize: UInt16 { 1232 }
    /// Records of one answer that are looked at.
    static var mostRecords: Int { 512 }
    /// Aliases in one answer that are followed.
    static var mostAliases: Int { 16 }
    /// Addresses or services that are taken out of one answer.
    static var mostValues: Int { 16 }

    static var cname: UInt16 { 5 }
    static var soa: UInt16 { 6 }
    static var option: UInt16 { 41 }
    static var internet: UInt16 { 1 }

    /// A question with recursion desired.
    ///
    /// - Parameter extended: with the record that tells how long an answer may be (RFC 6891 §6.1).
    static func query(
        id: UInt16, _ name: DomainName, _ type: DNSQuestionType, extended: Bool
    ) -> [UInt8] {
        var octets: [UInt8] = []
        octets.reserveCapacity(headerLength + name.octets.count + 15)
        // Flags: RD. One question.
        for word in [id, 0x0100, 1, 0, 0, extended ? 1 : 0] as [UInt16] {
            append(word, to: &octets)
        }
        octets += name.octets
        append(type.rawValue, to: &octets)
        append(internet, to: &octets)
        if extended {
            octets.append(0)
            for word in [option, datagramSize, 0, 0, 0] as [UInt16] { append(word, to: &octets) }
        }
        return octets
    }

    static func append(_ word: UInt16, to octets: inout [UInt8]) {
        octets.append(UInt8(word >> 8))
        octets.append(UInt8(truncatingIfNeeded: word))
    }
}

/// A message's first twelve octets (RFC 1035 §4.1.1).
struct DNSHeader {
    var id: UInt16
    var flags: UInt16
    var questions: Int
    var answers: Int
    var authorities: Int

    init?(_ message: RawSpan) {
        guard message.byteCount >= DNSMessage.headerLength else { return nil }
        id = message.number16(at: 0)
        flags = message.number16(at: 2)
        questions = Int(message.number16(at: 4))
        answers = Int(message.number16(at: 6))
        authorities = Int(message.number16(at: 8))
    }

    /// A response to a standard query.
    var isResponse: Bool { flags & 0xF800 == 0x8000 }
    var isTruncated: Bool { flags & 0x0200 != 0 }
    var code: UInt16 { flags & 0x000F }
}

/// A resource record (RFC 1035 §4.1.3); its data stays in the message.
struct DNSRecord {
    var owner: DomainName
    var type: UInt16
    var isInternet: Bool
    /// Seconds. One with the highest bit set is none (RFC 2181 §8).
    var life: UInt32
    var data: Range<Int>

    /// Reads the record at `offset`, and moves that behind it; nil if it is malformed.
    init?(_ message: RawSpan, at offset: inout Int) {
        guard let owner = DomainName(message, at: &offset), offset + 10 <= message.byteCount else {
            return nil
        }
        self.owner = owner
        type = message.number16(at: offset)
        isInternet = message.number16(at: offset + 2) == DNSMessage.internet
        let seconds = message.number32(at: offset + 4)
        life = seconds >> 31 == 0 ? seconds : 0
        let length = Int(message.number16(at: offset + 8))
        offset += 10
        guard offset + length <= message.byteCount else { return nil }
        data = offset..<offset + length
        offset += length
    }
}
