// The registers of a virtio-mmio device, version 2 (virtio 1.2 §4.2.2): what a driver reads and
// writes while it sets the device up. Afterwards nothing goes through them.

/// A device's registers and queues; a plain value.
struct VirtioRegisters: Equatable {
    /// Feature bits of every device here (§6).
    enum Feature {
        static let eventIndex: UInt64 = 1 << 29
        static let version1: UInt64 = 1 << 32
    }

    /// The status field (§2.1).
    enum Status {
        static let driverOK: UInt8 = 4
        static let featuresOK: UInt8 = 8
        static let needsReset: UInt8 = 64
    }

    private enum Register {
        static let deviceFeatures: UInt64 = 0x10
        static let deviceFeaturesSelect: UInt64 = 0x14
        static let driverFeatures: UInt64 = 0x20
        static let driverFeaturesSelect: UInt64 = 0x24
        static let queueSelect: UInt64 = 0x30
        static let queueSizeMaximum: UInt64 = 0x34
        static let queueSize: UInt64 = 0x38
        static let queueReady: UInt64 = 0x44
        static let status: UInt64 = 0x70
        static let queueDescriptors: UInt64 = 0x80
        static let queueDriver: UInt64 = 0x90
        static let queueDevice: UInt64 = 0xA0
        static let configuration: UInt64 = 0x100
    }

    /// Size of the register window in octets, as the command line gives it.
    static let windowSize: UInt64 = 0x200
    private static let magic: UInt64 = 0x7472_6976
    /// "SWFT": no vendor's number, and nobody asks.
    private static let vendor: UInt64 = 0x5446_5753

    let deviceType: UInt32
    let offeredFeatures: UInt64
    let configuration: [UInt8]
    var queues: [DeviceQueue]
    private(set) var status: UInt8 = 0
    private(set) var features: UInt64 = 0
    private var deviceFeaturesSelect: UInt64 = 0
    private var driverFeaturesSelect: UInt64 = 0
    private var queueSelect: UInt64 = 0

    init(deviceType: UInt32, features: UInt64, configuration: [UInt8], queueSizes: [UInt16]) {
        self.deviceType = deviceType
        offeredFeatures = features | Feature.version1 | Feature.eventIndex
        self.configuration = configuration
        queues = queueSizes.map(DeviceQueue.init)
    }

    /// Whether the driver has finished, and has broken no rule.
    var isRunning: Bool {
        status & (Status.driverOK | Status.needsReset) == Status.driverOK
    }

    /// The driver broke a rule: the device stops until it is reset (§2.1.2).
    mutating func fail() {
        status |= Status.needsReset
        for index in queues.indices { queues[index].disable() }
    }

    /// What a load of `size` octets gives; 0 where nothing is.
    func load(_ offset: UInt64, size: Int) -> UInt64 {
        if offset >= Register.configuration {
            var value: UInt64 = 0
            for octet in 0..<min(size, 8) {
                let place = offset - Register.configuration + UInt64(octet)
                guard place < UInt64(configuration.count) else { break }
                value |= UInt64(configuration[Int(place)]) << UInt64(8 * octet)
            }
            return value
        }
        guard size == 4, offset % 4 == 0 else { return 0 }
        switch offset {
        case 0x00: return Self.magic
        case 0x04: return 2
        case 0x08: return UInt64(deviceType)
        case 0x0C: return Self.vendor
        case Register.deviceFeatures:
            return deviceFeaturesSelect > 1
                ? 0 : offeredFeatures >> (32 * deviceFeaturesSelect) & 0xFFFF_FFFF
        case Register.queueSizeMaximum:
            return queueSelect < UInt64(queues.count)
                ? UInt64(queues[Int(queueSelect)].maximumSize) : 0
        case Register.queueReady:
            return queueSelect < UInt64(queues.count) && queues[Int(queueSelect)].isReady ? 1 : 0
        case Register.status: return UInt64(status)
        default: return 0
        }
    }

