// Big-endian fields and block copies in octet spans: the one place where wire formats touch memory.
//
// Every access here is bounds-checked by the span; the types loaded are plain integers, for which
// any bit pattern is valid, so the "unsafe" of `unsafeLoadUnaligned` (arbitrary types) is not met.

extension RawSpan {
    /// The octet at `offset`.
    @inline(__always) func octet(at offset: Int) -> UInt8 {
        unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }

    /// The 16-bit number in network order at `offset`.
    @inline(__always) func number16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The 32-bit number in network order at `offset`.
    @inline(__always) func number32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The 64-bit number in network order at `offset`.
    @inline(__always) func number64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The six octets at `offset` as a number: a hardware address.
    @inline(__always) func number48(at offset: Int) -> UInt64 {
        UInt64(number16(at: offset)) << 32 | UInt64(number32(at: offset &+ 2))
    }

    /// True if both spans hold the same octets.
    func equals(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        for index in 0..<byteCount where octet(at: index) != other.octet(at: index) {
            return false
        }
        return true
    }
}

extension MutableRawSpan {
    @inline(__always) @_lifetime(self: copy self)
    mutating func store(_ value: UInt8, at offset: Int) {
        storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    @inline(__always) @_lifetime(self: copy self)
    mutating func store(_ value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    @inline(__always) @_lifetime(self: copy self)
    mutating func store(_ value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    @inline(__always) @_lifetime(self: copy self)
    mutating func store(_ value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }

    /// Stores the low six octets of `value`: a hardware address.
    @inline(__always) @_lifetime(self: copy self)
    mutating func store48(_ value: UInt64, at offset: Int) {
        store(UInt16(truncatingIfNeeded: value >> 32), at: offset)
        store(UInt32(truncatingIfNeeded: value), at: offset &+ 2)
    }

    /// Copies all of `source` to `offset`; the destination must have the room.
    @_lifetime(self: copy self)
    mutating func copy(_ source: RawSpan, to offset: Int) {
        let count = source.byteCount
        var index = 0
        while count &- index >= 8 {
            storeBytes(
                of: source.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self),
                toByteOffset: offset &+ index, as: UInt64.self)
            index &+= 8
        }
        while index < count {
            store(source.octet(at: index), at: offset &+ index)
            index &+= 1
        }
    }

    /// Sets `count` octets from `offset` to zero.
    @_lifetime(self: copy self)
    mutating func clear(from offset: Int, count: Int) {
        for index in 0..<count {
            store(UInt8(0), at: offset &+ index)
        }
    }
}
