// What has happened since the event loop last asked: one queue entry a connection, with flags.

/// Kinds of events that wait for one connection.
struct TCPEventFlags: OptionSet, Sendable {
    var rawValue: UInt8

    static var connected: TCPEventFlags { TCPEventFlags(rawValue: 1) }
    static var readable: TCPEventFlags { TCPEventFlags(rawValue: 2) }
    static var writable: TCPEventFlags { TCPEventFlags(rawValue: 4) }
    static var closed: TCPEventFlags { TCPEventFlags(rawValue: 8) }
}

/// A queue of handles. Whoever is in it keeps flags at home, and enters only with the first flag:
/// so it holds each once, and grows only as the number of connections grows.
struct TCPEventQueue: ~Copyable {
    struct Entry: BitwiseCopyable {
        var index: UInt32
        var generation: UInt32
        var isListener: Bool
    }

    private var ring = Buffer<Entry>()
    private var head = 0
    private(set) var count = 0

    init() {}

    @inline(__always)
    mutating func push(_ entry: Entry) {
        if count == ring.count { grow() }
        ring[(head &+ count) & (ring.count &- 1)] = entry
        count &+= 1
    }

    @inline(__always)
    var first: Entry? { count == 0 ? nil : ring[head] }

    @inline(__always)
    mutating func removeFirst() {
        head = (head &+ 1) & (ring.count &- 1)
        count &-= 1
    }

    @inline(never)
    private mutating func grow() {
        let size = max(16, ring.count * 2)
        var new = Buffer<Entry>(
            repeating: Entry(index: 0, generation: 0, isListener: false), count: size)
        for index in 0..<count { new[index] = ring[(head + index) & (ring.count - 1)] }
        swap(&new, &ring)
        head = 0
    }
}
