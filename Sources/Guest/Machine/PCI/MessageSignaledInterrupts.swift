// MSI-X (PCI Local Bus 3.0 §6.8.2): a device interrupts by writing a message.

/// What a device writes, and where, to interrupt.
public struct InterruptMessage: Equatable, Sendable {
    public var address: UInt64
    public var data: UInt32

    public init(address: UInt64, data: UInt32) {
        self.address = address
        self.data = data
    }

    /// A fixed, edge-triggered interrupt to the first processor (SDM volume 3 §11.11).
    public init(vector: UInt8) {
        self.init(address: 0xFEE0_0000, data: UInt32(vector))
    }
}

/// The message table of a function.
public struct MessageTable {
    private let function: PCIFunction
    private let capability: UInt8
    private let table: RegisterWindow
    /// Entries in the table, at least one.
    public let count: Int

    /// - Returns: nil if the function has no MSI-X or its table lies outside of its memory.
    public init?(of function: PCIFunction, map: DeviceMapping) {
        var found: UInt8?
        // Capability 0x11 (§6.8.2); a function has it once.
        function.forEachCapability(0x11) { offset in
            if found == nil, offset <= 0xF4 { found = offset }
        }
        guard let capability = found else { return nil }
        let control = function.access.load16(function.address, capability &+ 2)
        let place = function.access.load32(function.address, capability &+ 4)
        let count = Int(control & 0x7FF) &+ 1
        let offset = UInt64(place & ~7)
        guard let region = function.memoryRegion(UInt8(place & 7)),
            offset < region.size, UInt64(count) &* 16 <= region.size &- offset
        else { return nil }
        self.function = function
        self.capability = capability
        self.count = count
        table = map(region.address + offset, UInt64(count) &* 16)
    }

    /// Turns MSI-X on; every entry without a message stays masked.
    public func enable() {
        let register = capability &+ 2
        // First with the whole function masked (bit 14), so that no entry fires half-written.
        let control = function.access.load16(function.address, register)
        function.access.store16(control | 0xC000, function.address, register)
        for entry in 0..<count {
            table.store32(1, at: UInt(entry) &* 16 &+ 12)
        }
        function.access.store16(control & ~0x4000 | 0x8000, function.address, register)
    }

    /// Sets the message of an entry and unmasks it.
    public func setMessage(_ message: InterruptMessage, entry: Int) {
        guard entry >= 0, entry < count else { return }
        let offset = UInt(entry) &* 16
        table.store32(1, at: offset &+ 12)
        table.store32(UInt32(truncatingIfNeeded: message.address), at: offset)
        table.store32(UInt32(truncatingIfNeeded: message.address >> 32), at: offset &+ 4)
        table.store32(message.data, at: offset &+ 8)
        table.store32(0, at: offset &+ 12)
    }
}
