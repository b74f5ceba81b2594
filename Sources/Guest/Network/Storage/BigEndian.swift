// Numbers in network byte order, read from and written to spans (RFC 791 appendix B).

extension RawSpan {
    /// The 16-bit number at `offset`. The caller has checked that it lies inside.
    @inline(__always)
    func bigEndian16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The 32-bit number at `offset`. The caller has checked that it lies inside.
    @inline(__always)
    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The octet at `offset`. The caller has checked that it lies inside.
    @inline(__always)
    func octet(at offset: Int) -> UInt8 {
        unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }
}

extension MutableRawSpan {
    /// Writes a number in network byte order at `offset`.
    @inline(__always)
    mutating func storeBigEndian<Number: FixedWidthInteger & BitwiseCopyable>(
        _ number: Number, at offset: Int
    ) {
        storeBytes(of: number.bigEndian, toByteOffset: offset, as: Number.self)
    }
}
