// The register file of virtio-mmio version 2 (virtio 1.2 §4.2.2) around a fake device.

import SwiftletMachine

@testable import SwiftletVirtio

final class FakeMMIO: RegisterModel {
    let device: FakeDevice
    var magic: UInt32 = 0x7472_6976
    var version: UInt32 = 2
    var deviceID: UInt32
    /// Accesses that the specification forbids: other than 32 bits wide, or read-only and so on.
    var violations = 0
    private var deviceFeaturesSelect: UInt32 = 0
    private var driverFeaturesSelect: UInt32 = 0
    private var queueSelect = 0

    init(_ device: FakeDevice) {
        self.device = device
        deviceID = device.type.rawValue
    }

    func transport() throws(VirtioError) -> VirtioTransport {
        .mmio(try VirtioMMIO(registers: RegisterWindow(model: self), size: 512))
    }

    func load(at offset: UInt, width: Int) -> UInt64 {
        if offset >= 0x100 { return device.configurationValue(offset - 0x100, width) }
        if width != 4 { violations += 1 }
        switch offset {
        case 0x00: return UInt64(magic)
        case 0x04: return UInt64(version)
        case 0x08: return UInt64(deviceID)
        case 0x10: return UInt64(device.featureWord(deviceFeaturesSelect))
        case 0x34: return queueSelect < device.queues.count ? UInt64(device.maximumQueueSize) : 0
        case 0x44:
            return queueSelect < device.queues.count && device.queues[queueSelect].isReady ? 1 : 0
        case 0x60: return UInt64(device.interruptStatus)
        case 0x70: return UInt64(device.status)
        case 0xFC: return UInt64(device.generation)
        default:
            violations += 1
            return 0
        }
    }

    func store(_ value: UInt64, at offset: UInt, width: Int) {
        if width != 4 { violations += 1 }
        let word = UInt32(truncatingIfNeeded: value)
        switch offset {
        case 0x14: deviceFeaturesSelect = word
        case 0x20: device.acceptWord(word, driverFeaturesSelect)
        case 0x24: driverFeaturesSelect = word
        case 0x30: queueSelect = Int(word)
        case 0x50: device.notify(Int(word))
        case 0x64: device.interruptStatus &= ~word
        case 0x70: device.writeStatus(UInt8(truncatingIfNeeded: word))
        default:
            guard queueSelect < device.queues.count else {
                violations += 1
                return
            }
            storeQueue(word, offset)
        }
    }

    private func storeQueue(_ word: UInt32, _ offset: UInt) {
        func set(_ field: inout UInt64, high: Bool) {
            let kept = high ? field & 0xFFFF_FFFF : field & ~0xFFFF_FFFF
            field = kept | UInt64(word) << (high ? 32 : 0)
        }
        switch offset {
        case 0x38: device.queues[queueSelect].size = UInt16(truncatingIfNeeded: word)
        case 0x44: device.queues[queueSelect].isReady = word == 1
        case 0x80, 0x84: set(&device.queues[queueSelect].descriptors, high: offset == 0x84)
        case 0x90, 0x94: set(&device.queues[queueSelect].available, high: offset == 0x94)
        case 0xA0, 0xA4: set(&device.queues[queueSelect].used, high: offset == 0xA4)
        default: violations += 1
        }
    }
}
