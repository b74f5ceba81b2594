// What a server's answer says to a question: aliases followed, records of the type picked out, the
// absence of both understood (RFC 1034 §3.6.2, RFC 2181 §5, RFC 2308 §2).

/// An answer, judged.
enum DNSReply: Equatable {
    /// It answers another question: not from whom it seems to be, or late.
    case stray
    /// The question came back in other letters than it was sent.
    case caseNotKept
    /// There is more of it, over TCP (RFC 2181 §9).
    case truncated
    /// The server does not understand the extension, and perhaps the question without it.
    case notExtended
    /// The server cannot tell, does not want to, or sends nonsense.
    case failed
    /// The name stands for another one, of which nothing is said.
    case alias(DomainName, life: UInt32)
    /// An answer, and for how many seconds it holds.
    case answer(DNSAnswer, life: UInt32)

    /// Judges a message that came from where the question went.
    ///
    /// - Parameters:
    ///   - asked: the name as it was sent.
    ///   - extended: whether the question told of RFC 6891.
    ///   - isStream: whether it came over TCP, where nothing is truncated.
    static func judge(
        _ message: RawSpan, id: UInt16, _ asked: DomainName, _ type: DNSQuestionType,
        extended: Bool, isStream: Bool
    ) -> DNSReply {
        guard let header = DNSHeader(message), header.id == id, header.isResponse else {
            return .stray
        }
        var offset = DNSMessage.headerLength
        // Servers that do not understand a message may not repeat its question.
        if header.questions == 0, header.code == 1, extended { return .notExtended }
        guard header.questions == 1, let name = DomainName(message, at: &offset), name == asked,
            offset + 4 <= message.byteCount, message.number16(at: offset) == type.rawValue,
            message.number16(at: offset + 2) == DNSMessage.internet
        else { return .stray }
        offset += 4
        guard name.isIdentical(to: asked) else { return .caseNotKept }
        switch header.code {
        case 0, 3: break
        case 1 where extended, 4 where extended: return .notExtended
        default: return .failed
        }
        if header.isTruncated { return isStream ? .failed : .truncated }
        var records: [DNSRecord] = []
        let count = header.answers + header.authorities
        guard count <= DNSMessage.mostRecords else { return .failed }
        for _ in 0..<count {
            guard let record = DNSRecord(message, at: &offset) else { return .failed }
            records.append(record)
        }
        return read(
            message, records, answers: header.answers, asked, type, noSuchName: header.code == 3)
    }

    private static func read(
        _ message: RawSpan, _ records: [DNSRecord], answers: Int, _ asked: DomainName,
        _ type: DNSQuestionType, noSuchName: Bool
    ) -> DNSReply {
        var name = asked
        var life = UInt32.max
        var isAlias = false
        // Each alias is used once, so that two that name each other end.
        var used = [Bool](repeating: false, count: answers)
        var aliases = 0
        var index = 0
        while index < answers {
            let record = records[index]
            if !used[index], record.type == DNSMessage.cname, record.isInternet,
                record.owner == name
            {
                var place = record.data.lowerBound
                guard let target = DomainName(message, at: &place),
                    place == record.data.upperBound
                else { return .failed }
                aliases += 1
                guard aliases <= DNSMessage.mostAliases else { return .failed }
                used[index] = true
                name = target
                life = min(life, record.life)
                isAlias = true
                index = 0
                continue
            }
            index += 1
        }
        if !noSuchName,
            let found = collect(message, records[..<answers], name, type, &life)
        {
            return .answer(found, life: life)
        }
        // Nothing: for how long, the zone's first record says (RFC 2308 §5).
        var absence: UInt32?
        for record in records[answers...]
        where record.type == DNSMessage.soa && record.isInternet && record.data.count >= 20 {
            let minimum = message.number32(at: record.data.upperBound - 4)
            absence = min(record.life, minimum >> 31 == 0 ? minimum : 0)
        }
        if !noSuchName, isAlias, absence == nil { return .alias(name, life: life) }
        return .answer(
            noSuchName ? .noSuchName : .noData, life: min(absence ?? 0, life))
    }

    /// The values of the records of `type` that `name` has; nil if it has none. What makes no sense
    /// is left out.
    private static func collect(
        _ message: RawSpan, _ records: ArraySlice<DNSRecord>, _ name: DomainName,
        _ type: DNSQuestionType, _ life: inout UInt32
    ) -> DNSAnswer? {
        var addresses: [IPAddress] = []
        var services: [DNSService] = []
        var isOffered = false
        for record in records
        where record.type == type.rawValue && record.isInternet && record.owner == name {
            let place = record.data.lowerBound
            switch type {
            case .a:
                guard record.data.count == 4, addresses.count < DNSMessage.mostValues else {
                    continue
                }
                addresses.append(IPAddress(IPv4Address(bits: message.number32(at: place))))
            case .aaaa:
                guard record.data.count == 16, addresses.count < DNSMessage.mostValues else {
                    continue
                }
                addresses.append(
                    IPAddress(
                        high: message.number64(at: place), low: message.number64(at: place + 8))
                )
            case .srv:
                var target = place + 6
                guard record.data.count > 6, services.count < DNSMessage.mostValues,
                    let host = DomainName(message, at: &target), target == record.data.upperBound
                else { continue }
                // The root says that the service is decidedly not there (RFC 2782, "Target").
                isOffered = true
                life = min(life, record.life)
                guard !host.isRoot, let text = host.text else { continue }
                services.append(
                    DNSService(
                        host: text, port: message.number16(at: place + 4),
                        priority: message.number16(at: place),
                        weight: message.number16(at: place + 2)))
                continue
            }
            life = min(life, record.life)
        }
        if !addresses.isEmpty { return .addresses(addresses) }
        return isOffered ? .services(services) : nil
    }
}
