// Path MTUs that routers reported (RFC 1191, RFC 8201), a few of them, until they grow old.

/// Destinations that take less than the link's MTU.
struct PathMTUCache {
    private struct Entry {
        var destination: IPAddress
        var mtu: Int
        var deadline: Instant
    }

    /// The least MTU believed of IPv4 (Linux's min_pmtu): smaller reports are attacks (RFC 5927
    /// §7.3). IPv6 has its own (RFC 8201 §4).
    static var minimum: Int { 552 }
    static var capacity: Int { 32 }
    /// A larger value is tried after ten minutes (RFC 1191 §6.3).
    static var lifetime: UInt64 { 600_000_000_000 }

    private var entries: [Entry] = []
    private var oldest = 0

    @inline(__always) var isEmpty: Bool { entries.isEmpty }

    /// The MTU towards `destination`, at most `link`.
    func mtu(to destination: IPAddress, link: Int, now: Instant) -> Int {
        for index in entries.indices
        where entries[index].destination == destination && entries[index].deadline > now {
            return min(entries[index].mtu, link)
        }
        return link
    }

    /// Takes a router's report about a packet of `length` octets; 0 for `reported` means that the
    /// router said no number: then the next plateau below is taken (RFC 1191 §7).
    ///
    /// - Returns: false if the report is not believed, or is no news.
    mutating func reduce(
        to destination: IPAddress, reported: Int, length: Int, link: Int, now: Instant
    ) -> Bool {
        let current = mtu(to: destination, link: link, now: now)
        let value = reported != 0 ? reported : Self.plateau(below: min(length, current))
        let mtu = max(value, destination.isV4 ? Self.minimum : IPv6Header.minimumMTU)
        guard mtu < current, mtu < length else { return false }
        let entry = Entry(
            destination: destination, mtu: mtu, deadline: now.advanced(by: Self.lifetime))
        for index in entries.indices where entries[index].destination == destination {
            entries[index] = entry
            return true
        }
        if entries.count < Self.capacity {
            entries.append(entry)
        } else {
            entries[oldest] = entry
            oldest = (oldest + 1) % Self.capacity
        }
        return true
    }

    private static func plateau(below length: Int) -> Int {
        length > 8166
            ? 8166
            : length > 4352
                ? 4352
                : length > 2002 ? 2002 : length > 1492 ? 1492 : length > 1006 ? 1006 : minimum
    }
}
