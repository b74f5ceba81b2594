// The guest's RAM as this process sees it: the one place where an address of the guest's becomes a
// pointer, and so the one place where it is checked.

import Glibc

/// A run of guest-physical memory in this process. The guest's one processor stands still while
/// anything here is read or written.
struct GuestMemory {
    let base: UnsafeMutableRawPointer
    /// The guest-physical addresses.
    let range: Range<UInt64>
    /// What devices may touch: not the image, which would undo its write protection.
    var deviceRange: Range<UInt64>

    /// Memory that costs nothing before it is touched.
    init(_ range: Range<UInt64>) throws(MonitorError) {
        let size = range.upperBound - range.lowerBound
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let size = Int(exactly: size),
            let base = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0),
            base != MAP_FAILED
        else { throw .system("cannot reserve \(size >> 10) KiB of memory for the guest") }
        // A page of 2 MiB for the first octet touched would make small machines large.
        madvise(base, size, MADV_NOHUGEPAGE)
        self.base = base
        self.range = range
        deviceRange = range
    }

    /// Memory of the caller's, for tests.
    init(_ range: Range<UInt64>, at base: UnsafeMutableRawPointer) {
        self.base = base
        self.range = range
        deviceRange = range
    }

    /// Gives memory back that `init(_:)` reserved; nothing may use it afterwards.
    func release() {
        munmap(base, Int(range.upperBound - range.lowerBound))
    }

    /// The octets at a guest-physical address; nil if not all of them are RAM.
    func pointer(_ address: UInt64, _ length: UInt64) -> UnsafeMutableRawPointer? {
        guard range.contains(address), length <= range.upperBound - address else { return nil }
        return base + Int(address - range.lowerBound)
    }

    /// The octets that a driver offers to its device; nil if they may not be offered.
    func devicePointer(_ address: UInt64, _ length: UInt64) -> UnsafeMutableRawPointer? {
        guard deviceRange.contains(address), length <= deviceRange.upperBound - address else {
            return nil
        }
        return base + Int(address - range.lowerBound)
    }
}
