// IPv4 addresses as text: "a.b.c.d" and "a.b.c.d/n" read from and written as octets, without String.

/// An address and the length of its network's prefix: 10.0.2.15/24.
public struct IPv4Network: Hashable, Sendable {
    public var address: IPv4Address
    /// Leading bits that name the network, 0 to 32.
    public var prefixLength: UInt8

    /// - Parameter prefixLength: values above 32 count as 32.
    public init(_ address: IPv4Address, prefixLength: UInt8) {
        self.address = address
        self.prefixLength = min(prefixLength, 32)
    }

    /// The netmask: 255.255.255.0 for /24.
    public var mask: UInt32 { prefixLength == 0 ? 0 : ~0 << (32 - UInt32(prefixLength)) }

    /// True if `other` lies in this network.
    public func contains(_ other: IPv4Address) -> Bool {
        (address.bits ^ other.bits) & mask == 0
    }

    /// The directed broadcast address; nil for /31 and /32, which have none (RFC 3021).
    public var broadcast: IPv4Address? {
        prefixLength >= 31 ? nil : IPv4Address(bits: address.bits | ~mask)
    }

    /// Reads "10.0.2.15/24"; nil for anything else.
    public init?(parsing text: RawSpan) {
        var reader = DecimalReader()
        guard let address = reader.address(in: text), reader.skip(0x2F, in: text),
            let length = reader.number(upTo: 32, in: text), reader.offset == text.byteCount
        else { return nil }
        self.init(address, prefixLength: UInt8(length))
    }
}

extension IPv4Address {
    /// The longest text form, in octets: "255.255.255.255".
    public static var longestText: Int { 15 }

    /// Reads "10.0.2.15": four decimal numbers, no leading zeros (which some readers take for
    /// octal, RFC 6943 §3.1.1), nothing before or after. Nil for anything else.
    public init?(parsing text: RawSpan) {
        var reader = DecimalReader()
        guard let address = reader.address(in: text), reader.offset == text.byteCount else {
            return nil
        }
        self = address
    }

    /// Writes the address as text at the start of `bytes`.
    ///
    /// - Returns: the octets written; 0 if `bytes` is too short.
    public func format(into bytes: inout MutableRawSpan) -> Int {
        var count = 0
        for index in 0..<4 {
            let part = UInt8(truncatingIfNeeded: bits >> UInt32(24 - 8 * index))
            count += (part >= 100 ? 3 : part >= 10 ? 2 : 1) + (index < 3 ? 1 : 0)
        }
        guard bytes.byteCount >= count else { return 0 }
        var offset = 0
        for index in 0..<4 {
            let part = UInt8(truncatingIfNeeded: bits >> UInt32(24 - 8 * index))
            if part >= 100 {
                bytes.store(0x30 + part / 100, at: offset)
                offset += 1
            }
            if part >= 10 {
                bytes.store(0x30 + part / 10 % 10, at: offset)
                offset += 1
            }
            bytes.store(0x30 + part % 10, at: offset)
            offset += 1
            if index < 3 {
                bytes.store(UInt8(0x2E), at: offset)
                offset += 1
            }
        }
        return count
    }
}

/// A position in a text of decimal numbers and separators.
private struct DecimalReader {
    var offset = 0

    mutating func skip(_ octet: UInt8, in text: RawSpan) -> Bool {
        guard offset < text.byteCount, text.octet(at: offset) == octet else { return false }
        offset += 1
        return true
    }

    mutating func number(upTo limit: UInt32, in text: RawSpan) -> UInt32? {
        let start = offset
        var value: UInt32 = 0
        while offset < text.byteCount, offset - start < 3 {
            let digit = text.octet(at: offset) &- 0x30
            guard digit < 10 else { break }
            value = value * 10 + UInt32(digit)
            offset += 1
        }
        let leadingZero = offset - start > 1 && text.octet(at: start) == 0x30
        return offset == start || leadingZero || value > limit ? nil : value
    }

    mutating func address(in text: RawSpan) -> IPv4Address? {
        var bits: UInt32 = 0
        for index in 0..<4 {
            if index > 0, !skip(0x2E, in: text) { return nil }
            guard let part = number(upTo: 255, in: text) else { return nil }
            bits = bits << 8 | part
        }
        return IPv4Address(bits: bits)
    }
}
