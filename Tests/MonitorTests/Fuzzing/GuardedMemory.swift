// Guest memory for a fuzzer: whatever touches a page that is not the guest's to share ends in a
// fault, in the kernel's hands too.

import Glibc

@testable import SwiftletMonitor

/// RAM between pages that nobody may touch. The part below `shared` stands for the image, which no
/// device may write or read.
struct GuardedMemory: @unchecked Sendable {
    static let ram: Range<UInt64> = 0x1_0000..<0x4_0000
    static let shared: Range<UInt64> = 0x2_0000..<0x4_0000
    private static let border = 1 << 20

    let memory: GuestMemory

    /// - Parameter imageIsReadable: whether the monitor itself may look at the image.
    init(imageIsReadable: Bool) {
        let size = Int(Self.ram.upperBound - Self.ram.lowerBound)
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard
            let block = mmap(nil, size + 2 * Self.border, PROT_NONE, flags, -1, 0),
            block != MAP_FAILED
        else { preconditionFailure("no memory") }
        let base = block + Self.border
        let image = Int(Self.shared.lowerBound - Self.ram.lowerBound)
        mprotect(base + image, size - image, PROT_READ | PROT_WRITE)
        if imageIsReadable { mprotect(base, image, PROT_READ) }
        var memory = GuestMemory(Self.ram, at: base)
        memory.deviceRange = Self.shared
        self.memory = memory
    }

    /// What is shared, as a new machine finds it.
    func clear() {
        memset(
            memory.base + Int(Self.shared.lowerBound - Self.ram.lowerBound), 0,
            Int(Self.shared.upperBound - Self.shared.lowerBound))
    }
}

/// The octets of an input, taken from its beginning; zeros behind its end.
struct FuzzInput {
    private let octets: [UInt8]
    private var offset = 0

    init(_ octets: RawSpan) {
        self.octets = octets.withUnsafeBytes { Array($0) }
    }

    var isEmpty: Bool { offset >= octets.count }

    mutating func next() -> UInt8 {
        guard offset < octets.count else { return 0 }
        offset += 1
        return octets[offset - 1]
    }

    mutating func word() -> UInt64 { UInt64(next()) << 8 | UInt64(next()) }

    /// Eight octets as they come.
    mutating func long() -> UInt64 { (0..<4).reduce(0) { value, _ in value << 16 | word() } }
}
