// Messages of stateless DHCPv6 (RFC 8415 §8, §21; RFC 3646): a question written, an answer read with
// suspicion.

/// Numbers and layouts of DHCPv6, as far as a client that wants no address needs them.
enum DHCPv6Message {
    static var reply: UInt8 { 7 }
    static var informationRequest: UInt8 { 11 }

    /// Options (RFC 8415 §21, RFC 3646 §3).
    static var clientIdentifier: UInt16 { 1 }
    static var serverIdentifier: UInt16 { 2 }
    static var status: UInt16 { 13 }
    static var nameServers: UInt16 { 23 }
    static var refreshTime: UInt16 { 32 }
    static var longestTimeout: UInt16 { 83 }

    /// Octets of an identifier by hardware address (DUID-LL, §11.4), and of one at most (§11.1).
    static var identifierLength: Int { 10 }
    static var longestIdentifier: Int { 130 }
    /// Octets of a question.
    static var questionLength: Int { 34 }

    /// An identifier's first eight octets: type 3, hardware type 1, four of the address.
    private static func identifierStart(_ hardwareAddress: UInt64) -> UInt64 {
        0x0003_0001 << 32 | hardwareAddress >> 16
    }

    /// A question for name servers, for how long they hold, and for the longest time between two
    /// questions (§18.2.6).
    ///
    /// - Parameter elapsed: hundredths of a second since the first one (§21.9).
    static func question(
        transaction: UInt32, elapsed: UInt16, hardwareAddress: UInt64
    ) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: questionLength)
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        bytes.store(UInt32(informationRequest) << 24 | transaction, at: 0)
        bytes.store(UInt32(clientIdentifier) << 16 | UInt32(identifierLength), at: 4)
        bytes.store(identifierStart(hardwareAddress), at: 8)
        bytes.store(UInt16(truncatingIfNeeded: hardwareAddress), at: 16)
        // Option request: three codes.
        bytes.store(0x0006_0006 << 32 | UInt64(nameServers) << 16 | UInt64(refreshTime), at: 18)
        bytes.store(longestTimeout, at: 26)
        bytes.store(0x0008_0002 as UInt32, at: 28)
        bytes.store(elapsed, at: 32)
        return octets
    }

    /// True if `value` is the identifier of this card.
    static func isIdentifier(_ value: RawSpan, of hardwareAddress: UInt64) -> Bool {
        value.byteCount == identifierLength
            && value.number64(at: 0) == identifierStart(hardwareAddress)
            && value.number16(at: 8) == UInt16(truncatingIfNeeded: hardwareAddress)
    }
}

/// A server's answer: what a client looks at, judged by itself.
struct DHCPv6Reply {
    /// In the server's order; what no server can have is left out.
    var nameServers: [IPAddress] = []
    /// For how long they hold (RFC 8415 §21.23); nil: not said.
    var refreshSeconds: UInt32?
    /// The longest time between two questions (§21.25); nil: not said, or out of bounds.
    var longestTimeoutSeconds: UInt32?

    /// Servers that are taken from one answer.
    static var mostNameServers: Int { 6 }

    /// Reads an answer to the question with this number; nil for anything else, for one that breaks a
    /// rule (§16.10), and for one that says that the server could not.
    init?(_ message: RawSpan, transaction: UInt32, hardwareAddress: UInt64) {
        guard message.byteCount >= 4,
            message.number32(at: 0) == UInt32(DHCPv6Message.reply) << 24 | transaction
        else { return nil }
        var isOurs = false
        var hasServer = false
        var offset = 4
        while offset < message.byteCount {
            guard message.byteCount - offset >= 4 else { return nil }
            let code = message.number16(at: offset)
            let length = Int(message.number16(at: offset + 2))
            guard length <= message.byteCount - offset - 4 else { return nil }
            let value = message.extracting(offset + 4..<offset + 4 + length)
            offset += 4 + length
            switch code {
            case DHCPv6Message.clientIdentifier:
                guard DHCPv6Message.isIdentifier(value, of: hardwareAddress) else { return nil }
                isOurs = true
            case DHCPv6Message.serverIdentifier:
                // A type, and something of it.
                guard length > 2, length <= DHCPv6Message.longestIdentifier else { return nil }
                hasServer = true
            case DHCPv6Message.status:
                guard length >= 2, value.number16(at: 0) == 0 else { return nil }
            case DHCPv6Message.nameServers:
                guard length > 0, length & 15 == 0 else { return nil }
                if nameServers.isEmpty { readNameServers(value) }
            case DHCPv6Message.refreshTime:
                guard length == 4 else { return nil }
                refreshSeconds = refreshSeconds ?? value.number32(at: 0)
            case DHCPv6Message.longestTimeout:
                // What is out of bounds is ignored.
                guard length == 4 else { return nil }
                let seconds = value.number32(at: 0)
                if seconds >= 60, seconds <= 86_400 { longestTimeoutSeconds = seconds }
            default: break
            }
        }
        guard isOurs, hasServer else { return nil }
    }

    private mutating func readNameServers(_ value: RawSpan) {
        var offset = 0
        while offset < value.byteCount, nameServers.count < Self.mostNameServers {
            let server = value.address(at: offset)
            if !server.isMulticast, server.high != 0 { nameServers.append(server) }
            offset += 16
        }
    }
}
