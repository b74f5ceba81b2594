// The TCP header on the wire: parsing and writing (RFC 9293 §3.1).

/// The control bits.
struct TCPFlags: OptionSet, Sendable {
    let rawValue: UInt8

    static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
    static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
    static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
    static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
    static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
    static var urg: TCPFlags { TCPFlags(rawValue: 0x20) }
    /// "A packet came marked" (ECN-Echo, RFC 3168 §6.1).
    static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
    /// "The window was reduced" (RFC 3168 §6.1).
    static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }

    @inline(__always)
    init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    @inline(__always)
    func contains(_ other: TCPFlags) -> Bool {
        rawValue & other.rawValue == other.rawValue
    }
}

/// A TCP header without its options.
struct TCPHeader: Equatable, Sendable {
    /// Octets of a header without options.
    static var minimumLength: Int { 20 }
    /// Octets of a header with all the options it can have: fifteen words.
    static var longest: Int { 60 }

    var sourcePort: UInt16
    var destinationPort: UInt16
    var sequence: SequenceNumber
    /// Means something only with the ACK flag.
    var acknowledgment: SequenceNumber
    var flags: TCPFlags
    /// As on the wire: not scaled.
    var window: UInt16
    /// Octets of header and options.
    var length: Int

    init(
        from sourcePort: UInt16, to destinationPort: UInt16, sequence: SequenceNumber,
        acknowledgment: SequenceNumber, flags: TCPFlags, window: UInt16,
        length: Int = TCPHeader.minimumLength
    ) {
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
        self.sequence = sequence
        self.acknowledgment = acknowledgment
        self.flags = flags
        self.window = window
        self.length = length
    }

    /// Reads a header; nil if the segment is shorter than it says, or says nonsense.
    @inline(__always)
    init?(_ segment: RawSpan) {
        guard segment.byteCount >= Self.minimumLength else { return nil }
        length = Int(segment.octet(at: 12) >> 4) &* 4
        guard length >= Self.minimumLength, length <= segment.byteCount else { return nil }
        sourcePort = segment.number16(at: 0)
        destinationPort = segment.number16(at: 2)
        sequence = SequenceNumber(segment.number32(at: 4))
        acknowledgment = SequenceNumber(segment.number32(at: 8))
        flags = TCPFlags(rawValue: segment.octet(at: 13))
        window = segment.number16(at: 14)
        guard sourcePort != 0, destinationPort != 0 else { return nil }
    }

    /// Writes the header with checksum and urgent pointer zero. Options are the caller's.
    @inline(__always)
    func write(into segment: inout MutableRawSpan) {
        // One check for all twenty octets, and wide stores.
        guard segment.byteCount >= Self.minimumLength else { return }
        segment.store(
            UInt64(sourcePort) << 48 | UInt64(destinationPort) << 32 | UInt64(sequence.value), at: 0
        )
        segment.store(
            UInt64(acknowledgment.value) << 32 | UInt64(truncatingIfNeeded: length) << 26
                & 0xFF00_0000
                | UInt64(flags.rawValue) << 16 | UInt64(window), at: 8)
        segment.store(UInt32(0), at: 16)
    }

    /// Sends a segment that is header and options alone: SYN and RST. Not for the data path, so
    /// one copy of it serves them all.
    @inline(never) @_optimize(size)
    func send(
        _ tuple: TCPTuple, _ options: TCPSynOptions = TCPSynOptions(),
        output: inout some SegmentOutput & ~Copyable
    ) -> Bool {
        var storage = InlineArray<60, UInt8>(repeating: 0)
        var octets = storage.mutableSpan
        var segment = octets.mutableBytes
        write(into: &segment)
        options.write(into: &segment)
        return output.sendSegment(
            from: tuple.local, to: tuple.remote, segment.bytes.extracting(first: length))
    }
}
