// Reassembly of fragments of both versions (RFC 791 §3.2, RFC 815, RFC 8200 §4.5), bounded in number,
// memory and time.
//
// A datagram with overlapping fragments is thrown away whole, with all that is still to come of
// it: the rule of RFC 5722, made for IPv6, is the only safe reading for IPv4 too (RFC 3128).

/// What names a datagram, and where one fragment of it belongs.
struct Fragment {
    var source: IPAddress
    var destination: IPAddress
    var identification: UInt32
    /// IPv6 has no such thing in a fragment's name: there it is that of the first one.
    var protocolNumber: UInt8
    /// Octets before this payload in the datagram: a multiple of 8.
    var offset: Int
    var moreFragments: Bool

    init(_ header: IPv4Header) {
        source = IPAddress(header.source)
        destination = IPAddress(header.destination)
        identification = UInt32(header.identification)
        protocolNumber = header.protocolNumber
        offset = header.fragmentOffset
        moreFragments = header.moreFragments
    }

    init(_ header: IPv6Header, _ fragment: IPv6Fragment) {
        source = header.source
        destination = header.destination
        identification = fragment.identification
        protocolNumber = fragment.nextHeader
        offset = fragment.offset
        moreFragments = fragment.moreFragments
    }

    /// Octets of the header that the whole packet gets.
    var headerLength: Int { source.isV4 ? IPv4Header.length : IPv6Header.length }
}

/// Datagrams of which some fragments have come.
struct Reassembly: ~Copyable {
    /// What became of a fragment.
    enum Outcome: Equatable {
        case stored
        /// Thrown away: malformed, overlapping or over a bound.
        case dropped
        /// The datagram is whole: `takeCompleted` has it.
        case completed
    }

    struct Bounds {
        /// Datagrams under way at most; beyond, the oldest is dropped.
        var datagrams = 16
        /// Octets of buffers at most, all datagrams together.
        var octets = 256 << 10
        /// Fragments of one datagram at most.
        var fragments = 64
        /// From a datagram's first fragment to its end (RFC 1122 §3.3.2 wants 60 to 120 s; what
        /// is not whole after the sender's own timeout helps only an attacker).
        var nanoseconds: UInt64 = 30_000_000_000
    }

    /// One fragment's payload.
    private struct Piece {
        var start: Int
        var bytes: [UInt8]

        var end: Int { start + bytes.count }
    }

    private struct Datagram {
        /// The first one that came; the protocol is that of the one with offset zero.
        var name: Fragment
        var deadline: Instant
        /// Set once an overlap was seen: what else comes is swallowed until the deadline.
        var isPoisoned = false
        /// Payload octets in all, once the last fragment told.
        var payloadLength: Int?
        var received = 0
        /// In the order of arrival: memory is spent on what came, not on what an offset promises.
        var pieces: [Piece] = []
    }

    let bounds: Bounds
    private var datagrams: [Datagram] = []
    private var octets = 0
    private(set) var nextDeadline = Instant.never
    /// Datagrams that ended by time or by a bound.
    private(set) var expired: UInt64 = 0
    private var completed: [UInt8] = []

    init(bounds: Bounds = Bounds()) {
        self.bounds = bounds
    }

    /// Octets held now.
    var memory: Int { octets }
    /// Datagrams under way now.
    var count: Int { datagrams.count }

    /// The completed datagram as one packet: a header without options or extensions, and the payload.
    mutating func takeCompleted() -> [UInt8] {
        var packet: [UInt8] = []
        swap(&packet, &completed)
        return packet
    }

    /// Takes one fragment.
    mutating func receive(_ header: Fragment, payload: RawSpan, now: Instant) -> Outcome {
        let start = header.offset
        let end = start + payload.byteCount
        // All but the last carry a multiple of eight octets; none reaches beyond 65 535 in all.
        guard end <= 65_535 - header.headerLength, payload.byteCount > 0,
            !header.moreFragments || payload.byteCount & 7 == 0
        else { return .dropped }
        let index = find(header) ?? begin(header, now: now)
        guard !datagrams[index].isPoisoned else { return .dropped }
        if start == 0 { datagrams[index].name.protocolNumber = header.protocolNumber }
        if let overlap = overlap(start, end, in: index) {
            // The network may duplicate (RFC 8200 §4.5); anything else is an attack.
            if overlap.start != start || overlap.end != end { poison(index) }
            return .dropped
        }
        if let length = datagrams[index].payloadLength, end > length || !header.moreFragments {
            poison(index)
            return .dropped
        }
        if !header.moreFragments {
            if overlap(end, .max, in: index) != nil {
                poison(index)
                return .dropped
            }
            datagrams[index].payloadLength = end
        }
        guard datagrams[index].pieces.count < bounds.fragments,
            let place = makeRoom(at: index, for: payload.byteCount)
        else {
            poison(index)
            return .dropped
        }
        store(payload, at: start, in: place)
        guard datagrams[place].received == datagrams[place].payloadLength else { return .stored }
        complete(place)
        return .completed
    }

