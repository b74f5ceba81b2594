// Internet addresses, both versions in one type: IPv4 stands as its IPv4-mapped form (RFC 4291 §2.5.5.2).

/// An IPv4 address (RFC 791).
public struct IPv4Address: Hashable, Sendable, BitwiseCopyable {
    /// The address as a number: 10.0.2.15 is 0x0A00_020F.
    public var bits: UInt32

    @inlinable public init(bits: UInt32) {
        self.bits = bits
    }

    @inlinable public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        bits = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
    }

    @inlinable public static var any: IPv4Address { IPv4Address(bits: 0) }
    @inlinable public static var broadcast: IPv4Address { IPv4Address(bits: .max) }
}

/// An address of either version. IPv4 is held as `::ffff:a.b.c.d`, so that one comparison,
/// one hash and one connection table serve both.
public struct IPAddress: Hashable, Sendable, BitwiseCopyable {
    /// The first eight octets, as a number.
    public var high: UInt64
    /// The last eight octets, as a number.
    public var low: UInt64

    @inlinable public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    @inlinable public init(_ address: IPv4Address) {
        high = 0
        low = 0xFFFF_0000_0000 | UInt64(address.bits)
    }

    /// The IPv4 address, if this is one.
    @inlinable public var v4: IPv4Address? {
        high == 0 && low >> 32 == 0xFFFF ? IPv4Address(bits: UInt32(truncatingIfNeeded: low)) : nil
    }
}

/// An address and a port: one end of a TCP connection or UDP exchange.
public struct SocketAddress: Hashable, Sendable {
    public var address: IPAddress
    public var port: UInt16

    @inlinable public init(_ address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }
}
