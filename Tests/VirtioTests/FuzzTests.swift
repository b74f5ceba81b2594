// A device that writes anything anywhere it may, from a seed: nothing traps, nothing is read or
// written outside of a buffer (the driver's own memory beside the rings is the witness).

import SwiftletMachine
import SwiftletTestSupport
import Testing

@testable import SwiftletVirtio

@Suite struct FuzzTests {
    private static var allFeatures: VirtioFeatures {
        [
            .eventIndex, .networkAddress, .networkMergeableBuffers, .networkGuestChecksum,
            .networkChecksum, .networkMTU, .networkStatus, .networkGuestSegmentation,
            .networkHostSegmentation, .packedRing,
        ]
    }

    /// One thing that a device may do, mostly plausible, often not.
    private func act(_ device: FakeDevice, _ random: inout SeededRandom, hostility: UInt64) {
        let index = Int(random.below(2))
        guard device.queues[index].isReady else { return }
        let isHostile = random.below(hostility) == 0
        switch random.below(4) {
        case 0 where isHostile:
            // A used entry of noise.
            let id =
                random.below(3) == 0
                ? UInt32(random.below(80)) : UInt32(truncatingIfNeeded: random.next())
            device.queues[index].put(id, length: UInt32(truncatingIfNeeded: random.next()))
            device.queues[index].show()
        case 1 where isHostile:
            device.queues[index].store16(
                UInt16(truncatingIfNeeded: random.next()), device.queues[index].used + 2)
        case 2 where isHostile:
            // Noise in the whole used ring, events and flags included.
            let size = device.queues[index].deviceArea
            for _ in 0..<16 {
                let offset = random.below(size / 2) * 2
                device.queues[index].store16(
                    UInt16(truncatingIfNeeded: random.next()), device.queues[index].used + offset)
            }
        case 3 where isHostile:
            // Descriptors and the available ring belong to the driver, but the device can write; a
            // packed ring is its own as well.
            let size = 16 * UInt64(device.queues[index].size)
            device.queues[index].store16(
                UInt16(truncatingIfNeeded: random.next()),
                device.queues[index].descriptors + random.below(size / 2) * 2)
        default:
            if index == 0 { deliver(device, &random, hostility) } else { complete(device) }
        }
    }

    private func deliver(
        _ device: FakeDevice, _ random: inout SeededRandom, _ hostility: UInt64
    ) {
        guard let id = device.queues[0].take(), id < device.queues[0].size else { return }
        let descriptor = device.queues[0].descriptor(id)
        // The test itself must not follow an address that the test has overwritten.
        guard descriptor.length == 2048, buffers.contains(descriptor.address) else { return }
        let length = Int(random.below(2049))
        var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: length)
        if length > 12 {
            bytes.replaceSubrange(0..<12, with: FakeDevice.header(flags: UInt8(random.below(4))))
            if random.below(8) == 0 { bytes[10] = UInt8(random.below(4)) }
            if random.below(hostility) == 0 { bytes[1] = UInt8(truncatingIfNeeded: random.next()) }
            if random.below(hostility) == 0 { bytes[11] = UInt8(truncatingIfNeeded: random.next()) }
        }
        descriptor.bytes.copyBytes(from: bytes)
        device.queues[0].put(UInt32(id), length: UInt32(length))
        if random.below(3) != 0 { device.queues[0].show() }
    }

    private func complete(_ device: FakeDevice) {
        // No more than a ring holds: one of noise may lead round and round.
        for _ in 0..<device.queues[1].size {
            guard let id = device.queues[1].take() else { break }
            device.queues[1].put(UInt32(id), length: 0)
        }
        device.queues[1].show()
    }

    /// Addresses that the driver gave at the start.
    private final class Addresses {
        var all: Set<UInt64> = []
        func contains(_ address: UInt64) -> Bool { all.contains(address) }
    }
    private let buffers = Addresses()

    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
    func anythingADeviceWritesIsSurvived(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed &* 0x9E37_79B9_7F4A_7C15)
        var steps = 0
        var received = 0
        var failures = 0
        // A device lives until it breaks a rule; then the next begins.
        while steps < 16_000 {
            let features = VirtioFeatures(
                rawValue: Self.allFeatures.rawValue & (random.next() | 1 << 15))
            let device = FakeDevice.network(features, maximumQueueSize: 64)
            let parameters = VirtioNetworkParameters(receiveBuffers: 16, transmitBuffers: 8)
            var nic = try VirtioNetwork(
                transport: try FakeMMIO(device).transport(), parameters: parameters)
            buffers.all = Set(
                (0..<device.queues[0].size).map { device.queues[0].entry($0).address })
            let hostility = [2, 50, 400][Int(random.below(3))] as UInt64
            var isBroken = false
            for _ in 0..<2_000 where !isBroken {
                steps += 1
                for _ in 0..<random.below(8) { act(device, &random, hostility: hostility) }
                received += nic.receive(budget: Int(random.below(20))) { frame, _, transmitter in
                    // Every octet is readable, and no frame is longer than its buffers.
                    #expect(frame.byteCount > 0 && frame.byteCount <= 65536 + 18)
                    var sum: UInt8 = 0
                    for index in stride(from: 0, to: frame.byteCount, by: 61) {
                        sum &+= frame.unsafeLoad(fromByteOffset: index, as: UInt8.self)
                    }
                    sum &+= frame.unsafeLoad(fromByteOffset: frame.byteCount - 1, as: UInt8.self)
                    _ = transmitter.transmit(
                        length: frame.byteCount, checksumStart: 34, checksumOffset: 16,
                        needsChecksum: true, segmentSize: frame.byteCount > 1514 ? 1460 : 0
                    ) { $0.storeBytes(of: sum, toByteOffset: 0, as: UInt8.self) }
                }
                if random.below(3) == 0 { nic.flush() }
                if random.below(5) == 0 {
                    _ = nic.armInterrupt()
                    nic.disarmInterrupt()
                }
                if random.below(hostility * 20) == 0 {
                    device.status = UInt8(truncatingIfNeeded: random.next())
                }
                if nic.check() != nil {
                    failures += 1
                    isBroken = true
                }
            }
            // What is in flight never exceeds what exists, whatever was written.
            let outstanding = nic.receiver.queue.outstandingCount
            #expect(outstanding <= nic.receiver.queue.size || isBroken)
            if device.status != 0 { device.status = 0 }
        }
        #expect(received > 1_000)
        #expect(failures > 10)
    }

    @Test func configurationNoiseIsSurvived() {
        var random = SeededRandom(seed: 99)
        var successes = 0
        for _ in 0..<5_000 {
            let device = FakeDevice.network(
                VirtioFeatures(rawValue: random.next()),
                maximumQueueSize: UInt32(truncatingIfNeeded: random.next())
                    >> UInt32(random.below(33) & 31))
            device.configuration = (0..<12).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let parameters = VirtioNetworkParameters(
                receiveBuffers: Int(truncatingIfNeeded: random.next()) >> 60, transmitBuffers: 2)
            guard let transport = try? FakeMMIO(device).transport(),
                let nic = try? VirtioNetwork(transport: transport, parameters: parameters)
            else { continue }
            let mtu = nic.maximumTransmissionUnit
            #expect(mtu >= 68 && mtu <= 2022)
            successes += 1
        }
        #expect(successes > 100)
    }
}
