// A listener: an address, a port, and the connections that wait to be accepted.

/// One listening socket. Its queue of accepted connections is bounded by the backlog.
struct TCPListener: ~Copyable {
    struct Waiting: BitwiseCopyable {
        var index: UInt32
        var generation: UInt32
    }

    let id: TCPListenerID
    /// nil: all local addresses.
    let address: IPAddress?
    let port: UInt16
    let backlog: Int
    /// True while `.acceptable` waits to be told.
    var isTold = false
    private var queue = Buffer<Waiting>()
    private var head = 0
    private(set) var count = 0

    init(id: TCPListenerID, address: IPAddress?, port: UInt16, backlog: Int) {
        self.id = id
        self.address = address
        self.port = port
        self.backlog = min(max(backlog, 1), 65_536)
    }

    var isFull: Bool { count >= backlog }

    mutating func append(_ connection: TCPConnectionID) {
        if count == queue.count {
            var new = Buffer<Waiting>(
                repeating: Waiting(index: 0, generation: 0), count: max(8, queue.count * 2))
            for place in 0..<count { new[place] = queue[(head + place) & (queue.count - 1)] }
            swap(&new, &queue)
            head = 0
        }
        queue[(head + count) & (queue.count - 1)] = Waiting(
            index: connection.index, generation: connection.generation)
        count += 1
    }

    mutating func removeFirst() -> TCPConnectionID? {
        guard count > 0 else { return nil }
        let first = queue[head]
        head = (head + 1) & (queue.count - 1)
        count -= 1
        return TCPConnectionID(index: first.index, generation: first.generation)
    }
}
