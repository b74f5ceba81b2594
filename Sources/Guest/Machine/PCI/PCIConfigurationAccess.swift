// PCI configuration space: 4 KiB (256 octets by ports) of registers for each function.

import CSwiftletMachine

/// Where a function is.
public struct PCIAddress: Equatable, Sendable {
    public var bus: UInt8
    /// 0…31
    public var device: UInt8
    /// 0…7
    public var function: UInt8

    public init(bus: UInt8, device: UInt8, function: UInt8) {
        self.bus = bus
        self.device = device & 31
        self.function = function & 7
    }

    /// Bus, device and function as they stand side by side in every addressing scheme.
    var number: UInt32 {
        UInt32(bus) << 8 | UInt32(device) << 3 | UInt32(function)
    }
}

/// The way to the configuration registers: mechanism 1, with the address at port 0xCF8 and data at
/// 0xCFC (PCI 3.0 §3.2.2.3.2). Every machine with PCI that we boot on has these ports.
///
/// On the host there is none; tests put registers of their own in its place, 4 KiB a function.
public struct PCIConfigurationAccess {
    #if hasFeature(Embedded)
        public init() {}
    #else
        private let window: RegisterWindow

        init(_ window: RegisterWindow) { self.window = window }
    #endif

    /// The aligned 32 bits at `offset` (below 256); all ones where nothing is.
    public func load32(_ address: PCIAddress, _ offset: UInt8) -> UInt32 {
        #if hasFeature(Embedded)
            select(address, offset)
            return swiftlet_in32(0xCFC)
        #else
            return window.load32(Self.place(address, offset & 0xFC))
        #endif
    }

    /// The aligned 16 bits at `offset`.
    public func load16(_ address: PCIAddress, _ offset: UInt8) -> UInt16 {
        UInt16(truncatingIfNeeded: load32(address, offset) >> (UInt32(offset & 2) &* 8))
    }

    /// The octet at `offset`.
    public func load8(_ address: PCIAddress, _ offset: UInt8) -> UInt8 {
        UInt8(truncatingIfNeeded: load32(address, offset) >> (UInt32(offset & 3) &* 8))
    }

    /// Sets the aligned 32 bits at `offset`.
    public func store32(_ value: UInt32, _ address: PCIAddress, _ offset: UInt8) {
        #if hasFeature(Embedded)
            select(address, offset)
            swiftlet_out32(0xCFC, value)
        #else
            window.store32(value, at: Self.place(address, offset & 0xFC))
        #endif
    }

    /// Sets the aligned 16 bits at `offset`, and only them: neighbours may have write-1-to-clear bits.
    public func store16(_ value: UInt16, _ address: PCIAddress, _ offset: UInt8) {
        #if hasFeature(Embedded)
            select(address, offset)
            swiftlet_out16(0xCFC + UInt16(offset & 2), value)
        #else
            window.store16(value, at: Self.place(address, offset & 0xFE))
        #endif
    }

    #if hasFeature(Embedded)
        private func select(_ address: PCIAddress, _ offset: UInt8) {
            swiftlet_out32(0xCF8, 1 << 31 | address.number << 8 | UInt32(offset & 0xFC))
        }
    #else
        private static func place(_ address: PCIAddress, _ offset: UInt8) -> UInt {
            UInt(address.number) << 12 | UInt(offset)
        }
    #endif
}
