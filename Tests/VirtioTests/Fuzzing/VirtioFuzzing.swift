// A network card that does what a fuzzer wants: rings, buffers, lengths and status of its choice.

import SwiftletMachine
import SwiftletTestSupport

@testable import SwiftletVirtio

/// The driver of virtio-net against a device that breaks rules.
enum VirtioFuzzing: FuzzTarget {
    static let name = "virtio"
    static let seeds: [[UInt8]] = [
        [0xFF] + [4, 60, 1, 6, 0, 0, 5, 0, 0, 7, 0, 0],
        [0x01] + [4, 14, 2, 4, 80, 1, 6, 0, 0, 0, 3, 9, 6, 0, 0, 7, 0, 0],
        [0x03] + [
            1, 0, 7, 6, 0, 0, 2, 4, 0xFF, 6, 0, 0, 3, 1, 9, 4, 9, 1, 6, 0, 0, 8, 64, 0, 7, 0, 0,
        ],
    ]

    private static let features: [VirtioFeatures] = [
        .eventIndex, .networkAddress, .networkMergeableBuffers, .networkGuestChecksum,
        .networkChecksum, .networkMTU, .networkHostSegmentation, .networkGuestSegmentation,
    ]

    /// The first octet chooses features; then each three are an action and two numbers.
    static func run(_ octets: RawSpan) { run(octets, packedRing: false) }

    fileprivate static func run(_ octets: RawSpan, packedRing: Bool) {
        let octets = octets.withUnsafeBytes { Array($0) }
        guard let choice = octets.first else { return }
        var offered: VirtioFeatures = packedRing ? .packedRing : []
        for (bit, feature) in features.enumerated() where choice >> UInt8(bit) & 1 == 1 {
            offered.formUnion(feature)
        }
        let device = FakeDevice.network(offered, maximumQueueSize: 8)
        guard let transport = try? FakeMMIO(device).transport(),
            var card = try? VirtioNetwork(
                transport: transport,
                parameters: VirtioNetworkParameters(receiveBuffers: 4, transmitBuffers: 4))
        else { return }
        let buffers = Set(
            (0..<device.queues[0].size).map { device.queues[0].entry($0).address })
        var offset = 1
        while offset + 3 <= octets.count, card.check() == nil {
            act(
                octets[offset], octets[offset + 1], octets[offset + 2], device, buffers, &card)
            offset += 3
        }
        let outstanding = card.receiver.queue.outstandingCount
        precondition(outstanding <= card.receiver.queue.size || card.check() != nil)
        // The driver resets the device when it goes.
        device.status = 0
    }

    private static func act(
        _ action: UInt8, _ first: UInt8, _ second: UInt8, _ device: FakeDevice,
        _ buffers: Set<UInt64>, _ card: inout VirtioNetwork
    ) {
        let index = Int(action >> 4 & 1)
        guard device.queues[index].isReady else { return }
        let word = UInt16(first) << 8 | UInt16(second)
        let size = UInt64(device.queues[index].size)
        switch action & 15 {
        case 0:
            // A used entry of any descriptor and length.
            device.queues[index].put(UInt32(first), length: UInt32(second) << 4)
            device.queues[index].show()
        case 1: device.queues[index].store16(word, device.queues[index].used + 2)
        case 2:
            let place = UInt64(first) % (device.queues[index].deviceArea / 2) * 2
            device.queues[index].store16(UInt16(second), device.queues[index].used + place)
        case 3:
            // Descriptors belong to the driver, but the device can write them; a packed ring is its
            // own as well.
            let place = UInt64(first) % (8 * size) * 2
            device.queues[index].store16(UInt16(second), device.queues[index].descriptors + place)
        case 4: deliver(Int(first), second, device, buffers)
        case 5: _ = device.takeSentLengths()
        case 6:
            _ = card.receive(budget: Int(first & 15)) { frame, _, transmitter in
                precondition(frame.byteCount > 0 && frame.byteCount <= 65536 + 18)
                var sum: UInt8 = 0
                for index in 0..<frame.byteCount {
                    sum &+= frame.unsafeLoad(fromByteOffset: index, as: UInt8.self)
                }
                _ = transmitter.transmit(
                    length: frame.byteCount, checksumStart: 34, checksumOffset: 16,
                    needsChecksum: true, segmentSize: frame.byteCount > 1514 ? 1460 : 0
                ) { $0.storeBytes(of: sum, toByteOffset: 0, as: UInt8.self) }
            }
        case 7:
            card.flush()
            _ = card.armInterrupt()
            _ = card.disarmInterrupt()
        case 8: device.status = first
        default: device.generation = second
        }
    }

    /// A frame in the next buffer, `flags` in its header; more than one buffer if bit 7 is set.
    private static func deliver(
        _ length: Int, _ flags: UInt8, _ device: FakeDevice, _ buffers: Set<UInt64>
    ) {
        guard let id = device.queues[0].take(), id < device.queues[0].size else { return }
        let descriptor = device.queues[0].descriptor(id)
        // This side must not follow an address that it has overwritten itself.
        guard descriptor.length == 2048, buffers.contains(descriptor.address) else { return }
        var bytes = FakeDevice.header(flags: flags & 3)
        if flags & 0x80 != 0 { bytes[10] = flags >> 2 & 7 }
        if flags & 0x40 != 0 { bytes[1] = flags >> 2 & 15 }
        bytes += [UInt8](repeating: flags, count: length * 8)
        descriptor.bytes.copyBytes(from: bytes.prefix(2048))
        device.queues[0].put(UInt32(id), length: UInt32(min(bytes.count, 2048)))
        device.queues[0].show()
    }
}

/// The same with packed queues.
enum PackedVirtioFuzzing: FuzzTarget {
    static let name = "virtio-packed"
    static var seeds: [[UInt8]] { VirtioFuzzing.seeds }

    static func run(_ octets: RawSpan) { VirtioFuzzing.run(octets, packedRing: true) }
}

extension FakeDevice {
    /// Takes every sent frame without a look at it: its address may be noise by now.
    fileprivate func takeSentLengths() -> Int {
        var count = 0
        // No more than the ring holds, whatever its index says.
        while count < Int(queues[1].size), let id = queues[1].take() {
            queues[1].put(UInt32(id), length: 0)
            count += 1
        }
        queues[1].show()
        return count
    }
}
