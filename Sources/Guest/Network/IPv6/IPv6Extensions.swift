// IPv6's extension headers (RFC 8200 §4), walked with bounds up to the protocol's own header.

/// A fragment, as its header says (RFC 8200 §4.5).
struct IPv6Fragment: Equatable {
    /// Where its payload begins in the packet.
    var payloadOffset: Int
    /// The type of the reassembled packet's next header; that of the first fragment counts.
    var nextHeader: UInt8
    var identification: UInt32
    /// Octets before this payload in the whole: a multiple of 8.
    var offset: Int
    var moreFragments: Bool
}

/// Where a packet's headers lead.
enum IPv6Walk: Equatable {
    case payload(protocolNumber: UInt8, offset: Int)
    case fragment(IPv6Fragment)
    /// The sender is to be told (RFC 4443 §3.4): the code, and the octet that is wrong. `alsoGroup`:
    /// even if the packet went to a group.
    case problem(code: UInt8, pointer: Int, alsoGroup: Bool)
    case dropped

    /// Headers in a row at most, and options that are no padding in each (RFC 8504 §5.3).
    private static var mostHeaders: Int { 8 }
    private static var mostOptions: Int { 8 }

    /// Numbers of the extension headers (IANA).
    private static var hopByHop: UInt8 { 0 }
    private static var routing: UInt8 { 43 }
    private static var fragmentation: UInt8 { 44 }
    private static var nothing: UInt8 { 59 }
    private static var destinationOptions: UInt8 { 60 }
    private static func isExtension(_ type: UInt8) -> Bool {
        type == hopByHop || type == routing || type == fragmentation || type == destinationOptions
    }

    /// Follows the headers of a packet whose first has been checked.
    @inline(never) static func walk(_ packet: RawSpan, _ header: IPv6Header) -> IPv6Walk {
        let end = header.totalLength
        var type = header.nextHeader
        // Where the type stands, to be pointed at.
        var typeOffset = 6
        var offset = IPv6Header.length
        for index in 0..<mostHeaders {
            guard isExtension(type) else {
                return type == nothing ? .dropped : .payload(protocolNumber: type, offset: offset)
            }
            guard end - offset >= 8 else { return .dropped }
            var length = 8 + Int(packet.octet(at: offset + 1)) * 8
            if type == fragmentation {
                length = 8
                let word = packet.number16(at: offset + 2)
                // One that is whole is no fragment, whatever others are on their way (RFC 6946).
                if word & 0xFFF9 != 0 { return fragment(packet, at: offset, word, end: end) }
            }
            guard length <= end - offset else { return .dropped }
            if type == routing {
                // With segments left we would forward. Type 0 must not work (RFC 5095 §3), and no
                // other is for hosts.
                guard packet.octet(at: offset + 3) == 0 else {
                    return .problem(code: 0, pointer: offset + 2, alsoGroup: false)
                }
            } else if type != fragmentation {
                // Only the first may be for every hop (RFC 8200 §4.1).
                if type == hopByHop, index > 0 {
                    return .problem(code: 1, pointer: typeOffset, alsoGroup: false)
                }
                let options = packet.extracting(0..<offset + length)
                if let stop = judgeOptions(options, from: offset + 2) { return stop }
            }
            typeOffset = offset
            type = packet.octet(at: offset)
            offset += length
        }
        return .dropped
    }

    private static func fragment(
        _ packet: RawSpan, at offset: Int, _ word: UInt16, end: Int
    ) -> IPv6Walk {
        let start = Int(word & 0xFFF8)
        let more = word & 1 != 0
        let length = end - offset - 8
        // RFC 8200 §4.5: all but the last are multiples of eight octets, and none reaches too far.
        guard !more || length & 7 == 0 else {
            return .problem(code: 0, pointer: 4, alsoGroup: false)
        }
        guard start + length <= 65_535 else {
            return .problem(code: 0, pointer: offset + 2, alsoGroup: false)
        }
        let next = packet.octet(at: offset)
        // The first fragment has all headers, or filters were evaded (RFC 7112 §5).
        let least = next == IPProtocol.tcp ? TCPHeader.minimumLength : 8
        if start == 0, isExtension(next) || length < least { return .dropped }
        return .fragment(
            IPv6Fragment(
                payloadOffset: offset + 8, nextHeader: next,
                identification: packet.number32(at: offset + 4), offset: start,
                moreFragments: more))
    }

    /// Looks at options, of which none is for us; nil if all may be skipped (RFC 8200 §4.2).
    private static func judgeOptions(_ options: RawSpan, from start: Int) -> IPv6Walk? {
        var offset = start
        var count = 0
        while offset < options.byteCount {
            let type = options.octet(at: offset)
            if type == 0 {  // Pad1
                offset += 1
                continue
            }
            guard offset + 1 < options.byteCount else { return .dropped }
            let length = 2 + Int(options.octet(at: offset + 1))
            guard length <= options.byteCount - offset else { return .dropped }
            if type != 1 {  // PadN
                count += 1
                guard count <= mostOptions else { return .dropped }
            }
            switch type >> 6 {
            case 0: break
            case 1: return .dropped
            case 2: return .problem(code: 2, pointer: offset, alsoGroup: true)
            default: return .problem(code: 2, pointer: offset, alsoGroup: false)
            }
            offset += length
        }
        return nil
    }
}
