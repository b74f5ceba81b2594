// Answers that hold for a while (RFC 1034 §5.3.3, RFC 2308), bounded in number and in octets.

/// What was learnt, and until when it holds.
struct DNSCache: ~Copyable {
    private struct Entry {
        var question: DNSQuestion
        var answer: DNSAnswer
        var expiry: Instant
        /// When it was last of use, in look-ups.
        var used: UInt64
        var octets: Int
    }

    private let mostEntries: Int
    private let mostOctets: Int
    private var entries: [Entry] = []
    private(set) var octets = 0
    private var lookups: UInt64 = 0

    init(entries: Int, octets: Int) {
        mostEntries = entries
        mostOctets = octets
    }

    var count: Int { entries.count }

    /// The answer that holds; nil if there is none.
    mutating func find(_ question: DNSQuestion, now: Instant) -> DNSAnswer? {
        lookups &+= 1
        guard let index = index(of: question) else { return nil }
        guard entries[index].expiry > now else {
            remove(index)
            return nil
        }
        entries[index].used = lookups
        return entries[index].answer
    }

    /// Keeps an answer in the place of an older one. Where there is no room, what has expired goes,
    /// then what was of no use for longest.
    mutating func insert(
        _ question: DNSQuestion, _ answer: DNSAnswer, expiry: Instant, now: Instant
    ) {
        if let index = index(of: question) { remove(index) }
        let size = Self.octets(question, answer)
        guard expiry > now, size <= mostOctets, mostEntries > 0 else { return }
        if isFull(with: size) {
            var index = 0
            while index < entries.count {
                if entries[index].expiry <= now { remove(index) } else { index += 1 }
            }
        }
        while isFull(with: size) {
            var oldest = 0
            for index in entries.indices where entries[index].used < entries[oldest].used {
                oldest = index
            }
            remove(oldest)
        }
        entries.append(
            Entry(
                question: question, answer: answer, expiry: expiry, used: lookups, octets: size))
        octets += size
    }

    mutating func removeAll() {
        entries = []
        octets = 0
    }

    private func isFull(with more: Int) -> Bool {
        entries.count >= mostEntries || octets + more > mostOctets
    }

    private func index(of question: DNSQuestion) -> Int? {
        for index in entries.indices where entries[index].question == question { return index }
        return nil
    }

    private mutating func remove(_ index: Int) {
        octets -= entries[index].octets
        entries.swapAt(index, entries.count - 1)
        entries.removeLast()
    }

    private static func octets(_ question: DNSQuestion, _ answer: DNSAnswer) -> Int {
        var total = MemoryLayout<Entry>.stride + question.name.octets.count
        switch answer {
        case .addresses(let addresses):
            total += addresses.count * MemoryLayout<IPAddress>.stride
        case .services(let services):
            for service in services {
                total += MemoryLayout<DNSService>.stride + service.host.count
            }
        case .noSuchName, .noData: break
        }
        return total
    }
}