    /// Drops one datagram that is too old; its beginning, if that has come, is what `takeCompleted` then
    /// has. Without it nobody could tell what it was (RFC 1122 §3.3.2, RFC 8200 §4.5).
    ///
    /// - Returns: false if there was none.
    @inline(never) mutating func expire(now: Instant) -> Bool {
        guard nextDeadline <= now else { return false }
        nextDeadline = .never
        for index in datagrams.indices {
            guard datagrams[index].deadline <= now else {
                nextDeadline = min(nextDeadline, datagrams[index].deadline)
                continue
            }
            nextDeadline = now
            if !datagrams[index].isPoisoned { expired &+= 1 }
            let pieces = datagrams[index].pieces
            release(index)
            for place in pieces.indices where pieces[place].start == 0 {
                keep(pieces[place], in: index)
                complete(index)
                return true
            }
            remove(index)
            return true
        }
        return false
    }

    private func find(_ header: Fragment) -> Int? {
        for index in datagrams.indices
        where datagrams[index].name.identification == header.identification
            && datagrams[index].name.source == header.source
            && datagrams[index].name.destination == header.destination
            && (!header.source.isV4
                || datagrams[index].name.protocolNumber == header.protocolNumber)
        {
            return index
        }
        return nil
    }

    private mutating func begin(_ header: Fragment, now: Instant) -> Int {
        if datagrams.count >= bounds.datagrams { evictOldest(except: nil) }
        let deadline = now.advanced(by: bounds.nanoseconds)
        datagrams.append(Datagram(name: header, deadline: deadline))
        nextDeadline = min(nextDeadline, deadline)
        return datagrams.count - 1
    }

    /// A piece that shares octets with the given range.
    private func overlap(
        _ start: Int, _ end: Int, in index: Int
    ) -> (start: Int, end: Int)? {
        for piece in datagrams[index].pieces.indices {
            let other = datagrams[index].pieces[piece].start
            let otherEnd = datagrams[index].pieces[piece].end
            if other < end, start < otherEnd { return (other, otherEnd) }
        }
        return nil
    }

    /// Makes room for `length` more octets, at the cost of the oldest other datagrams.
    ///
    /// - Returns: where the datagram is now; nil if even that does not suffice.
    private mutating func makeRoom(at index: Int, for length: Int) -> Int? {
        var place = index
        while octets + length > bounds.octets {
            guard datagrams.count > 1 else { return nil }
            place = evictOldest(except: place) ?? place
        }
        return place
    }

    private mutating func store(_ payload: RawSpan, at start: Int, in index: Int) {
        var bytes = [UInt8](repeating: 0, count: payload.byteCount)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        raw.copy(payload, to: 0)
        keep(Piece(start: start, bytes: bytes), in: index)
    }

    private mutating func keep(_ piece: Piece, in index: Int) {
        octets += piece.bytes.count
        datagrams[index].received += piece.bytes.count
        datagrams[index].pieces.append(piece)
    }

    private mutating func complete(_ index: Int) {
        let datagram = datagrams[index]
        let header = OutgoingPacket(
            protocolNumber: datagram.name.protocolNumber, source: datagram.name.source,
            destination: datagram.name.destination, length: datagram.received, identification: 0,
            hopLimit: 0, head: 0)
        completed = [UInt8](repeating: 0, count: header.headerLength + datagram.received)
        var span = completed.mutableSpan
        var bytes = span.mutableBytes
        header.writeHeader(into: &bytes)
        for index in datagram.pieces.indices {
            let piece = datagram.pieces[index]
            bytes.copy(piece.bytes.span.bytes, to: header.headerLength + piece.start)
        }
        remove(index)
    }

    private mutating func poison(_ index: Int) {
        release(index)
        datagrams[index].isPoisoned = true
    }

    /// Gives up what a datagram holds.
    private mutating func release(_ index: Int) {
        octets -= datagrams[index].received
        datagrams[index].received = 0
        datagrams[index].pieces = []
    }

    private mutating func remove(_ index: Int) {
        release(index)
        datagrams.swapAt(index, datagrams.count - 1)
        datagrams.removeLast()
    }

    /// Drops the datagram with the earliest deadline.
    ///
    /// - Returns: where the spared one is now.
    @discardableResult private mutating func evictOldest(except spared: Int?) -> Int? {
        var oldest: Int?
        for index in datagrams.indices where index != spared {
            if let best = oldest, datagrams[best].deadline <= datagrams[index].deadline {
                continue
            }
            oldest = index
        }
        guard let oldest else { return spared }
        expired &+= 1
        let last = datagrams.count - 1
        remove(oldest)
        return spared == last ? oldest : spared
    }
}
