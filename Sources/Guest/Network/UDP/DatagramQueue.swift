// Datagrams in the order of their arrival, each contiguous, in one ring of octets that grows.

/// A bounded queue of datagrams. Empty, it holds no more than its smallest buffer.
struct DatagramQueue {
    private struct Record {
        var offset: Int
        var count: Int
        var endpoints: UDPEndpoints
    }

    private static var smallestBuffer: Int { 2048 }

    private let maximumOctets: Int
    private let maximumCount: Int
    private var bytes: [UInt8] = []
    /// A ring: `records[first]` is the oldest.
    private var records: [Record] = []
    private var first = 0
    private(set) var count = 0

    init(maximumOctets: Int, maximumCount: Int) {
        self.maximumOctets = maximumOctets
        self.maximumCount = maximumCount
    }

    /// Octets of buffer held.
    var memory: Int { bytes.count }

    /// Copies a datagram in.
    ///
    /// - Returns: false if a bound is reached: the datagram is lost, as UDP's are.
    mutating func append(_ payload: RawSpan, endpoints: UDPEndpoints) -> Bool {
        guard count < maximumCount, let offset = place(for: payload.byteCount) else {
            return false
        }
        var span = bytes.mutableSpan
        var target = span.mutableBytes
        target.copy(payload, to: offset)
        let record = Record(offset: offset, count: payload.byteCount, endpoints: endpoints)
        if count == records.count {
            // Unroll the ring into a longer one.
            var longer: [Record] = []
            longer.reserveCapacity(max(8, count * 2))
            for index in 0..<count { longer.append(records[(first + index) % count]) }
            longer.append(record)
            while longer.count < longer.capacity { longer.append(record) }
            records = longer
            first = 0
        } else {
            records[(first + count) % records.count] = record
        }
        count += 1
        return true
    }

    /// Shows the oldest datagram, and takes it out; nil if there is none.
    mutating func takeFirst<R>(_ body: (RawSpan, UDPEndpoints) -> R) -> R? {
        guard count > 0 else { return nil }
        let record = records[first]
        let end = record.offset + record.count
        let result = body(bytes.span.bytes.extracting(record.offset..<end), record.endpoints)
        first = (first + 1) % records.count
        count -= 1
        if count == 0 {
            first = 0
            if bytes.count > Self.smallestBuffer { bytes = [] }
        }
        return result
    }

    /// Where `length` octets can be put, after growing if need be.
    private mutating func place(for length: Int) -> Int? {
        if let offset = gap(for: length) { return offset }
        guard bytes.count < maximumOctets else { return nil }
        grow(by: length)
        return gap(for: length)
    }

    /// A free run behind the newest datagram, or at the start of the buffer.
    private func gap(for length: Int) -> Int? {
        guard count > 0 else { return length <= bytes.count ? 0 : nil }
        let oldest = records[first]
        let newest = records[(first + count - 1) % records.count]
        let end = newest.offset + newest.count
        if newest.offset >= oldest.offset {
            if bytes.count - end >= length { return end }
            return length < oldest.offset ? 0 : nil
        }
        return oldest.offset - end > length ? end : nil
    }

    /// Doubles the buffer (more for a long datagram) and moves what waits to its start.
    private mutating func grow(by length: Int) {
        let wanted = max(bytes.count * 2, bytes.count + length, Self.smallestBuffer)
        var larger = [UInt8](repeating: 0, count: min(wanted, maximumOctets))
        var end = 0
        var span = larger.mutableSpan
        var target = span.mutableBytes
        for index in 0..<count {
            let place = (first + index) % records.count
            let record = records[place]
            let range = record.offset..<record.offset + record.count
            target.copy(bytes.span.bytes.extracting(range), to: end)
            records[place].offset = end
            end += record.count
        }
        bytes = larger
    }
}
