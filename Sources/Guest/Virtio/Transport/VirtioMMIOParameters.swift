// Finds virtio-mmio devices on the kernel's command line, where monitors name them.
//
// The word is Linux's: virtio_mmio.device=SIZE@ADDRESS:IRQ[:ID], numbers decimal or with 0x, the
// size with a suffix K, M or G (Documentation/admin-guide/kernel-parameters: virtio_mmio.device=).

import SwiftletMachine

/// Where a virtio-mmio device lies, and which interrupt it raises.
public struct VirtioMMIOParameters: Equatable, Sendable {
    /// Octets of its register window.
    public var size: UInt64
    public var address: GuestPhysicalAddress
    /// The global system interrupt.
    public var interrupt: UInt32

    public init(size: UInt64, address: GuestPhysicalAddress, interrupt: UInt32) {
        self.size = size
        self.address = address
        self.interrupt = interrupt
    }

    /// Calls `body` for each device word of a command line, in their order; words that name no
    /// device are passed over.
    ///
    /// - Returns: how many words began like a device and were malformed.
    @discardableResult
    public static func find(
        in commandLine: RawSpan, _ body: (VirtioMMIOParameters) -> Void
    ) -> Int {
        let key: StaticString = "virtio_mmio.device="
        var malformed = 0
        var reader = WordReader(bytes: commandLine)
        while reader.nextWord() {
            guard reader.take(key) else { continue }
            if let parameters = VirtioMMIOParameters(&reader) {
                body(parameters)
            } else {
                malformed &+= 1
            }
        }
        return malformed
    }

    /// SIZE@ADDRESS:IRQ[:ID], up to the end of the reader's word.
    private init?(_ reader: inout WordReader) {
        guard var size = reader.takeNumber() else { return nil }
        let shift: UInt64
        switch reader.peek() {
        case UInt8(ascii: "K"), UInt8(ascii: "k"): shift = 10
        case UInt8(ascii: "M"), UInt8(ascii: "m"): shift = 20
        case UInt8(ascii: "G"), UInt8(ascii: "g"): shift = 30
        default: shift = 0
        }
        if shift != 0 {
            reader.skip()
            guard size <= UInt64.max >> shift else { return nil }
            size <<= shift
        }
        guard reader.take(UInt8(ascii: "@")), let address = reader.takeNumber(),
            reader.take(UInt8(ascii: ":")), let interrupt = reader.takeNumber(),
            interrupt <= UInt64(UInt32.max)
        else { return nil }
        if reader.take(UInt8(ascii: ":")) {
            guard reader.takeNumber() != nil else { return nil }
        }
        guard reader.isAtEndOfWord, size > 0, address != 0, address <= UInt64.max - size
        else { return nil }
        self.init(
            size: size, address: GuestPhysicalAddress(address),
            interrupt: UInt32(truncatingIfNeeded: interrupt))
    }
}

/// Reads words that spaces separate.
private struct WordReader: ~Escapable {
    private let bytes: RawSpan
    private var position = 0
    private var end = 0

    @_lifetime(copy bytes)
    init(bytes: RawSpan) {
        self.bytes = bytes
    }

    var isAtEndOfWord: Bool { position >= end }

    /// Goes to the next word, whatever is left of this one; false if there is none.
    mutating func nextWord() -> Bool {
        position = end
        while position < bytes.byteCount, byte(position) <= UInt8(ascii: " ") {
            position &+= 1
        }
        end = position
        while end < bytes.byteCount, byte(end) > UInt8(ascii: " ") {
            end &+= 1
        }
        return position < end
    }

    func peek() -> UInt8 {
        isAtEndOfWord ? 0 : byte(position)
    }

    mutating func skip() {
        position &+= 1
    }

    mutating func take(_ wanted: UInt8) -> Bool {
        guard peek() == wanted else { return false }
        position &+= 1
        return true
    }

    mutating func take(_ wanted: StaticString) -> Bool {
        let count = wanted.utf8CodeUnitCount
        guard end &- position >= count else { return false }
        for index in 0..<count where byte(position &+ index) != wanted.utf8Start[index] {
            return false
        }
        position &+= count
        return true
    }

    /// Decimal digits, or hexadecimal ones after 0x; nil without a digit or above 2^64.
    mutating func takeNumber() -> UInt64? {
        var radix: UInt64 = 10
        if peek() == UInt8(ascii: "0"), position &+ 1 < end,
            byte(position &+ 1) | 0x20 == UInt8(ascii: "x")
        {
            radix = 16
            position &+= 2
        }
        var value: UInt64 = 0
        let start = position
        while !isAtEndOfWord, let digit = Self.digit(byte(position)), digit < radix {
            let (product, overflow) = value.multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            value = sum
            position &+= 1
        }
        return position > start ? value : nil
    }

    private func byte(_ index: Int) -> UInt8 {
        bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 0x30...0x39: UInt64(byte &- 0x30)
        case 0x41...0x46: UInt64(byte &- 0x37)
        case 0x61...0x66: UInt64(byte &- 0x57)
        default: nil
        }
    }
}
