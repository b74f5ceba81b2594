// The options in a TCP header: MSS, window scale and timestamps (RFC 7323), SACK (RFC 2018).

/// The options of a SYN, as offered or as agreed.
struct TCPSynOptions: Equatable, Sendable {
    /// 0: not given; RFC 9293 §3.7.1 then assumes 536.
    var maximumSegmentSize: UInt16 = 0
    /// nil: no window scaling.
    var windowShift: UInt8?
    var sackPermitted = false
    /// nil: no timestamps.
    var timestamps: TCPTimestamps?
    /// Marks of routers are heeded: no option, but agreed on in the same way, by the bits ECE and
    /// CWR of the SYN and ECE of its answer (RFC 3168 §6.1.1).
    var heedsMarks = false

    init() {}

    /// Reads the options between the fixed header and `headerLength`. Unknown and malformed ones
    /// are skipped; the first whose length cannot be ends the reading.
    init(_ segment: RawSpan, headerLength: Int) {
        let size = segment.option(2, headerLength: headerLength)
        if size > 0, segment.octet(at: size + 1) == 4 {
            maximumSegmentSize = segment.number16(at: size + 2)
        }
        let shift = segment.option(3, headerLength: headerLength)
        if shift > 0, segment.octet(at: shift + 1) == 3 {
            // RFC 7323 §2.3: a shift above 14 counts as 14.
            windowShift = min(segment.octet(at: shift + 2), 14)
        }
        sackPermitted = segment.option(4, headerLength: headerLength) > 0
        timestamps = TCPTimestamps(segment, headerLength: headerLength)
        // Of an answer ECE alone: some peers reflect both bits without knowing them.
        let bits = segment.octet(at: 13)
        heedsMarks = bits & 0xC0 == (bits & TCPFlags.ack.rawValue == 0 ? 0xC0 : 0x40)
    }

    /// Octets that `write` writes: a multiple of four.
    var length: Int {
        (maximumSegmentSize != 0 ? 4 : 0) + (windowShift != nil ? 4 : 0) + (sackPermitted ? 4 : 0)
            + (timestamps != nil ? TCPTimestamps.length : 0)
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
            offset += 4
        }
        if let timestamps {
            segment.store(TCPTimestamps.word, at: offset)
            segment.store(timestamps.value, at: offset + 4)
            segment.store(timestamps.echo, at: offset + 8)
        }
    }
}

extension RawSpan {
    /// Where the first option of a kind stands in a TCP header, with all of its octets (two at
    /// least); 0: it is not there.
    @inline(never)
    func option(_ kind: UInt8, headerLength: Int) -> Int {
        var offset = TCPHeader.minimumLength
        while offset < headerLength {
            let found = octet(at: offset)
            if found == 0 { return 0 }
            if found == 1 {
                offset += 1
                continue
            }
            guard offset + 1 < headerLength else { return 0 }
            let length = Int(octet(at: offset + 1))
            guard length >= 2, offset + length <= headerLength else { return 0 }
            if found == kind { return offset }
            offset += length
        }
        return 0
    }
}

/// Calls `body` with each block of the SACK option (RFC 2018 §3).
func forEachSackBlock(
    _ segment: RawSpan, headerLength: Int, _ body: (SequenceInterval) -> Void
) {
    let offset = segment.option(5, headerLength: headerLength)
    guard offset > 0 else { return }
    let end = offset + Int(segment.octet(at: offset + 1))
    var block = offset + 2
    while block + 8 <= end {
        body(
            SequenceInterval(
                start: SequenceNumber(segment.number32(at: block)),
                end: SequenceNumber(segment.number32(at: block + 4))))
        block += 8
    }
}
