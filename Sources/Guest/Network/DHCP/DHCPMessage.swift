// DHCP messages (RFC 2131 §2, RFC 2132): replies read with suspicion, requests written.

/// Message types (RFC 2132 §9.6).
enum DHCPMessageType: UInt8 {
    case discover = 1
    case offer = 2
    case request = 3
    case decline = 4
    case acknowledge = 5
    case refuse = 6
}

/// A server's message: the fields that a client looks at. Values are as sent, not judged yet.
struct DHCPMessage {
    static var clientPort: UInt16 { 68 }
    static var serverPort: UInt16 { 67 }
    static var magic: UInt32 { 0x6382_5363 }
    /// Octets before the options, the magic number included.
    static var fixedLength: Int { 240 }

    var type: DHCPMessageType
    var transaction: UInt32
    var hardwareAddress: UInt64
    var yourAddress: IPv4Address
    var server: IPv4Address?
    var subnetMask: UInt32?
    var router: IPv4Address?
    var nameServers: [IPv4Address] = []
    var leaseSeconds: UInt32?
    var renewalSeconds: UInt32?
    var rebindingSeconds: UInt32?

    /// Reads a BOOTREPLY for Ethernet with a well-formed message type; nil for anything else.
    init?(_ bytes: RawSpan) {
        // op 2, htype 1, hlen 6.
        guard bytes.byteCount >= Self.fixedLength, bytes.number32(at: 0) >> 8 == 0x02_0106,
            bytes.number32(at: 236) == Self.magic
        else { return nil }
        transaction = bytes.number32(at: 4)
        yourAddress = IPv4Address(bits: bytes.number32(at: 16))
        hardwareAddress = bytes.number48(at: 28)
        type = .discover
        var kind: UInt8?
        var overload: UInt8 = 0
        readOptions(bytes.extracting(Self.fixedLength..<bytes.byteCount), &kind, &overload)
        // Options may go on in the file and the server name fields (RFC 2131 §4.1).
        var ignored: UInt8 = 0
        if overload & 1 != 0 { readOptions(bytes.extracting(108..<236), &kind, &ignored) }
        if overload & 2 != 0 { readOptions(bytes.extracting(44..<108), &kind, &ignored) }
        guard let kind, let type = DHCPMessageType(rawValue: kind) else { return nil }
        self.type = type
    }

    /// Reads options until their end, or until one is cut off. The first of a kind counts.
    private mutating func readOptions(
        _ bytes: RawSpan, _ kind: inout UInt8?, _ overload: inout UInt8
    ) {
        var offset = 0
        while offset < bytes.byteCount {
            let code = bytes.octet(at: offset)
            if code == 255 { return }
            if code == 0 {
                offset += 1
                continue
            }
            guard offset + 1 < bytes.byteCount else { return }
            let length = Int(bytes.octet(at: offset + 1))
            guard offset + 2 + length <= bytes.byteCount else { return }
            let value = bytes.extracting(offset + 2..<offset + 2 + length)
            offset += 2 + length
            switch code {
            case 1: subnetMask = subnetMask ?? Self.number(value)
            case 3: router = router ?? Self.address(value)
            case 6: if nameServers.isEmpty { readNameServers(value) }
            case 51: leaseSeconds = leaseSeconds ?? Self.number(value)
            case 52: if length == 1 { overload = value.octet(at: 0) }
            case 53: if length == 1 { kind = kind ?? value.octet(at: 0) }
            case 54: server = server ?? Self.address(value)
            case 58: renewalSeconds = renewalSeconds ?? Self.number(value)
            case 59: rebindingSeconds = rebindingSeconds ?? Self.number(value)
            default: break
            }
        }
    }

    private static func number(_ value: RawSpan) -> UInt32? {
        value.byteCount == 4 ? value.number32(at: 0) : nil
    }

    /// The first of a list of addresses.
    private static func address(_ value: RawSpan) -> IPv4Address? {
        value.byteCount >= 4 && value.byteCount & 3 == 0
            ? IPv4Address(bits: value.number32(at: 0)) : nil
    }

    private mutating func readNameServers(_ value: RawSpan) {
        guard value.byteCount & 3 == 0 else { return }
        var offset = 0
        while offset < value.byteCount, nameServers.count < 3 {
            nameServers.append(IPv4Address(bits: value.number32(at: offset)))
            offset += 4
        }
    }
}

/// A client's message, ready to be written and sent.
struct DHCPTransmission: Equatable {
    /// Octets of every message: room for all options and the longest host name.
    static var length: Int { 352 }
    static var maximumHostName: Int { 63 }

    var type: DHCPMessageType
    var transaction: UInt32
    /// Seconds since the client began.
    var seconds: UInt16
    /// The address in use, when it is to be renewed; else zero.
    var clientAddress: IPv4Address
    var requested: IPv4Address?
    var server: IPv4Address?
    /// Where the packet goes: broadcast, or the server.
    var destination: IPv4Address

    /// Writes the message to a span of `length` octets.
    @_lifetime(bytes: copy bytes)
    func write(into bytes: inout MutableRawSpan, hardwareAddress: UInt64, hostName: [UInt8]) {
        bytes.clear(from: 0, count: Self.length)
        bytes.store(0x0101_0600 as UInt32, at: 0)
        bytes.store(transaction, at: 4)
        bytes.store(seconds, at: 8)
        bytes.store(clientAddress.bits, at: 12)
        bytes.store48(hardwareAddress, at: 28)
        bytes.store(DHCPMessage.magic, at: 236)
        var offset = DHCPMessage.fixedLength
        bytes.store(0x3501 as UInt16, at: offset)
        bytes.store(type.rawValue, at: offset + 2)
        // Client identifier: hardware type and address (RFC 2132 §9.14).
        bytes.store(0x3D07 as UInt16, at: offset + 3)
        bytes.store(UInt8(1), at: offset + 5)
        bytes.store48(hardwareAddress, at: offset + 6)
        offset += 12
        if let requested {
            bytes.store(0x3204 as UInt16, at: offset)
            bytes.store(requested.bits, at: offset + 2)
            offset += 6
        }
        if let server {
            bytes.store(0x3604 as UInt16, at: offset)
            bytes.store(server.bits, at: offset + 2)
            offset += 6
        }
        if type != .decline {
            // What we would like to know: mask, router, name servers, lease, T1, T2.
            bytes.store(0x3706_0103_0633_3A3B as UInt64, at: offset)
            offset += 8
            let count = min(hostName.count, Self.maximumHostName)
            if count > 0 {
                bytes.store(0x0C00 | UInt16(count), at: offset)
                bytes.copy(hostName.span.bytes.extracting(0..<count), to: offset + 2)
                offset += 2 + count
            }
        }
        bytes.store(UInt8(255), at: offset)
    }
}
