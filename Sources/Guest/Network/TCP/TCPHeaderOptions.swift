// The options in a TCP header: MSS, window scale (RFC 7323), SACK (RFC 2018).
// Timestamps would be one more case here.

/// The options of a SYN, as offered or as agreed.
struct TCPSynOptions: Equatable, Sendable {
    /// 0: not given; RFC 9293 §3.7.1 then assumes 536.
    var maximumSegmentSize: UInt16 = 0
    /// nil: no window scaling.
    var windowShift: UInt8?
    var sackPermitted = false

    init() {}

    /// Reads the options between the fixed header and `headerLength`. Unknown and malformed ones
    /// are skipped; the first whose length cannot be ends the reading.
    init(_ segment: RawSpan, headerLength: Int) {
        var options = TCPSynOptions()
        forEachOption(segment, headerLength: headerLength) { kind, offset, length in
            switch (kind, length) {
            case (2, 4): options.maximumSegmentSize = segment.number16(at: offset + 2)
            // RFC 7323 §2.3: a shift above 14 counts as 14.
            case (3, 3): options.windowShift = min(segment.octet(at: offset + 2), 14)
            case (4, 2): options.sackPermitted = true
            default: break
            }
        }
        self = options
    }

    /// Octets that `write` writes: a multiple of four.
    var length: Int {
        (maximumSegmentSize != 0 ? 4 : 0) + (windowShift != nil ? 4 : 0) + (sackPermitted ? 4 : 0)
    }

    /// Writes the options behind a header of twenty octets, each padded to four.
    func write(into segment: inout MutableRawSpan) {
        var offset = TCPHeader.minimumLength
        if maximumSegmentSize != 0 {
            segment.store(0x0204_0000 | UInt32(maximumSegmentSize), at: offset)
            offset += 4
        }
        if let windowShift {
            segment.store(0x0103_0300 | UInt32(windowShift), at: offset)
            offset += 4
        }
        if sackPermitted {
            segment.store(UInt32(0x0101_0402), at: offset)
        }
    }
}

/// Calls `body` with kind, offset and length of each option that has a length.
func forEachOption(_ segment: RawSpan, headerLength: Int, _ body: (UInt8, Int, Int) -> Void) {
    var offset = TCPHeader.minimumLength
    while offset < headerLength {
        let kind = segment.octet(at: offset)
        if kind == 0 { return }
        if kind == 1 {
            offset += 1
            continue
        }
        guard offset + 1 < headerLength else { return }
        let length = Int(segment.octet(at: offset + 1))
        guard length >= 2, offset + length <= headerLength else { return }
        body(kind, offset, length)
        offset += length
    }
}

/// Calls `body` with each block of the SACK option (RFC 2018 §3).
func forEachSackBlock(
    _ segment: RawSpan, headerLength: Int, _ body: (SequenceInterval) -> Void
) {
    forEachOption(segment, headerLength: headerLength) { kind, offset, length in
        guard kind == 5 else { return }
        var block = offset + 2
        while block + 8 <= offset + length {
            body(
                SequenceInterval(
                    start: SequenceNumber(segment.number32(at: block)),
                    end: SequenceNumber(segment.number32(at: block + 4))))
            block += 8
        }
    }
}
