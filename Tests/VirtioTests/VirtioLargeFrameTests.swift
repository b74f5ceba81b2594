// Frames in several buffers, and segments that the device cuts or joins (virtio 1.2 §5.1.6.4, §5.1.6.2).

import Testing

@testable import SwiftletVirtio

extension VirtioNetworkTests {
    // MARK: Mergeable buffers

    private func pattern(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
    }

    /// Delivers a frame in pieces of at most `piece` octets, the first with the header.
    private func deliverMerged(_ device: FakeDevice, _ frame: [UInt8], piece: Int = 2048) {
        let count = (frame.count + 12 + piece - 1) / piece
        let all = FakeDevice.header(flags: 2, buffers: UInt16(count)) + frame
        for start in stride(from: 0, to: all.count, by: piece) {
            device.deliver(Array(all[start..<min(start + piece, all.count)]), show: false)
        }
        device.queues[0].show()
    }

    @Test func mergedFramesAreJoined() throws {
        let device = FakeDevice.network([.networkMergeableBuffers, .networkGuestChecksum])
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        for length in [2037, 4000, 9014, 65550, 100] {
            let frame = pattern(length)
            deliverMerged(device, frame, piece: length == 100 ? 20 : 2048)
            device.deliver(FakeDevice.header() + [1])
            #expect(
                receive(&nic) == [
                    Received(bytes: frame, verified: true), Received(bytes: [1], verified: false),
                ])
            nic.flush()
            #expect(device.queues[0].pending == 64)
        }
    }

    // MARK: Segmentation

    private static let segmenting: VirtioFeatures = [
        .networkMergeableBuffers, .networkGuestChecksum, .networkChecksum,
        .networkGuestSegmentation, .networkHostSegmentation,
    ]

    @Test func segmentationIsAgreedOnlyWithWhatItNeeds() throws {
        for missing in [
            .networkMergeableBuffers, .networkGuestChecksum, .networkChecksum,
        ] as [VirtioFeatures] {
            let device = FakeDevice.network(Self.segmenting.subtracting(missing))
            let nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
            let sends = device.accepted.contains(.networkHostSegmentation)
            let takes = device.accepted.contains(.networkGuestSegmentation)
            #expect(sends == (missing != .networkChecksum))
            #expect(takes == (missing == .networkChecksum))
            let longest = nic.longestSegmentedPacket
            #expect(longest == (sends ? 65536 - 26 : 0))
        }
    }

    @Test func joinedSegmentsAreTakenWhereTheyLie() throws {
        let device = FakeDevice.network(Self.segmenting)
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        // Round the ring: some frames lie across its end.
        for length in [64_000, 60_000, 3_000, 65_000, 100, 64_000] {
            let frame = pattern(length)
            let count = UInt16((length + 12 + 2047) / 2048)
            let all = FakeDevice.header(flags: 1, segmentation: 1, buffers: count) + frame
            for start in stride(from: 0, to: all.count, by: 2048) {
                device.deliver(Array(all[start..<min(start + 2048, all.count)]), show: false)
            }
            device.queues[0].show()
            #expect(receive(&nic) == [Received(bytes: frame, verified: true)])
            nic.flush()
            #expect(device.queues[0].pending == 64)
        }
        // Another kind of segmentation than was agreed.
        device.deliver(FakeDevice.header(flags: 1, segmentation: 4) + [1])
        #expect(receive(&nic).isEmpty)
        let drops = nic.receiver.drops
        #expect(drops.malformed == 1)
    }

    @Test func segmentsOverIPv6AreAgreedOnApart() throws {
        let both: VirtioFeatures = [
            .networkGuestSegmentationIPv6, .networkHostSegmentationIPv6,
        ]
        let device = FakeDevice.network(Self.segmenting.union(both))
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        let longest = (nic.longestSegmentedPacket, nic.longestSegmentedPacketIPv6)
        #expect(longest.0 == 65536 - 26 && longest.1 == longest.0)
        device.deliver(FakeDevice.header(flags: 1, segmentation: 4) + pattern(100))
        #expect(receive(&nic) == [Received(bytes: pattern(100), verified: true)])
        let isSent = nic.transmit(
            length: 4000, checksumStart: 54, checksumOffset: 16, needsChecksum: true,
            segmentSize: 1440, headerLength: 74, isIPv6: true
        ) { span in
            for index in 0..<4000 { span.storeBytes(of: 7, toByteOffset: index, as: UInt8.self) }
        }
        nic.flush()
        // VIRTIO_NET_HDR_GSO_TCPV6 is 4.
        #expect(isSent && device.takeSent().first?.prefix(4) == [1, 4, 74, 0])

        let other = FakeDevice.network(both.union([.networkChecksum]))
        let plain = try VirtioNetwork(transport: try FakeMMIO(other).transport())
        let none = plain.longestSegmentedPacketIPv6
        #expect(none == 0 && other.accepted.intersection(both).isEmpty)
    }

    @Test func aSegmentForTheDeviceToCut() throws {
        let device = FakeDevice.network(Self.segmenting)
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        func sendLarge(_ frame: [UInt8]) -> Bool {
            nic.transmit(
                length: frame.count, checksumStart: 34, checksumOffset: 16, needsChecksum: true,
                segmentSize: 1460, headerLength: 54
            ) { span in
                for (index, octet) in frame.enumerated() {
                    span.storeBytes(of: octet, toByteOffset: index, as: UInt8.self)
                }
            }
        }
        // More in flight than there are buffers; each comes back, with its small one behind.
        for round in 0..<3 {
            var sent = 0
            while sent < 20, sendLarge(pattern(40_000 + round)) { sent += 1 }
            #expect(sent == 8)
            #expect(send(&nic, [UInt8(round)]))
            nic.flush()
            let header: [UInt8] = [1, 1, 54, 0, 0xB4, 5, 34, 0, 16, 0, 0, 0]
            let out = device.takeSent()
            #expect(out.count == 9)
            #expect(out.dropLast().allSatisfy { $0 == header + pattern(40_000 + round) })
            #expect(out.last == [UInt8](repeating: 0, count: 12) + [UInt8(round)])
        }
        for octet in 0..<200 as Range<UInt8> {
            #expect(send(&nic, [octet]))
            nic.flush()
            #expect(device.takeSent().map { $0[12] } == [octet])
        }
        #expect(!sendLarge(pattern(65_525)))
    }

    @Test func mergedFramesThatAreTooLongAreDropped() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        deliverMerged(device, pattern(65555))
        device.deliver(FakeDevice.header() + [1])
        #expect(receive(&nic).map(\.bytes) == [[1]])
        let drops = nic.receiver.drops
        #expect(drops.tooLong == 1)
    }

    @Test func aMergedFrameWithoutItsBuffersBreaksTheQueue() throws {
        for count in [2, 3, 64, 65, 0xFFFF] as [UInt16] {
            let device = FakeDevice.network()
            var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
            device.deliver(FakeDevice.header(buffers: count) + pattern(100))
            #expect(receive(&nic).isEmpty)
            let failure = nic.check()
            #expect(failure?.kind == .misbehaved)
        }
    }

    @Test func theBufferCountMeansNothingWithoutTheFeature() throws {
        let device = FakeDevice.network([])
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        device.deliver(FakeDevice.header(buffers: 7) + [5])
        #expect(receive(&nic).map(\.bytes) == [[5]])
    }
}
