// Virtio over PCI, the modern interface (§4.1): pc, q35, clouds.

import SwiftletMachine

/// A virtio device that is a PCI function.
public struct VirtioPCI {
    /// struct virtio_pci_common_cfg (§4.1.4.3), offsets.
    private enum Common {
        static var deviceFeatureSelect: UInt { 0 }
        static var deviceFeature: UInt { 4 }
        static var driverFeatureSelect: UInt { 8 }
        static var driverFeature: UInt { 12 }
        static var configurationVector: UInt { 16 }
        static var queueCount: UInt { 18 }
        static var deviceStatus: UInt { 20 }
        static var configurationGeneration: UInt { 21 }
        static var queueSelect: UInt { 22 }
        static var queueSize: UInt { 24 }
        static var queueVector: UInt { 26 }
        static var queueEnable: UInt { 28 }
        static var queueNotifyOffset: UInt { 30 }
        static var queueDescriptors: UInt { 32 }
        static var queueDriver: UInt { 40 }
        static var queueDevice: UInt { 48 }
        static var size: UInt64 { 56 }
    }

    /// What a vendor capability describes (§4.1.4, cfg_type).
    private enum Structure {
        static var common: UInt8 { 1 }
        static var notify: UInt8 { 2 }
        static var device: UInt8 { 4 }
    }

    /// VIRTIO_MSI_NO_VECTOR
    private static var noVector: UInt16 { 0xFFFF }

    let deviceType: UInt32
    private let common: RegisterWindow
    private let notify: Place
    private let notifyRegisters: RegisterWindow
    private let notifyMultiplier: UInt32
    let configuration: RegisterWindow
    let configurationSize: UInt
    /// Whether the device sends the message that it was given; without, it must be polled.
    public let sendsMessages: Bool

    /// Takes a function that is a virtio device, and lets it access memory.
    ///
    /// - Parameters:
    ///   - message: what the device sends when a queue that asked for interrupts has news, or its
    ///     configuration changes. Nil: never.
    ///   - map: makes registers accessible.
    /// - Throws: `.absent` if the function is something else, `.unsupported` for a legacy device.
    public init(
        _ function: PCIFunction, message: InterruptMessage?, map: DeviceMapping
    ) throws(VirtioError) {
        // §4.1.2: 0x1040 and the type; transitional devices name the type in their subsystem.
        guard function.vendor == 0x1AF4, function.device >= 0x1000, function.device <= 0x107F
        else { throw VirtioError(.absent, "not a virtio device") }
        deviceType =
            function.device >= 0x1040
            ? UInt32(function.device &- 0x1040) : UInt32(function.subsystem)
        guard let common = Place(Structure.common, of: function, atLeast: Common.size),
            let notify = Place(Structure.notify, of: function, atLeast: 2)
        else { throw VirtioError(.unsupported, "virtio device has no modern interface") }
        self.notify = notify
        function.enable()
        self.common = map(common.address, Common.size)
        notifyRegisters = map(notify.address, notify.length)
        // struct virtio_pci_notify_cap: the multiplier follows the capability (§4.1.4.4).
        notifyMultiplier = function.access.load32(function.address, notify.capability &+ 16)
        if let device = Place(Structure.device, of: function, atLeast: 1) {
            configuration = map(device.address, device.length)
            configurationSize = UInt(device.length)
        } else {
            configuration = self.common
            configurationSize = 0
        }
        if let message, let table = MessageTable(of: function, map: map) {
            table.enable()
            table.setMessage(message, entry: 0)
            sendsMessages = true
        } else {
            sendsMessages = false
        }
    }

    var configurationGeneration: UInt32 { UInt32(common.load8(Common.configurationGeneration)) }

    var status: VirtioStatus { VirtioStatus(rawValue: common.load8(Common.deviceStatus)) }

    func setStatus(_ status: VirtioStatus) {
        common.store8(status.rawValue, at: Common.deviceStatus)
    }

