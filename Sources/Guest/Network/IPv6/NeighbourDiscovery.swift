// Messages of neighbour discovery (RFC 4861 §4): options found, advertisements read, packets written.

/// Types of ICMPv6 that belong to the link alone, and their options.
enum NeighbourDiscovery {
    static var routerSolicitation: UInt8 { 133 }
    static var routerAdvertisement: UInt8 { 134 }
    static var neighbourSolicitation: UInt8 { 135 }
    static var neighbourAdvertisement: UInt8 { 136 }
    static var redirect: UInt8 { 137 }

    static var sourceHardware: UInt8 { 1 }
    static var targetHardware: UInt8 { 2 }

    /// Flags of a neighbour's advertisement, in the word behind the checksum (§4.4).
    static var isRouter: UInt32 { 1 << 31 }
    static var isSolicited: UInt32 { 1 << 30 }
    static var overrides: UInt32 { 1 << 29 }

    /// Octets of solicitation or advertisement without options.
    static var fixedLength: Int { 24 }

    /// True if the options from `offset` on fill the message and each has a length (§6.1.2, §7.1).
    static func optionsAreSound(_ message: RawSpan, from start: Int) -> Bool {
        var offset = start
        while offset < message.byteCount {
            guard message.byteCount - offset >= 8 else { return false }
            let length = Int(message.octet(at: offset + 1)) * 8
            guard length > 0, length <= message.byteCount - offset else { return false }
            offset += length
        }
        return true
    }

    /// The hardware address in the first option of the given type; nil without one. The options are
    /// sound. No station's address is that of a group.
    static func hardware(_ type: UInt8, in message: RawSpan, from start: Int) -> UInt64? {
        var offset = start
        while offset < message.byteCount {
            if message.octet(at: offset) == type {
                let hardware = message.number48(at: offset + 2)
                return hardware & Ethernet.groupBit == 0 && hardware != 0 ? hardware : nil
            }
            offset += Int(message.octet(at: offset + 1)) * 8
        }
        return nil
    }

    /// A solicitation or an advertisement, without its checksum.
    ///
    /// - Parameters:
    ///   - word: what stands behind the checksum.
    ///   - option: the type of the option that names `hardware`; 0: none.
    static func message(
        _ type: UInt8, word: UInt32, target: IPAddress?, option: UInt8, hardware: UInt64
    ) -> [UInt8] {
        let length = target == nil ? 8 : fixedLength
        var octets = [UInt8](repeating: 0, count: length + (option == 0 ? 0 : 8))
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        bytes.store(type, at: 0)
        bytes.store(word, at: 4)
        if let target { bytes.store(target, at: 8) }
        if option != 0 {
            bytes.store(UInt64(option) << 56 | 1 << 48 | hardware, at: length)
        }
        return octets
    }

    /// A whole packet with such a message, checksum included.
    ///
    /// - Parameter alertsRouters: with the hop-by-hop option that reports must have (RFC 2711), and
    ///   hop limit 1; else it is 255, which no packet has that crossed a router.
    static func packet(
        _ message: [UInt8], from source: IPAddress, to destination: IPAddress,
        alertsRouters: Bool = false
    ) -> [UInt8] {
        let extra = alertsRouters ? 8 : 0
        var octets = [UInt8](repeating: 0, count: IPv6Header.length + extra + message.count)
        var span = octets.mutableSpan
        var bytes = span.mutableBytes
        IPv6Header.write(
            into: &bytes, at: 0, payloadLength: extra + message.count,
            nextHeader: alertsRouters ? 0 : IPProtocol.icmpV6, from: source, to: destination,
            hopLimit: alertsRouters ? 1 : 255, service: 0)
        // Next header, length, router alert for "listener discovery", padding.
        if alertsRouters { bytes.store(0x3A00_0502_0000_0100 as UInt64, at: IPv6Header.length) }
        let start = IPv6Header.length + extra
        bytes.copy(message.span.bytes, to: start)
        var sum = InternetChecksum()
        sum.addPseudoHeader(
            from: source, to: destination, protocol: IPProtocol.icmpV6, length: message.count)
        sum.add(message.span.bytes)
        bytes.store(sum.checksum, at: start + 2)
        return octets
    }
}

/// Multicast listener discovery (RFC 3810): the types of its messages.
enum MulticastListening {
    static var query: UInt8 { 130 }
    static var report: UInt8 { 143 }

    /// How long an answer may wait, in nanoseconds; nil if this is no query (RFC 3810 §5.1.3).
    static func maximumDelay(_ message: RawSpan) -> UInt64? {
        guard message.byteCount >= 24 else { return nil }
        let code = UInt64(message.number16(at: 4))
        let isOld = message.byteCount < 28
        let milliseconds =
            isOld || code < 32_768 ? code : (code & 0xFFF | 0x1000) << ((code >> 12 & 7) + 3)
        return milliseconds * 1_000_000
    }
}

/// A router's advertisement (RFC 4861 §4.2), read piece by piece.
struct RouterAdvertisement {
    static var fixedLength: Int { 16 }

    /// A prefix and what it is for (§4.6.2). Lifetimes are in seconds; all ones: for ever.
    struct Prefix {
        var address: IPAddress
        var length: UInt8
        var isOnLink: Bool
        var isForAddresses: Bool
        var validSeconds: UInt32
        var preferredSeconds: UInt32
    }

    enum Option {
        case prefix(Prefix)
        case mtu(Int)
        /// Name servers (RFC 8106 §5.1): how many, and where the first stands in the message.
        case nameServers(seconds: UInt32, count: Int, offset: Int)
        case other
    }

    /// Hops of packets; 0: not said.
    var hopLimit: UInt8
    /// How long it is a default router, in seconds; 0: it is none.
    var lifetimeSeconds: UInt16
    /// In milliseconds; 0: not said.
    var reachableTime: UInt32
    var retransmitTime: UInt32
    var hardware: UInt64?

    /// Reads a message whose options are sound.
    init(_ message: RawSpan) {
        hopLimit = message.octet(at: 4)
        lifetimeSeconds = message.number16(at: 6)
        reachableTime = message.number32(at: 8)
        retransmitTime = message.number32(at: 12)
        hardware = NeighbourDiscovery.hardware(
            NeighbourDiscovery.sourceHardware, in: message, from: Self.fixedLength)
    }

    /// The option at `offset`, and where the next one begins.
    static func option(in message: RawSpan, at offset: Int) -> (Option, next: Int) {
        let length = Int(message.octet(at: offset + 1)) * 8
        let next = offset + length
        switch message.octet(at: offset) {
        case 3 where length == 32:
            let flags = message.octet(at: offset + 3)
            let prefix = Prefix(
                address: message.address(at: offset + 16), length: message.octet(at: offset + 2),
                isOnLink: flags & 0x80 != 0, isForAddresses: flags & 0x40 != 0,
                validSeconds: message.number32(at: offset + 4),
                preferredSeconds: message.number32(at: offset + 8))
            return (.prefix(prefix), next)
        case 5 where length == 8:
            return (.mtu(Int(message.number32(at: offset + 4))), next)
        case 25 where length >= 24 && length % 16 == 8:
            let servers = Option.nameServers(
                seconds: message.number32(at: offset + 4), count: (length - 8) / 16,
                offset: offset + 8)
            return (servers, next)
        default:
            return (.other, next)
        }
    }
}
