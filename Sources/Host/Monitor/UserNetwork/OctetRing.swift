// Octets between a socket of the host's and the guest, in the order in which they came.

import CSwiftletKVM
import Glibc

/// A ring of 64 KiB, whose memory is touched as far as it is used.
final class OctetRing {
    static let capacity = 64 << 10

    private let base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    private var start = 0
    private(set) var count = 0

    deinit { base.deallocate() }

    var free: Int { Self.capacity - count }

    /// Copies `octets`, of which there may be as many as are free.
    func append(_ octets: UnsafeRawBufferPointer) {
        var source = octets[...]
        while !source.isEmpty {
            let end = (start + count) % Self.capacity
            let part = min(source.count, Self.capacity - end)
            memcpy(base + end, UnsafeRawBufferPointer(rebasing: source).baseAddress!, part)
            count += part
            source = source.dropFirst(part)
        }
    }

    /// Copies `length` octets, from `offset` on, to `target`.
    func copy(_ offset: Int, _ length: Int, to target: UnsafeMutableRawPointer) {
        let first = (start + offset) % Self.capacity
        let part = min(length, Self.capacity - first)
        memcpy(target, base + first, part)
        if part < length { memcpy(target + part, base, length - part) }
    }

    /// Forgets the first `length` octets.
    func drop(_ length: Int) {
        count -= length
        // An empty ring begins at its beginning: little traffic touches little memory.
        start = count == 0 ? 0 : (start + length) % Self.capacity
    }

    /// Reads from `file` into what is free; as read(2).
    func fill(from file: Int32) -> Int {
        let end = (start + count) % Self.capacity
        let part = min(free, Self.capacity - end)
        var vectors = (
            iovec(iov_base: base + end, iov_len: part), iovec(iov_base: base, iov_len: free - part)
        )
        let length = withUnsafePointer(to: &vectors) {
            $0.withMemoryRebound(to: iovec.self, capacity: 2) { readv(file, $0, 2) }
        }
        if length > 0 { count += length }
        return length
    }

    /// Writes what is there to `file` and forgets it; as write(2).
    func drain(to file: Int32) -> Int {
        let part = min(count, Self.capacity - start)
        var vectors = (
            iovec(iov_base: base + start, iov_len: part),
            iovec(iov_base: base, iov_len: count - part)
        )
        let length = withUnsafePointer(to: &vectors) {
            $0.withMemoryRebound(to: iovec.self, capacity: 2) { writev(file, $0, 2) }
        }
        if length > 0 { drop(length) }
        return length
    }
}
