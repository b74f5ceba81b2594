// ARP packets for IPv4 over Ethernet (RFC 826), read and written.

/// One ARP packet.
struct ARPPacket: Equatable {
    enum Operation: UInt16 {
        case request = 1
        case reply = 2
    }

    var operation: Operation
    var senderHardware: UInt64
    var sender: IPv4Address
    var targetHardware: UInt64
    var target: IPv4Address

    static var length: Int { 28 }

    init(
        _ operation: Operation, senderHardware: UInt64, sender: IPv4Address,
        targetHardware: UInt64, target: IPv4Address
    ) {
        self.operation = operation
        self.senderHardware = senderHardware
        self.sender = sender
        self.targetHardware = targetHardware
        self.target = target
    }

    /// Reads a packet; nil unless it is a request or reply for IPv4 over Ethernet. Frames are
    /// padded, so octets may follow.
    init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.length,
            // Hardware type 1, protocol 0x0800, address lengths 6 and 4.
            bytes.number64(at: 0) >> 16 == 0x0001_0800_0604,
            let operation = Operation(rawValue: bytes.number16(at: 6))
        else { return nil }
        self.operation = operation
        senderHardware = bytes.number48(at: 8)
        sender = IPv4Address(bits: bytes.number32(at: 14))
        targetHardware = bytes.number48(at: 18)
        target = IPv4Address(bits: bytes.number32(at: 24))
        // A group cannot send (RFC 1812 §3.3.2): believing it would let one packet turn our
        // unicast traffic into broadcast.
        guard senderHardware & Ethernet.groupBit == 0, senderHardware != 0 else { return nil }
    }

    /// Writes the packet at `offset`.
    @_lifetime(bytes: copy bytes)
    func write(into bytes: inout MutableRawSpan, at offset: Int) {
        bytes.store(0x0001_0800_0604_0000 | UInt64(operation.rawValue), at: offset)
        bytes.store48(senderHardware, at: offset + 8)
        bytes.store(sender.bits, at: offset + 14)
        bytes.store48(targetHardware, at: offset + 18)
        bytes.store(target.bits, at: offset + 24)
    }
}
