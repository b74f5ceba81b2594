// Virtio over memory-mapped registers, version 2 (§4.2): microvm, Firecracker, the built-in monitor.

import SwiftletMachine

/// A virtio device whose registers lie at a known address.
public struct VirtioMMIO {
    /// Register offsets (§4.2.2, table 4.1).
    private enum Register {
        static var magic: UInt { 0x00 }
        static var version: UInt { 0x04 }
        static var deviceID: UInt { 0x08 }
        static var deviceFeatures: UInt { 0x10 }
        static var deviceFeaturesSelect: UInt { 0x14 }
        static var driverFeatures: UInt { 0x20 }
        static var driverFeaturesSelect: UInt { 0x24 }
        static var queueSelect: UInt { 0x30 }
        static var queueSizeMaximum: UInt { 0x34 }
        static var queueSize: UInt { 0x38 }
        static var queueReady: UInt { 0x44 }
        static var queueNotify: UInt { 0x50 }
        static var interruptStatus: UInt { 0x60 }
        static var interruptAcknowledge: UInt { 0x64 }
        static var status: UInt { 0x70 }
        static var queueDescriptors: UInt { 0x80 }
        static var queueDriver: UInt { 0x90 }
        static var queueDevice: UInt { 0xA0 }
        static var configurationGeneration: UInt { 0xFC }
        static var configuration: UInt { 0x100 }
    }

    let registers: RegisterWindow
    let deviceType: UInt32
    let configurationSize: UInt

    /// - Parameters:
    ///   - registers: where the device's registers lie.
    ///   - size: octets of the register window.
    /// - Throws: `.absent` if no virtio device is there or an empty slot (device 0),
    ///   `.unsupported` for the legacy interface.
    public init(registers: RegisterWindow, size: UInt64) throws(VirtioError) {
        guard size > UInt64(Register.configuration) else {
            throw VirtioError(.absent, "window too small for virtio-mmio")
        }
        guard registers.load32(Register.magic) == 0x7472_6976 else {
            throw VirtioError(.absent, "no virtio-mmio magic value")
        }
        let deviceType = registers.load32(Register.deviceID)
        guard deviceType != 0 else {
            throw VirtioError(.absent, "empty virtio-mmio slot")
        }
        guard registers.load32(Register.version) == 2 else {
            throw VirtioError(.unsupported, "virtio-mmio is not version 2 (legacy)")
        }
        self.registers = registers
        self.deviceType = deviceType
        configurationSize = UInt(min(size, 0x1_0000)) &- Register.configuration
    }

    var configuration: RegisterWindow { registers.window(at: Register.configuration) }

    var configurationGeneration: UInt32 { registers.load32(Register.configurationGeneration) }

    var status: VirtioStatus {
        VirtioStatus(rawValue: UInt8(truncatingIfNeeded: registers.load32(Register.status)))
    }

    func setStatus(_ status: VirtioStatus) {
        registers.store32(UInt32(status.rawValue), at: Register.status)
    }

    func offeredFeatures() -> VirtioFeatures {
        registers.store32(0, at: Register.deviceFeaturesSelect)
        let low = registers.load32(Register.deviceFeatures)
        registers.store32(1, at: Register.deviceFeaturesSelect)
        let high = registers.load32(Register.deviceFeatures)
        return VirtioFeatures(rawValue: UInt64(high) << 32 | UInt64(low))
    }

    func acceptFeatures(_ features: VirtioFeatures) {
        registers.store32(0, at: Register.driverFeaturesSelect)
        registers.store32(
            UInt32(truncatingIfNeeded: features.rawValue), at: Register.driverFeatures)
        registers.store32(1, at: Register.driverFeaturesSelect)
        registers.store32(
            UInt32(truncatingIfNeeded: features.rawValue >> 32), at: Register.driverFeatures)
    }

    func maximumQueueSize(_ queue: UInt16) -> UInt32 {
        registers.store32(UInt32(queue), at: Register.queueSelect)
        return registers.load32(Register.queueSizeMaximum)
    }

    /// The steps of §4.2.3.2.
    func enableQueue(
        _ queue: UInt16, size: UInt16, at addresses: QueueAddresses
    ) -> QueueNotifier {
        registers.store32(UInt32(queue), at: Register.queueSelect)
        registers.store32(UInt32(size), at: Register.queueSize)
        store(addresses.descriptors, at: Register.queueDescriptors)
        store(addresses.available, at: Register.queueDriver)
        store(addresses.used, at: Register.queueDevice)
        registers.store32(1, at: Register.queueReady)
        return QueueNotifier(
            register: registers.window(at: Register.queueNotify), queue: queue, isWide: true)
    }

    /// The interrupt is a level until every cause is acknowledged (§4.2.3.4).
    func acknowledgeInterrupt() -> InterruptCause {
        #if hasFeature(Embedded)
            // It has no interrupts, and a device of its that fails ends the machine.
            if BuiltInMonitor.isPresent { return [] }
        #endif
        let cause = registers.load32(Register.interruptStatus) & 3
        if cause != 0 {
            registers.store32(cause, at: Register.interruptAcknowledge)
        }
        return InterruptCause(rawValue: UInt8(truncatingIfNeeded: cause))
    }

    private func store(_ address: GuestPhysicalAddress, at offset: UInt) {
        registers.store32(UInt32(truncatingIfNeeded: address.rawValue), at: offset)
        registers.store32(UInt32(truncatingIfNeeded: address.rawValue >> 32), at: offset &+ 4)
    }
}
