// Receive buffers that a device has taken from its queue before it knows how long the next frame is.

import Glibc

/// Buffers in the order of the queue, and their segments as one list of vectors.
struct BuffersAhead {
    /// The host takes a list of so many (UIO_MAXIOV).
    private static let mostVectors = 1024
    private static let capacity = mostVectors + DeviceQueue.longestChain

    private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: capacity)
    private var firstVector = 0
    private var endVector = 0
    private var chains: [DescriptorChain] = []
    private var firstChain = 0
    /// Octets that these buffers hold.
    private(set) var octets = 0

    init() { chains.reserveCapacity(256) }

    func deallocate() { vectors.deallocate() }

    var count: Int { chains.count - firstChain }
    /// False if the next chain's segments might not find a place.
    var hasRoom: Bool { endVector + DeviceQueue.longestChain <= Self.capacity }
    var front: UnsafeMutablePointer<iovec> { vectors + firstVector }
    /// Segments of the frame to come.
    var vectorCount: Int { min(endVector - firstVector, Self.mostVectors) }
    /// Where the next chain's segments go.
    var end: UnsafeMutablePointer<iovec> { vectors + endVector }

    mutating func append(_ chain: DescriptorChain) {
        chains.append(chain)
        endVector += chain.readableCount + chain.writableCount
        octets += chain.writableOctets
    }

    /// How many buffers so many octets fill.
    func buffers(for length: Int) -> Int {
        var left = length
        var index = firstChain
        while left > 0, index < chains.count {
            left -= chains[index].writableOctets
            index += 1
        }
        return index - firstChain
    }

    mutating func removeFirst() -> DescriptorChain {
        let chain = chains[firstChain]
        firstChain += 1
        firstVector += chain.writableCount
        octets -= chain.writableOctets
        return chain
    }

    mutating func clear() {
        chains.removeAll(keepingCapacity: true)
        firstChain = 0
        firstVector = 0
        endVector = 0
        octets = 0
    }
}
