// The Internet checksum (RFC 1071): ones' complement sum of 16-bit words, eight octets at a time.

/// A ones' complement sum in the making. Words are summed as the machine reads them and swapped
/// once at the end (RFC 1071 §2 (B)), in 64-bit steps with end-around carry (§2 (C)).
struct InternetChecksum {
    /// The sum so far, in the machine's octet order, not yet folded.
    private var sum: UInt64 = 0

    @inline(__always) init() {}

    /// Adds all octets of `bytes`. Only the last piece of a sum may have an odd count.
    @inline(__always) mutating func add(_ bytes: RawSpan) {
        sum = Self.endAround(sum, Self.sum(of: bytes))
    }

    /// Adds one 16-bit number, as it would stand in network order.
    @inline(__always) mutating func add(_ value: UInt16) {
        sum = Self.endAround(sum, UInt64(value.bigEndian))
    }

    /// Adds one 32-bit number, as it would stand in network order.
    @inline(__always) mutating func add(_ value: UInt32) {
        sum = Self.endAround(sum, UInt64(value.bigEndian))
    }

    /// Adds the pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1).
    ///
    /// One rule for both versions: what an address of IPv4 has in front in its mapped form is 0xFFFF,
    /// which adds nothing to a ones' complement sum that is not zero, and this one never is.
    @inline(never) mutating func addPseudoHeader(
        from source: IPAddress, to destination: IPAddress, protocol number: UInt8, length: Int
    ) {
        if Features.ipv6 {
            sum = Self.endAround(sum, source.high.bigEndian)
            sum = Self.endAround(sum, source.low.bigEndian)
            sum = Self.endAround(sum, destination.high.bigEndian)
            sum = Self.endAround(sum, destination.low.bigEndian)
        } else {
            add(UInt32(truncatingIfNeeded: source.low))
            add(UInt32(truncatingIfNeeded: destination.low))
        }
        add(UInt16(number))
        add(UInt32(truncatingIfNeeded: length))
    }

    /// The sum folded to 16 bits, not complemented: 0xFFFF over anything with a right checksum.
    @inline(__always) var folded: UInt16 {
        var value = (sum >> 32) &+ (sum & 0xFFFF_FFFF)
        value = (value >> 16) &+ (value & 0xFFFF)
        value = (value >> 16) &+ (value & 0xFFFF)
        value = (value >> 16) &+ (value & 0xFFFF)
        return UInt16(bigEndian: UInt16(truncatingIfNeeded: value))
    }

    /// The value for a header's checksum field.
    @inline(__always) var checksum: UInt16 { ~folded }

    @inline(__always) private static func endAround(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, carry) = left.addingReportingOverflow(right)
        return sum &+ (carry ? 1 : 0)
    }

    /// Eight words, loaded together.
    private struct Block: BitwiseCopyable {
        var a, b, c, d, e, f, g, h: UInt64
    }

    /// The unfolded sum of `bytes`; out of line so that there is one such loop in an image.
    @inline(never) private static func sum(of bytes: RawSpan) -> UInt64 {
        let count = bytes.byteCount
        var sum: UInt64 = 0
        var offset = 0
        // A 128-bit sum (add, adc) has no carries to branch on: 2^64 words would be needed to
        // overflow it. A block is loaded as one value, so that its bounds are checked once.
        var wide: UInt128 = 0
        while count &- offset >= 64 {
            let block = bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Block.self)
            wide &+= UInt128(block.a)
            wide &+= UInt128(block.b)
            wide &+= UInt128(block.c)
            wide &+= UInt128(block.d)
            wide &+= UInt128(block.e)
            wide &+= UInt128(block.f)
            wide &+= UInt128(block.g)
            wide &+= UInt128(block.h)
            offset &+= 64
        }
        sum = endAround(
            UInt64(truncatingIfNeeded: wide), UInt64(truncatingIfNeeded: wide >> 64))
        while count &- offset >= 8 {
            sum = endAround(
                sum, bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset &+= 8
        }
        if count &- offset >= 4 {
            let word = bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
            sum = endAround(sum, UInt64(word))
            offset &+= 4
        }
        if count &- offset >= 2 {
            let word = bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
            sum = endAround(sum, UInt64(word))
            offset &+= 2
        }
        if offset < count {
            // A lone last octet counts as if a zero octet followed (RFC 1071 §1).
            let last = UInt16(bytes.octet(at: offset)) << 8
            sum = endAround(sum, UInt64(last.bigEndian))
        }
        return sum
    }
}
