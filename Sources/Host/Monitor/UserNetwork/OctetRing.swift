// Octets between a socket of the host's and the guest, in the order in which they came.

import CSwiftletKVM
import Glibc

/// A ring of 64 KiB. It has memory only while it holds octets: thousands of idle connections take
/// none.
final class OctetRing {
    static let capacity = 64 << 10

    private let stores: OctetStores
    /// Nil only while the ring is empty.
    private var store: UnsafeMutableRawPointer?
    private var start = 0
    private(set) var count = 0

    init(_ stores: OctetStores) { self.stores = stores }

    deinit { giveBack() }

    /// Its memory, from now on until `giveBack`.
    private var base: UnsafeMutableRawPointer? {
        if store == nil { store = stores.take() }
        return store
    }

    private func giveBack() {
        if let store { stores.give(store) }
        store = nil
        start = 0
    }

    var free: Int { Self.capacity - count }

    /// Copies `octets`, of which there may be as many as are free.
    ///
    /// - Returns: false if there is no memory: nothing was copied.
    func append(_ octets: UnsafeRawBufferPointer) -> Bool {
        if octets.isEmpty { return true }
        guard let base else { return false }
        var source = octets[...]
        while !source.isEmpty {
            let end = (start + count) % Self.capacity
            let part = min(source.count, Self.capacity - end)
            memcpy(base + end, UnsafeRawBufferPointer(rebasing: source).baseAddress!, part)
            count += part
            source = source.dropFirst(part)
        }
        return true
    }

    /// Copies `length` octets, from `offset` on, to `target`.
    func copy(_ offset: Int, _ length: Int, to target: UnsafeMutableRawPointer) {
        guard let base = store else { return }
        let first = (start + offset) % Self.capacity
        let part = min(length, Self.capacity - first)
        memcpy(target, base + first, part)
        if part < length { memcpy(target + part, base, length - part) }
    }

    /// Forgets the first `length` octets.
    func drop(_ length: Int) {
        count -= length
        start = (start + length) % Self.capacity
        if count == 0 { giveBack() }
    }

    /// Reads from `file` into what is free; as read(2), and ENOMEM if there is no memory.
    func fill(from file: Int32) -> Int {
        guard let base else {
            errno = ENOMEM
            return -1
        }
        let end = (start + count) % Self.capacity
        let part = min(free, Self.capacity - end)
        var vectors = (
            iovec(iov_base: base + end, iov_len: part), iovec(iov_base: base, iov_len: free - part)
        )
        let length = withUnsafePointer(to: &vectors) {
            $0.withMemoryRebound(to: iovec.self, capacity: 2) { readv(file, $0, 2) }
        }
        if length > 0 { count += length }
        if count == 0 {
            let error = errno
            giveBack()
            errno = error
        }
        return length
    }

    /// Writes what is there to `file` and forgets it; as write(2).
    func drain(to file: Int32) -> Int {
        guard let base = store else { return 0 }
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

/// The memory of rings: some that was given back is kept, since most rings are used for a moment.
final class OctetStores {
    private static let mostKept = 32
    private var kept: [UnsafeMutableRawPointer] = []

    init() { kept.reserveCapacity(Self.mostKept) }

    deinit { for store in kept { munmap(store, OctetRing.capacity) } }

    /// Memory of `OctetRing.capacity` octets; nil if the host has none left.
    func take() -> UnsafeMutableRawPointer? {
        if let store = kept.popLast() { return store }
        // Not of the heap: that would keep what thousands of connections needed once.
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        let store = mmap(nil, OctetRing.capacity, PROT_READ | PROT_WRITE, flags, -1, 0)
        return store == MAP_FAILED ? nil : store
    }

    func give(_ store: UnsafeMutableRawPointer) {
        if kept.count < Self.mostKept {
            kept.append(store)
        } else {
            munmap(store, OctetRing.capacity)
        }
    }
}
