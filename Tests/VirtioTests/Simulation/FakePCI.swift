// A PCI bus with functions that tests describe, and virtio's structures in a BAR.

@testable import SwiftletMachine
@testable import SwiftletVirtio

/// Configuration space of one function: what is stored, and which bits a store may change.
final class FakeFunction {
    var registers = [UInt8](repeating: 0, count: 256)
    /// Sizes by base address register: memory registers keep only the bits above the size.
    var regionSizes: [Int: UInt64] = [:]
    /// Stores to the command register, in their order.
    var commands: [UInt16] = []

    init(vendor: UInt16, device: UInt16, classCode: UInt16 = 0x0200, headerType: UInt8 = 0) {
        set16(vendor, 0)
        set16(device, 2)
        set16(classCode, 10)
        registers[14] = headerType
    }

    func get32(_ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(registers[offset + $1]) << UInt32(8 * $1) }
    }

    func set16(_ value: UInt16, _ offset: Int) {
        registers[offset] = UInt8(value & 255)
        registers[offset + 1] = UInt8(value >> 8)
    }

    func set32(_ value: UInt32, _ offset: Int) {
        set16(UInt16(truncatingIfNeeded: value), offset)
        set16(UInt16(truncatingIfNeeded: value >> 16), offset + 2)
    }

    /// A 64-bit memory region in base address registers `index` and the next.
    func addWideRegion(_ index: Int, at address: UInt64, size: UInt64) {
        regionSizes[index] = size
        set32(UInt32(truncatingIfNeeded: address) | 4, 0x10 + 4 * index)
        set32(UInt32(truncatingIfNeeded: address >> 32), 0x14 + 4 * index)
    }

    /// A capability at `offset`, put in front of the list.
    func addCapability(_ kind: UInt8, at offset: Int, _ body: [UInt8]) {
        set16(1 << 4, 6)
        registers[offset] = kind
        registers[offset + 1] = registers[0x34]
        registers.replaceSubrange(offset + 2..<offset + 2 + body.count, with: body)
        registers[0x34] = UInt8(offset)
    }

    /// struct virtio_pci_cap, with the notify multiplier behind it.
    func addVirtioCapability(
        _ kind: UInt8, at place: Int, bar: UInt8, offset: UInt32, length: UInt32,
        multiplier: UInt32 = 4
    ) {
        func bytes(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * $0) & 255) } }
        addCapability(
            9, at: place,
            [20, kind, bar, 0, 0, 0] + bytes(offset) + bytes(length) + bytes(multiplier))
    }

    func store(_ value: UInt32, _ offset: Int, _ width: Int) {
        if offset == 4 { commands.append(UInt16(truncatingIfNeeded: value)) }
        guard width == 4, offset >= 0x10, offset < 0x28 else {
            return width == 2
                ? set16(UInt16(truncatingIfNeeded: value), offset) : set32(value, offset)
        }
        let index = (offset - 0x10) / 4
        if let size = regionSizes[index] {
            let mask = UInt32(truncatingIfNeeded: ~(size - 1)) & ~0xF
            set32(value & mask | get32(offset) & 0xF, offset)
        } else if index > 0, let size = regionSizes[index - 1] {
            set32(value & UInt32(truncatingIfNeeded: ~(size - 1) >> 32), offset)
        }
    }
}

/// The bus: bus, device and function numbers to functions.
final class FakeBus: RegisterModel {
    var functions: [UInt32: FakeFunction] = [:]

    func add(_ function: FakeFunction, bus: UInt8 = 0, device: UInt8, function number: UInt8 = 0) {
        functions[PCIAddress(bus: bus, device: device, function: number).number] = function
    }

    var access: PCIConfigurationAccess {
        PCIConfigurationAccess(RegisterWindow(model: self))
    }

    func load(at offset: UInt, width: Int) -> UInt64 {
        guard let function = functions[UInt32(offset >> 12)] else { return .max }
        let register = Int(offset & 0xFFF)
        return register < 256 ? UInt64(function.get32(register)) : 0
    }

    func store(_ value: UInt64, at offset: UInt, width: Int) {
        functions[UInt32(offset >> 12)]?.store(
            UInt32(truncatingIfNeeded: value), Int(offset & 0xFFF), width)
    }
}

/// What lies in the virtio function's region: common structure at 0, notifications at 0x1000, device
/// configuration at 0x2000, message table at 0x3000.
final class FakePCIRegion: RegisterModel {
    let device: FakeDevice
    let start: UInt64
    var messageTable = [UInt32](repeating: 0, count: 8)
    var refusesVectors = false
    var notifyOffsets: [UInt16]
    var configurationVector: UInt16 = 0xFFFF
    var violations = 0
    private var featureSelect: UInt32 = 0
    private var driverFeatureSelect: UInt32 = 0
    private var queueSelect = 0
    private var vectors: [UInt16]

    init(_ device: FakeDevice, start: UInt64) {
        self.device = device
        self.start = start
        notifyOffsets = device.queues.indices.map { UInt16($0) }
        vectors = device.queues.map { _ in 0xFFFF }
    }

    func load(at offset: UInt, width: Int) -> UInt64 {
        switch offset {
        case 4: return UInt64(device.featureWord(featureSelect))
        case 18: return UInt64(device.queues.count)
        case 20: return UInt64(device.status)
        case 21: return UInt64(device.generation)
        case 24: return UInt64(device.maximumQueueSize)
        case 26: return UInt64(vectors[queueSelect])
        case 30: return UInt64(notifyOffsets[queueSelect])
        case 0x2000..<0x3000: return device.configurationValue(offset - 0x2000, width)
        default:
            violations += 1
            return 0
        }
    }

    func store(_ value: UInt64, at offset: UInt, width: Int) {
        let word = UInt32(truncatingIfNeeded: value)
        let half = UInt16(truncatingIfNeeded: value)
        func set(_ field: inout UInt64, high: Bool) {
            let kept = high ? field & 0xFFFF_FFFF : field & ~0xFFFF_FFFF
            field = kept | UInt64(word) << (high ? 32 : 0)
        }
        switch offset {
        case 0: featureSelect = word
        case 8: driverFeatureSelect = word
        case 12: device.acceptWord(word, driverFeatureSelect)
        case 16: configurationVector = half
        case 20: device.writeStatus(UInt8(truncatingIfNeeded: word))
        case 22: queueSelect = Int(half)
        case 24: device.queues[queueSelect].size = half
        case 26: vectors[queueSelect] = refusesVectors ? 0xFFFF : half
        case 28: device.queues[queueSelect].isReady = half == 1
        case 32, 36: set(&device.queues[queueSelect].descriptors, high: offset == 36)
        case 40, 44: set(&device.queues[queueSelect].available, high: offset == 44)
        case 48, 52: set(&device.queues[queueSelect].used, high: offset == 52)
        case 0x1000..<0x2000:
            if width != 2 || Int(offset - 0x1000) != 4 * Int(half) { violations += 1 }
            device.notify(Int(half))
        case 0x3000..<0x3020: messageTable[Int(offset - 0x3000) / 4] = word
        default: violations += 1
        }
    }

    /// What a driver's mapping gives: a window into this region.
    func map(_ address: GuestPhysicalAddress, _ size: UInt64) -> RegisterWindow {
        RegisterWindow(model: self).window(at: UInt(address.rawValue &- start))
    }
}
