// Addresses of either version as text (RFC 4291 §2.2, RFC 5952), as octets and without String.

extension IPAddress {
    /// The longest text form, in octets: eight groups of four digits.
    public static var longestText: Int { 39 }

    /// Reads "10.0.2.15", "2001:db8::1" or "::ffff:10.0.2.15"; nothing before or after, no zone. Nil
    /// for anything else.
    public init?(parsing text: RawSpan) {
        if let address = IPv4Address(parsing: text) {
            self.init(address)
            return
        }
        guard Features.ipv6 else { return nil }
        var groups = InlineArray<8, UInt16>(repeating: 0)
        var count = 0
        // Where "::" stands, counted in groups.
        var gap: Int?
        var offset = 0
        if text.byteCount >= 2, text.number16(at: 0) == 0x3A3A {
            gap = 0
            offset = 2
        }
        while offset < text.byteCount {
            guard count < 8 else { return nil }
            var value: UInt32 = 0
            let start = offset
            while offset < text.byteCount, offset - start < 5,
                let digit = Self.hexDigit(text.octet(at: offset))
            {
                value = value << 4 | digit
                offset += 1
            }
            guard offset > start, offset - start <= 4 else { return nil }
            if offset < text.byteCount, text.octet(at: offset) == 0x2E {
                // The last 32 bits may be written as IPv4's are.
                guard count <= 6,
                    let tail = IPv4Address(parsing: text.extracting(start..<text.byteCount))
                else { return nil }
                groups[count] = UInt16(truncatingIfNeeded: tail.bits >> 16)
                groups[count + 1] = UInt16(truncatingIfNeeded: tail.bits)
                count += 2
                offset = text.byteCount
                continue
            }
            groups[count] = UInt16(truncatingIfNeeded: value)
            count += 1
            guard offset < text.byteCount else { break }
            guard text.octet(at: offset) == 0x3A, offset + 1 < text.byteCount else { return nil }
            offset += 1
            if text.octet(at: offset) == 0x3A {
                guard gap == nil else { return nil }
                gap = count
                offset += 1
            }
        }
        guard gap == nil ? count == 8 : count < 8 else { return nil }
        self = .unspecified
        for index in 0..<count {
            let place = index < gap ?? 8 ? index : index + 8 - count
            let shift = UInt64(48 - 16 * (place & 3))
            if place < 4 {
                high |= UInt64(groups[index]) << shift
            } else {
                low |= UInt64(groups[index]) << shift
            }
        }
    }

    private static func hexDigit(_ octet: UInt8) -> UInt32? {
        switch octet {
        case 0x30...0x39: UInt32(octet) - 0x30
        case 0x41...0x46: UInt32(octet) - 0x37
        case 0x61...0x66: UInt32(octet) - 0x57
        default: nil
        }
    }

    /// Writes the address as text at the start of `bytes`: IPv4's with dots, IPv6's in small letters
    /// and with the first of the longest runs of zeros left out (RFC 5952 §4).
    ///
    /// - Returns: the octets written; 0 if `bytes` has not room for the longest text.
    public func format(into bytes: inout MutableRawSpan) -> Int {
        if let v4 { return bytes.byteCount >= Self.longestText ? v4.format(into: &bytes) : 0 }
        guard Features.ipv6, bytes.byteCount >= Self.longestText else { return 0 }
        let gap = longestZeros
        var count = 0
        var index = 0
        while index < 8 {
            if index == gap.start {
                bytes.store(UInt8(0x3A), at: count)
                count += 1
                index += gap.count
                // A run that ends the address has two colons of its own.
                if index == 8 {
                    bytes.store(UInt8(0x3A), at: count)
                    count += 1
                }
                continue
            }
            if index > 0 {
                bytes.store(UInt8(0x3A), at: count)
                count += 1
            }
            let group = self.group(index)
            var shift = 12
            while shift > 0, group >> UInt16(shift) == 0 { shift -= 4 }
            while shift >= 0 {
                let digit = UInt8(truncatingIfNeeded: group >> UInt16(shift) & 15)
                bytes.store(digit < 10 ? 0x30 + digit : 0x57 + digit, at: count)
                count += 1
                shift -= 4
            }
            index += 1
        }
        return count
    }

    /// The group of sixteen bits at `index`, 0 to 7.
    private func group(_ index: Int) -> UInt16 {
        UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64(48 - 16 * (index & 3)))
    }

    /// The first of the longest runs of two or more groups that are zero; it starts at 8 if there is
    /// none.
    private var longestZeros: (start: Int, count: Int) {
        var best = (start: 8, count: 1)
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, group(end) == 0 { end += 1 }
            if end - start > best.count { best = (start, end - start) }
            start = max(end, start + 1)
        }
        return best
    }
}

extension SocketAddress {
    /// The longest text form, in octets.
    public static var longestText: Int { IPAddress.longestText + 8 }

    /// Writes "10.0.2.15:80" or "[2001:db8::1]:80" (RFC 5952 §6) at the start of `bytes`.
    ///
    /// - Returns: the octets written; 0 if `bytes` has not room for the longest text.
    public func format(into bytes: inout MutableRawSpan) -> Int {
        guard bytes.byteCount >= Self.longestText else { return 0 }
        var count = 0
        if !address.isV4 {
            bytes.store(UInt8(0x5B), at: 0)
            count = 1
        }
        var rest = bytes._mutatingExtracting(count..<bytes.byteCount)
        count += address.format(into: &rest)
        if !address.isV4 {
            bytes.store(UInt8(0x5D), at: count)
            count += 1
        }
        bytes.store(UInt8(0x3A), at: count)
        count += 1
        var divisor: UInt16 = 10_000
        while divisor > 1, port < divisor { divisor /= 10 }
        while divisor > 0 {
            bytes.store(UInt8(truncatingIfNeeded: port / divisor % 10) + 0x30, at: count)
            count += 1
            divisor /= 10
        }
        return count
    }
}

extension IPAddress: LosslessStringConvertible {
    /// Reads a text as `init(parsing:)` does.
    public init?(_ text: String) {
        let octets = [UInt8](text.utf8)
        self.init(parsing: octets.span.bytes)
    }

    public var description: String { text(longest: Self.longestText) { format(into: &$0) } }
}

extension SocketAddress: CustomStringConvertible {
    public var description: String { text(longest: Self.longestText) { format(into: &$0) } }
}

/// The text that `format` writes into room for `longest` octets; it tells how many.
private func text(longest: Int, _ format: (inout MutableRawSpan) -> Int) -> String {
    var octets = [UInt8](repeating: 0, count: longest)
    var span = octets.mutableSpan
    var bytes = span.mutableBytes
    let count = format(&bytes)
    return String(decoding: octets[..<count], as: UTF8.self)
}
