// One PCI function: what it is, where its registers lie, its capabilities (PCI Local Bus 3.0 §6).

/// The registers that a base address register describes.
public struct PCIMemoryRegion: Equatable, Sendable {
    public var address: GuestPhysicalAddress
    /// Octets, a power of two.
    public var size: UInt64
}

/// Makes device registers accessible: maps them if need be.
public typealias DeviceMapping = (_ address: GuestPhysicalAddress, _ size: UInt64) -> RegisterWindow

/// A function that answers.
public struct PCIFunction {
    /// Configuration register offsets (§6.1, figure 6-1).
    enum Register {
        static var identity: UInt8 { 0x00 }
        static var command: UInt8 { 0x04 }
        static var status: UInt8 { 0x06 }
        static var classCode: UInt8 { 0x08 }
        static var headerType: UInt8 { 0x0E }
        static var baseAddress: UInt8 { 0x10 }
        static var secondaryBus: UInt8 { 0x19 }
        static var subsystem: UInt8 { 0x2C }
        static var capabilities: UInt8 { 0x34 }
    }

    /// Bits of the command register (§6.2.2).
    private enum Command {
        static var memory: UInt16 { 1 << 1 }
        static var decoding: UInt16 { 3 }
        static var busMaster: UInt16 { 1 << 2 }
        static var interruptDisable: UInt16 { 1 << 10 }
    }

    public let access: PCIConfigurationAccess
    public let address: PCIAddress
    public let vendor: UInt16
    public let device: UInt16

    /// - Returns: nil if nothing answers there.
    public init?(_ access: PCIConfigurationAccess, at address: PCIAddress) {
        let identity = access.load32(address, Register.identity)
        // All ones: no device (§6.1).
        guard identity & 0xFFFF != 0xFFFF else { return nil }
        self.access = access
        self.address = address
        vendor = UInt16(truncatingIfNeeded: identity)
        device = UInt16(truncatingIfNeeded: identity >> 16)
    }

    /// Class and subclass: 0x0200 is an Ethernet controller.
    public var classCode: UInt16 { access.load16(address, Register.classCode &+ 2) }
    /// The subsystem's device number.
    public var subsystem: UInt16 { access.load16(address, Register.subsystem &+ 2) }

    private var headerType: UInt8 { access.load8(address, Register.headerType) }
    /// Functions 1 to 7 of this device may be there too.
    var hasMoreFunctions: Bool { headerType & 0x80 != 0 }
    /// The bus behind a PCI-to-PCI bridge.
    var secondaryBus: UInt8? {
        headerType & 0x7F == 1 ? access.load8(address, Register.secondaryBus) : nil
    }
    private var baseAddressCount: UInt8 {
        switch headerType & 0x7F {
        case 0: 6
        case 1: 2
        default: 0
        }
    }

    // MARK: Base address registers

    /// The memory that base address register `index` describes; nil if it describes none, is an I/O
    /// range, or has no address yet.
    public func memoryRegion(_ index: UInt8) -> PCIMemoryRegion? {
        guard let region = measure(index), region.address.rawValue != 0 else { return nil }
        return region
    }

    /// Gives every memory region without an address one from `aperture`: for monitors whose firmware
    /// leaves that to the guest.
    ///
    /// - Returns: false if the aperture is exhausted.
    public func assignMissingRegions(from aperture: inout PCIAperture) -> Bool {
        var index: UInt8 = 0
        while index < baseAddressCount {
            let isWide = isWide(index)
            if let region = measure(index), region.address.rawValue == 0 {
                guard let start = aperture.take(region.size) else { return false }
                store(start.rawValue, index: index, isWide: isWide)
            }
            index &+= isWide ? 2 : 1
        }
        return true
    }

    /// Lets the function answer to its memory regions and read and write memory itself; its
    /// interrupts are messages, so the pin is turned off.
    public func enable() {
        let command = access.load16(address, Register.command)
        access.store16(
            command | Command.memory | Command.busMaster | Command.interruptDisable, address,
            Register.command)
    }

    /// Bits 1 and 2 of a memory register say 64 bits (§6.2.5.1).
    private func isWide(_ index: UInt8) -> Bool {
        let low = access.load32(address, Register.baseAddress &+ index &* 4)
        return low & 1 == 0 && low >> 1 & 3 == 2 && index &+ 1 < baseAddressCount
    }

    /// Address and size: the bits that stay 0 when all ones are written (§6.2.5.1).
    private func measure(_ index: UInt8) -> PCIMemoryRegion? {
        guard index < baseAddressCount else { return nil }
        let register = Register.baseAddress &+ index &* 4
        let low = access.load32(address, register)
        guard low & 1 == 0 else { return nil }
        let isWide = isWide(index)
        let high = isWide ? access.load32(address, register &+ 4) : 0
        // Nothing may answer at the address that is written for a moment.
        let command = access.load16(address, Register.command)
        access.store16(command & ~Command.decoding, address, Register.command)
        store(.max, index: index, isWide: isWide)
        var mask = UInt64(access.load32(address, register)) & ~0xF
        if isWide {
            mask |= UInt64(access.load32(address, register &+ 4)) << 32
        } else if mask != 0 {
            mask |= 0xFFFF_FFFF_0000_0000
        }
        store(UInt64(high) << 32 | UInt64(low), index: index, isWide: isWide)
        access.store16(command, address, Register.command)
        guard mask != 0 else { return nil }
        let size = ~mask &+ 1
        let start = UInt64(high) << 32 | UInt64(low & ~0xF)
        guard size & (size &- 1) == 0, start <= UInt64.max &- size else { return nil }
        return PCIMemoryRegion(address: GuestPhysicalAddress(start), size: size)
    }

    private func store(_ value: UInt64, index: UInt8, isWide: Bool) {
        let register = Register.baseAddress &+ index &* 4
        access.store32(UInt32(truncatingIfNeeded: value), address, register)
        if isWide {
            access.store32(UInt32(truncatingIfNeeded: value >> 32), address, register &+ 4)
        }
    }

    // MARK: Capabilities

    /// Calls `body` with the offset of each capability of a kind, in the list's order (§6.7).
    public func forEachCapability(_ kind: UInt8, _ body: (_ offset: UInt8) -> Void) {
        // Bit 4 of the status register: there is a list.
        guard access.load16(address, Register.status) & 1 << 4 != 0 else { return }
        var offset = access.load8(address, Register.capabilities) & 0xFC
        // A list that bites its tail ends when it has been everywhere: 48 fit behind the header.
        var left = 48
        while offset >= 0x40, left > 0 {
            let header = access.load16(address, offset)
            if UInt8(truncatingIfNeeded: header) == kind { body(offset) }
            offset = UInt8(truncatingIfNeeded: header >> 8) & 0xFC
            left &-= 1
        }
    }
}

/// Addresses for PCI memory that the firmware has not assigned.
public struct PCIAperture {
    private var next: UInt64
    private let end: UInt64

    /// Free physical addresses from `start` up to before `end`.
    public init(start: UInt64, end: UInt64) {
        next = start
        self.end = end
    }

    /// An aligned range of `size` octets, a power of two.
    mutating func take(_ size: UInt64) -> GuestPhysicalAddress? {
        let (sum, overflow) = next.addingReportingOverflow(size &- 1)
        guard size > 0, !overflow else { return nil }
        let start = sum & ~(size &- 1)
        guard start != 0, start <= end, size <= end &- start else { return nil }
        next = start &+ size
        return GuestPhysicalAddress(start)
    }
}
