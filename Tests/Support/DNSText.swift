// DNS messages as a test writes them: by hand, honest or not.

/// A message to be written field by field.
public struct DNSText {
    public static let a: UInt16 = 1
    public static let cname: UInt16 = 5
    public static let soa: UInt16 = 6
    public static let aaaa: UInt16 = 28
    public static let srv: UInt16 = 33

    public var octets: [UInt8] = []

    /// An answer to the question that stands in `query`, with the question repeated.
    ///
    /// - Parameters:
    ///   - code: the response code.
    ///   - flags: bits besides QR, RD and RA.
    public init(
        to query: [UInt8], code: UInt16 = 0, flags: UInt16 = 0, answers: Int = 0,
        authorities: Int = 0
    ) {
        octets = Array(query[..<2])
        for word in [0x8180 | flags | code, 1, UInt16(answers), UInt16(authorities), 0] {
            add(word)
        }
        octets += query[12..<Self.questionEnd(query)]
    }

    public static func questionEnd(_ query: [UInt8]) -> Int {
        var place = 12
        while query[place] != 0 { place += 1 + Int(query[place]) }
        return place + 5
    }

    /// The question of a query: its name in lower case with dots, and its type.
    public static func question(_ query: [UInt8]) -> (name: String, type: UInt16) {
        var place = 12
        var labels: [String] = []
        while query[place] != 0 {
            let end = place + 1 + Int(query[place])
            labels.append(String(decoding: query[place + 1..<end], as: UTF8.self).lowercased())
            place = end
        }
        let type = UInt16(query[place + 1]) << 8 | UInt16(query[place + 2])
        return (labels.joined(separator: "."), type)
    }

    /// A name as on the wire.
    public static func name(_ text: String) -> [UInt8] {
        text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    public mutating func add(_ word: UInt16) { octets += [UInt8(word >> 8), UInt8(word & 0xFF)] }

    /// A record of class IN.
    public mutating func record(_ owner: String, _ type: UInt16, life: UInt32 = 60, _ data: [UInt8])
    {
        record(owner: Self.name(owner), type, life: life, data)
    }

    public mutating func record(owner: [UInt8], _ type: UInt16, life: UInt32 = 60, _ data: [UInt8])
    {
        octets += owner
        add(type)
        add(1)
        octets += be32(life)
        add(UInt16(data.count))
        octets += data
    }

    public mutating func alias(_ owner: String, _ target: String, life: UInt32 = 60) {
        record(owner, Self.cname, life: life, Self.name(target))
    }

    public mutating func address(_ owner: String, _ parts: [UInt8], life: UInt32 = 60) {
        record(owner, parts.count == 4 ? Self.a : Self.aaaa, life: life, parts)
    }

    public mutating func start(of zone: String, life: UInt32, minimum: UInt32) {
        record(
            zone, Self.soa, life: life,
            Self.name("ns." + zone) + Self.name("host." + zone)
                + [UInt8](repeating: 0, count: 16) + be32(minimum))
    }

    public mutating func service(
        _ owner: String, _ priority: UInt16, _ weight: UInt16, _ port: UInt16, _ host: String?
    ) {
        var data: [UInt8] = []
        for word in [priority, weight, port] { data += [UInt8(word >> 8), UInt8(word & 0xFF)] }
        record(owner, Self.srv, data + (host.map { Self.name($0) } ?? [0]))
    }
}
