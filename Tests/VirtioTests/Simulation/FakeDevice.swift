// A virtio device without a transport: status, features, queues, and a network card's behaviour.

import SwiftletMachine

@testable import SwiftletVirtio

final class FakeDevice {
    /// Whether devices offer packed rings besides what they are told to.
    @TaskLocal static var offersPackedRings = false

    let type: VirtioDeviceType
    var offered: VirtioFeatures
    var accepted: VirtioFeatures = []
    var configuration: [UInt8]
    var maximumQueueSize: UInt32
    var queues: [DeviceQueue]
    var status: UInt8 = 0
    var statusHistory: [UInt8] = []
    var generation: UInt8 = 0
    var interruptStatus: UInt32 = 0
    /// Notifications by queue.
    var notifications: [Int]
    /// Called at every notification.
    var onNotify: ((Int) -> Void)?

    // Ways to misbehave at start.
    var refusesFeatures = false
    var neverFinishesReset = false

    init(
        _ type: VirtioDeviceType, features: VirtioFeatures = [], configuration: [UInt8] = [],
        queues count: Int, maximumQueueSize: UInt32 = 256
    ) {
        self.type = type
        offered = features.union(.version1)
        if Self.offersPackedRings { offered.formUnion(.packedRing) }
        self.configuration = configuration
        self.maximumQueueSize = maximumQueueSize
        queues = Array(repeating: DeviceQueue(), count: count)
        notifications = Array(repeating: 0, count: count)
    }

    var usesEventIndex: Bool { accepted.contains(.eventIndex) }

    func writeStatus(_ value: UInt8) {
        statusHistory.append(value)
        if value == 0 {
            if neverFinishesReset { return }
            queues = Array(repeating: DeviceQueue(), count: queues.count)
            accepted = []
            interruptStatus = 0
        }
        status = value
        let isSubset = offered.isSuperset(of: accepted)
        if value & 8 != 0 {
            for index in queues.indices { queues[index].isPacked = accepted.contains(.packedRing) }
        }
        if value & 8 != 0, refusesFeatures || !isSubset { status &= ~8 }
    }

    func featureWord(_ select: UInt32) -> UInt32 {
        select < 2 ? UInt32(truncatingIfNeeded: offered.rawValue >> (32 * UInt64(select))) : 0
    }

    func acceptWord(_ value: UInt32, _ select: UInt32) {
        guard select < 2 else { return }
        let shift = 32 * UInt64(select)
        let kept = accepted.rawValue & ~(0xFFFF_FFFF << shift)
        accepted = VirtioFeatures(rawValue: kept | UInt64(value) << shift)
    }

    func notify(_ queue: Int) {
        guard queue < notifications.count else { return }
        notifications[queue] += 1
        onNotify?(queue)
    }

    func configurationValue(_ offset: UInt, _ width: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<width where Int(offset) + index < configuration.count {
            value |= UInt64(configuration[Int(offset) + index]) << (8 * UInt64(index))
        }
        return value
    }

    // MARK: Network

    static func networkConfiguration(mtu: UInt16 = 1500, isUp: Bool = true) -> [UInt8] {
        [0x52, 0x54, 0, 0x12, 0x34, 0x56, isUp ? 1 : 0, 0, 1, 0, UInt8(mtu & 255), UInt8(mtu >> 8)]
    }

    static func network(
        _ features: VirtioFeatures = [.eventIndex, .networkAddress, .networkMergeableBuffers],
        mtu: UInt16 = 1500, maximumQueueSize: UInt32 = 256
    ) -> FakeDevice {
        FakeDevice(
            .network, features: features, configuration: networkConfiguration(mtu: mtu),
            queues: 2, maximumQueueSize: maximumQueueSize)
    }

    static func header(flags: UInt8 = 0, segmentation: UInt8 = 0, buffers: UInt16 = 1) -> [UInt8] {
        [flags, segmentation, 0, 0, 0, 0, 0, 0, 0, 0, UInt8(buffers & 255), UInt8(buffers >> 8)]
    }

    /// Puts `bytes` (header included) into the next receive buffer; false if there is none.
    @discardableResult
    func deliver(_ bytes: [UInt8], show: Bool = true) -> Bool {
        guard let id = queues[0].take() else { return false }
        queues[0].descriptor(id).bytes.copyBytes(from: bytes)
        queues[0].put(UInt32(id), length: UInt32(bytes.count))
        if show { queues[0].show() }
        return true
    }

    /// Takes every sent frame, header included.
    func takeSent() -> [[UInt8]] {
        var frames: [[UInt8]] = []
        while let id = queues[1].take() {
            frames.append(Array(queues[1].descriptor(id).bytes))
            queues[1].put(UInt32(id), length: 0)
        }
        queues[1].show()
        return frames
    }
}