    func offeredFeatures() -> VirtioFeatures {
        common.store32(0, at: Common.deviceFeatureSelect)
        let low = common.load32(Common.deviceFeature)
        common.store32(1, at: Common.deviceFeatureSelect)
        let high = common.load32(Common.deviceFeature)
        return VirtioFeatures(rawValue: UInt64(high) << 32 | UInt64(low))
    }

    func acceptFeatures(_ features: VirtioFeatures) {
        common.store32(0, at: Common.driverFeatureSelect)
        common.store32(UInt32(truncatingIfNeeded: features.rawValue), at: Common.driverFeature)
        common.store32(1, at: Common.driverFeatureSelect)
        common.store32(
            UInt32(truncatingIfNeeded: features.rawValue >> 32), at: Common.driverFeature)
        if sendsMessages {
            // A reset has unmapped it (§4.1.4.3). If it is refused, changes are found by polling.
            common.store16(0, at: Common.configurationVector)
        }
    }

    func maximumQueueSize(_ queue: UInt16) -> UInt32 {
        guard queue < common.load16(Common.queueCount) else { return 0 }
        common.store16(queue, at: Common.queueSelect)
        return UInt32(common.load16(Common.queueSize))
    }

    /// The steps of §4.1.5.1.3.
    func enableQueue(
        _ queue: UInt16, size: UInt16, at addresses: QueueAddresses
    ) throws(VirtioError) -> QueueNotifier {
        common.store16(queue, at: Common.queueSelect)
        // §4.1.4.4: the register of a queue, which must lie within the capability.
        let offset =
            UInt64(common.load16(Common.queueNotifyOffset)) &* UInt64(notifyMultiplier)
        guard offset <= notify.length &- 2 else {
            throw VirtioError(.misbehaved, "notification register outside of its window")
        }
        common.store16(size, at: Common.queueSize)
        store(addresses.descriptors, at: Common.queueDescriptors)
        store(addresses.available, at: Common.queueDriver)
        store(addresses.used, at: Common.queueDevice)
        let vector = sendsMessages ? 0 : Self.noVector
        common.store16(vector, at: Common.queueVector)
        guard common.load16(Common.queueVector) == vector else {
            throw VirtioError(.refused, "device has no interrupt for a queue")
        }
        common.store16(1, at: Common.queueEnable)
        return QueueNotifier(
            register: notifyRegisters.window(at: UInt(offset)), queue: queue, isWide: false)
    }

    private func store(_ address: GuestPhysicalAddress, at offset: UInt) {
        common.store32(UInt32(truncatingIfNeeded: address.rawValue), at: offset)
        common.store32(UInt32(truncatingIfNeeded: address.rawValue >> 32), at: offset &+ 4)
    }
}

extension VirtioPCI {
    /// Where a structure lies in memory, as struct virtio_pci_cap says (§4.1.4).
    private struct Place {
        let capability: UInt8
        let address: GuestPhysicalAddress
        let length: UInt64

        /// The first usable structure of a kind; those in I/O ranges are none here.
        init?(_ kind: UInt8, of function: PCIFunction, atLeast minimum: UInt64) {
            var found: Place?
            function.forEachCapability(0x09) { offset in
                if found == nil { found = Place(kind, of: function, capability: offset, minimum) }
            }
            guard let found else { return nil }
            self = found
        }

        private init?(
            _ kind: UInt8, of function: PCIFunction, capability: UInt8, _ minimum: UInt64
        ) {
            let access = function.access
            // With the notify capability's multiplier 20 octets, which must fit the space.
            guard capability <= 0xEC, access.load8(function.address, capability &+ 3) == kind
            else { return nil }
            let bar = access.load8(function.address, capability &+ 4)
            let offset = UInt64(access.load32(function.address, capability &+ 8))
            let length = UInt64(access.load32(function.address, capability &+ 12))
            guard length >= minimum, let region = function.memoryRegion(bar),
                offset <= region.size, length <= region.size &- offset
            else { return nil }
            self.capability = capability
            address = region.address + offset
            // Nothing longer is of use; a device must not make us map half of the address space.
            self.length = min(length, 0x1_0000)
        }
    }
}
