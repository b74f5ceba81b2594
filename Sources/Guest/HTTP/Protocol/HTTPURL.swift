// http URLs (RFC 9110 §4.2.1, RFC 3986): what a client connects to, and what it asks for there.

/// An `http` URL, taken apart. Nothing in it is decoded or normalised but the host's case.
public struct HTTPURL: Sendable {
    /// Why a text is no URL for a client.
    public enum Failure: Error, Equatable, Sendable {
        /// It is not `http://HOST[:PORT][/PATH][?QUERY]` in visible ASCII.
        case malformed
        /// It has another scheme.
        case notHTTP
        /// It begins with `https:`, and there is no TLS.
        case needsTLS
    }

    /// The host in lower case, an address of IPv6 without its brackets.
    public private(set) var host: [UInt8] = []
    public private(set) var port: UInt16 = 80
    /// Path and query: the request's target in origin-form (RFC 9112 §3.2.1).
    public private(set) var target: [UInt8] = []
    /// Host and port as they stand in the Host field (RFC 9110 §7.2).
    public private(set) var authority: [UInt8] = []

    /// Reads a URL. A fragment stays behind (RFC 9110 §4.2.5); a name or password in front of the
    /// host is refused (§4.2.4).
    public init(_ text: RawSpan) throws(Failure) {
        var place = try Self.afterScheme(text)
        let start = place
        while place < text.byteCount, !Self.endsAuthority(text.octet(place)) { place &+= 1 }
        try readAuthority(text.extracting(start..<place))
        if text.octet(place) != 0x2F { target.append(0x2F) }
        while place < text.byteCount, text.octet(place) != 0x23 {
            let octet = text.octet(place)
            guard octet > 0x20, octet < 0x7F else { throw .malformed }
            target.append(octet)
            place &+= 1
        }
    }

    /// Where the host begins.
    private static func afterScheme(_ text: RawSpan) throws(Failure) -> Int {
        var colon = 0
        while colon < text.byteCount, text.octet(colon) != ASCII.colon { colon &+= 1 }
        guard colon < text.byteCount else { throw .malformed }
        let scheme = text.extracting(first: colon)
        if scheme.equalsIgnoringCase("https") { throw .needsTLS }
        guard scheme.equalsIgnoringCase("http") else { throw .notHTTP }
        guard text.octet(colon &+ 1) == 0x2F, text.octet(colon &+ 2) == 0x2F else {
            throw .malformed
        }
        return colon &+ 3
    }

    /// "/", "?" and "#".
    private static func endsAuthority(_ octet: UInt8) -> Bool {
        octet == 0x2F || octet == 0x3F || octet == 0x23
    }

    private mutating func readAuthority(_ text: RawSpan) throws(Failure) {
        let isBracketed = text.octet(0) == 0x5B
        var end = isBracketed ? 1 : 0
        while end < text.byteCount {
            let octet = text.octet(end)
            if octet == (isBracketed ? 0x5D : ASCII.colon) { break }
            // No "@": what looks like a host may be a name in front of it. No "%": nobody would
            // decode it.
            guard ASCII.isHost(octet), octet != 0x5B, octet != 0x5D, octet != 0x25,
                isBracketed || octet != ASCII.colon
            else { throw .malformed }
            host.append(ASCII.lower(octet))
            end &+= 1
        }
        if isBracketed {
            guard text.octet(end) == 0x5D else { throw .malformed }
            end &+= 1
        }
        guard !host.isEmpty else { throw .malformed }
        if end < text.byteCount {
            guard text.octet(end) == ASCII.colon else { throw .malformed }
            let digits = text.extracting(droppingFirst: end &+ 1)
            if digits.byteCount > 0 {
                guard let number = digits.decimal, number > 0, number <= 65535 else {
                    throw .malformed
                }
                port = UInt16(truncatingIfNeeded: number)
            }
        }
        if isBracketed { authority.append(0x5B) }
        authority += host
        if isBracketed { authority.append(0x5D) }
        guard port != 80 else { return }
        var digits = OctetBuffer()
        digits.append(octet: ASCII.colon)
        digits.append(decimal: UInt64(port))
        for index in 0..<digits.count { authority.append(digits.octets.octet(index)) }
    }
}
