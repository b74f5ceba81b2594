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

/// A way to the configuration registers.
public struct PCIConfigurationAccess {
    private enum Way {
        #if arch(x86_64)
            /// Mechanism 1: address to port 0xCF8, data at 0xCFC (PCI 3.0 §3.2.2.3.2).
            case ports
        #endif
        /// ECAM: 4 KiB for each function in memory (PCI Express Base 5.0 §7.2.2).
        case memory(RegisterWindow, firstBus: UInt8, lastBus: UInt8)
    }

    private let way: Way

    #if arch(x86_64)
        /// Every PC has these ports.
        public static var ports: PCIConfigurationAccess { PCIConfigurationAccess(way: .ports) }
    #endif

    /// The window that ACPI's MCFG table names, mapped by the caller for these buses.
    public static func memory(
        _ window: RegisterWindow, firstBus: UInt8, lastBus: UInt8
    ) -> PCIConfigurationAccess {
        PCIConfigurationAccess(way: .memory(window, firstBus: firstBus, lastBus: lastBus))
    }

    /// The aligned 32 bits at `offset` (below 256); all ones where nothing is.
    public func load32(_ address: PCIAddress, _ offset: UInt8) -> UInt32 {
        switch way {
        #if arch(x86_64)
            case .ports:
                select(address, offset)
                return swiftlet_in32(0xCFC)
        #endif
        case .memory(let window, let firstBus, let lastBus):
            guard address.bus >= firstBus, address.bus <= lastBus else { return .max }
            return window.load32(Self.offset(address, offset & 0xFC, firstBus: firstBus))
        }
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
        switch way {
        #if arch(x86_64)
            case .ports:
                select(address, offset)
                swiftlet_out32(0xCFC, value)
        #endif
        case .memory(let window, let firstBus, let lastBus):
            guard address.bus >= firstBus, address.bus <= lastBus else { return }
            window.store32(value, at: Self.offset(address, offset & 0xFC, firstBus: firstBus))
        }
    }

    /// Sets the aligned 16 bits at `offset`, and only them: neighbours may have write-1-to-clear bits.
    public func store16(_ value: UInt16, _ address: PCIAddress, _ offset: UInt8) {
        switch way {
        #if arch(x86_64)
            case .ports:
                select(address, offset)
                swiftlet_out16(0xCFC + UInt16(offset & 2), value)
        #endif
        case .memory(let window, let firstBus, let lastBus):
            guard address.bus >= firstBus, address.bus <= lastBus else { return }
            window.store16(value, at: Self.offset(address, offset & 0xFE, firstBus: firstBus))
        }
    }

    private static func offset(_ address: PCIAddress, _ offset: UInt8, firstBus: UInt8) -> UInt {
        UInt(address.number &- UInt32(firstBus) << 8) << 12 | UInt(offset)
    }

    #if arch(x86_64)
        private func select(_ address: PCIAddress, _ offset: UInt8) {
            swiftlet_out32(0xCF8, 1 << 31 | address.number << 8 | UInt32(offset & 0xFC))
        }
    #endif
}