    /// Writes what never changes into a zeroed page that is read instead of `load` being called.
    func showConstants(at page: UnsafeMutableRawPointer) {
        for offset in [0, 4, 8, 12] as [UInt64] {
            page.storeBytes(
                of: UInt32(truncatingIfNeeded: load(offset, size: 4)), toByteOffset: Int(offset),
                as: UInt32.self)
        }
        (page + Int(Register.configuration)).copyMemory(
            from: configuration, byteCount: configuration.count)
    }

    /// Writes what a store, or a broken rule, may have changed.
    func show(at page: UnsafeMutableRawPointer) {
        for offset in [
            Register.deviceFeatures, Register.queueSizeMaximum, Register.queueReady,
            Register.status,
        ] {
            page.storeBytes(
                of: UInt32(truncatingIfNeeded: load(offset, size: 4)), toByteOffset: Int(offset),
                as: UInt32.self)
        }
    }

    /// Takes a store; one that makes no sense does nothing.
    mutating func store(_ value: UInt64, at offset: UInt64, size: Int, _ memory: GuestMemory) {
        guard size == 4, offset % 4 == 0 else { return }
        switch offset {
        case Register.deviceFeaturesSelect: deviceFeaturesSelect = value
        case Register.driverFeaturesSelect: driverFeaturesSelect = value
        case Register.driverFeatures:
            guard driverFeaturesSelect <= 1, status & Status.featuresOK == 0 else { return }
            let shift = 32 * driverFeaturesSelect
            features = features & ~(0xFFFF_FFFF << shift) | value << shift
        case Register.queueSelect: queueSelect = value
        case Register.status: setStatus(UInt8(truncatingIfNeeded: value))
        default: storeQueue(value, at: offset, memory)
        }
    }

    private mutating func setStatus(_ value: UInt8) {
        guard value != 0 else {
            // A reset: as new (§4.2.2.1).
            self = VirtioRegisters(
                deviceType: deviceType, features: offeredFeatures, configuration: configuration,
                queueSizes: queues.map(\.maximumSize))
            return
        }
        var accepted = value & ~Status.needsReset | status & Status.needsReset
        if accepted & Status.featuresOK != 0,
            features & ~offeredFeatures != 0 || features & Feature.version1 == 0
        {
            accepted &= ~Status.featuresOK
        }
        // Not before the features are agreed on (§3.1.1).
        if accepted & Status.featuresOK == 0 { accepted &= ~Status.driverOK }
        status = accepted
    }

    private mutating func storeQueue(_ value: UInt64, at offset: UInt64, _ memory: GuestMemory) {
        guard queueSelect < UInt64(queues.count), status & Status.featuresOK != 0 else { return }
        let index = Int(queueSelect)
        if offset == Register.queueReady {
            if value & 1 == 0 {
                queues[index].disable()
            } else if !queues[index].isReady,
                !queues[index].enable(
                    memory, usesEventIndex: features & Feature.eventIndex != 0)
            {
                fail()
            }
            return
        }
        guard !queues[index].isReady else { return }
        func half(_ address: inout UInt64, isHigh: Bool) {
            let value = value & 0xFFFF_FFFF
            address =
                isHigh
                ? address & 0xFFFF_FFFF | value << 32 : address & ~0xFFFF_FFFF | value
        }
        switch offset {
        case Register.queueSize:
            queues[index].size = UInt16(truncatingIfNeeded: min(value, 0xFFFF))
        case Register.queueDescriptors, Register.queueDescriptors + 4:
            half(&queues[index].descriptors, isHigh: offset & 4 != 0)
        case Register.queueDriver, Register.queueDriver + 4:
            half(&queues[index].available, isHigh: offset & 4 != 0)
        case Register.queueDevice, Register.queueDevice + 4:
            half(&queues[index].used, isHigh: offset & 4 != 0)
        default: break
        }
    }
}
