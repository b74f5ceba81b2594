// The network card's data path (virtio 1.2 §5.1.6) against a simulated device.

import Testing

@testable import SwiftletVirtio

@Suite struct VirtioNetworkTests {
    private struct Received: Equatable {
        var bytes: [UInt8]
        var verified: Bool
    }

    private func octets(_ span: RawSpan) -> [UInt8] {
        (0..<span.byteCount).map { span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }

    private func receive(_ nic: inout VirtioNetwork, budget: Int = 1000) -> [Received] {
        var frames: [Received] = []
        let count = nic.receive(budget: budget) { frame, verified, _ in
            frames.append(Received(bytes: octets(frame), verified: verified))
        }
        #expect(count == frames.count)
        return frames
    }

    @discardableResult
    private func send(_ nic: inout VirtioNetwork, _ frame: [UInt8]) -> Bool {
        nic.transmit(
            length: frame.count, checksumStart: 0, checksumOffset: 0, needsChecksum: false
        ) { span in
            for (index, octet) in frame.enumerated() {
                span.storeBytes(of: octet, toByteOffset: index, as: UInt8.self)
            }
        }
    }

    // MARK: Transmit

    @Test func framesGoOutBehindAHeader() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        let frame = (0..<60).map { UInt8($0) }
        send(&nic, frame)
        send(&nic, [7])
        #expect(device.notifications[1] == 0)
        nic.flush()
        #expect(device.notifications[1] == 1)
        #expect(
            device.takeSent() == [
                [UInt8](repeating: 0, count: 12) + frame, [UInt8](repeating: 0, count: 12) + [7],
            ])
        nic.flush()
        #expect(device.notifications[1] == 1)
    }

    @Test func checksumIsAskedFor() throws {
        let device = FakeDevice.network([.networkAddress, .networkChecksum])
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        let offloads = nic.offloadsTransmitChecksum
        #expect(offloads)
        _ = nic.transmit(length: 1, checksumStart: 0x122, checksumOffset: 16, needsChecksum: true) {
            $0.storeBytes(of: 1, toByteOffset: 0, as: UInt8.self)
        }
        send(&nic, [2])
        nic.flush()
        // struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
        let sent = device.takeSent()
        #expect(sent.first == [1, 0, 0, 0, 0, 0, 0x22, 1, 16, 0, 0, 0, 1])
        #expect(sent.last == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
    }

    @Test func lengthsAreBounded() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        for length in [-1, 0, 2037, 4096, Int.max, Int.min] {
            let sent = nic.transmit(
                length: length, checksumStart: 0, checksumOffset: 0, needsChecksum: false
            ) { _ in Issue.record("nothing may be filled") }
            #expect(!sent)
        }
        let sent = send(&nic, [UInt8](repeating: 9, count: 2036))
        #expect(sent)
        nic.flush()
        #expect(device.takeSent().first?.count == 2048)
    }

    @Test func buffersComeBackOnlyWhenNeeded() throws {
        let device = FakeDevice.network()
        let parameters = VirtioNetworkParameters(receiveBuffers: 4, transmitBuffers: 4)
        var nic = try VirtioNetwork(
            transport: try FakeMMIO(device).transport(), parameters: parameters)
        for octet in 0..<4 as Range<UInt8> {
            let sent = send(&nic, [octet])
            #expect(sent)
        }
        // Full: the device is told, and nothing was sent.
        var sent = send(&nic, [4])
        #expect(!sent)
        #expect(device.notifications[1] == 1)
        #expect(device.takeSent().map { $0[12] } == [0, 1, 2, 3])
        for octet in 4..<8 as Range<UInt8> {
            sent = send(&nic, [octet])
            #expect(sent)
        }
        nic.flush()
        #expect(device.takeSent().map { $0[12] } == [4, 5, 6, 7])
    }

    @Test func aStarvedSenderIsWoken() throws {
        let device = FakeDevice.network()
        let parameters = VirtioNetworkParameters(receiveBuffers: 4, transmitBuffers: 2)
        var nic = try VirtioNetwork(
            transport: try FakeMMIO(device).transport(), parameters: parameters)
        func completes() -> Bool {
            let old = device.queues[1].usedIndex
            _ = device.takeSent()
            return device.queues[1].wantsInterrupt(since: old, eventIndex: true)
        }
        send(&nic, [0])
        nic.flush()
        var isReady = nic.armInterrupt()
        #expect(!isReady)
        #expect(!completes(), "nobody waits for a buffer")
        nic.disarmInterrupt()
        for _ in 0..<3 { send(&nic, [1]) }
        isReady = nic.armInterrupt()
        #expect(!isReady)
        #expect(completes(), "a sender waits for a buffer")
        nic.disarmInterrupt()
        let sent = send(&nic, [2])
        #expect(sent)
    }

    @Test func indicesWrapAroundBothWays() throws {
        let device = FakeDevice.network()
        let parameters = VirtioNetworkParameters(receiveBuffers: 16, transmitBuffers: 8)
        var nic = try VirtioNetwork(
            transport: try FakeMMIO(device).transport(), parameters: parameters)
        var received = 0
        var sent = 0
        for round in 0..<14_000 {
            for _ in 0..<5 {
                device.deliver(FakeDevice.header() + [UInt8(truncatingIfNeeded: round)])
            }
            received += nic.receive(budget: 64) { frame, _, transmitter in
                let octet = frame.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
                let isSent = transmitter.transmit(
                    length: 1, checksumStart: 0, checksumOffset: 0, needsChecksum: false
                ) { $0.storeBytes(of: octet, toByteOffset: 0, as: UInt8.self) }
                if isSent { sent += 1 }
            }
            nic.flush()
            let frames = device.takeSent()
            if !frames.allSatisfy({ $0[12] == UInt8(truncatingIfNeeded: round) }) {
                Issue.record("wrong octet in round \(round)")
                break
            }
        }
        #expect(received == 70_000)
        #expect(sent == 70_000)
        let failure = nic.check()
        #expect(failure == nil)
    }

    // MARK: Receive

    @Test func allBuffersArePosted() throws {
        let device = FakeDevice.network()
        let parameters = VirtioNetworkParameters(receiveBuffers: 33, transmitBuffers: 4)
        let nic = try VirtioNetwork(
            transport: try FakeMMIO(device).transport(), parameters: parameters)
        let size = nic.receiver.queue.size
        #expect(size == 32)
        #expect(device.queues[0].pending == 32)
        #expect(device.notifications[0] == 1)
        var seen: Set<UInt64> = []
        while let id = device.queues[0].take() {
            let descriptor = device.queues[0].descriptor(id)
            #expect(descriptor.deviceWrites && descriptor.length == 2048)
            #expect(descriptor.address % 2048 == 0)
            seen.insert(descriptor.address)
        }
        #expect(seen.count == 32)
    }

    @Test func framesComeInOrderAndTheirBuffersGoBack() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        for length in [1, 60, 1514, 2036] {
            device.deliver(
                FakeDevice.header() + [UInt8](repeating: UInt8(length & 255), count: length))
        }
        let frames = receive(&nic)
        #expect(frames.map(\.bytes.count) == [1, 60, 1514, 2036])
        #expect(frames.allSatisfy { frame in frame.bytes.allSatisfy { $0 == frame.bytes[0] } })
        nic.flush()
        #expect(device.queues[0].pending == 64)
    }

    @Test func budgetIsKept() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        for octet in 0..<5 as Range<UInt8> { device.deliver(FakeDevice.header() + [octet]) }
        #expect(receive(&nic, budget: 0).isEmpty)
        #expect(receive(&nic, budget: 3).map(\.bytes) == [[0], [1], [2]])
        let isReady = nic.armInterrupt()
        #expect(isReady)
        #expect(receive(&nic, budget: 3).map(\.bytes) == [[3], [4]])
    }

    @Test func aLongBatchReturnsBuffersOnItsWay() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        for _ in 0..<64 { device.deliver(FakeDevice.header() + [1]) }
        #expect(device.queues[0].pending == 0)
        _ = receive(&nic, budget: 40)
        #expect(device.queues[0].pending == 32)
    }

    @Test func checksumFlags() throws {
        for (features, flags, expected) in [
            ([.networkGuestChecksum], 0, false), ([.networkGuestChecksum], 1, true),
            ([.networkGuestChecksum], 2, true), ([.networkGuestChecksum], 4, false),
            ([], 1, false), ([], 2, false),
        ] as [(VirtioFeatures, UInt8, Bool)] {
            let device = FakeDevice.network(features)
            var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
            device.deliver(FakeDevice.header(flags: flags) + [1, 2, 3])
            #expect(receive(&nic) == [Received(bytes: [1, 2, 3], verified: expected)])
        }
    }

    @Test func malformedFramesAreDroppedAndCounted() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        device.deliver([])
        device.deliver([0, 0, 0])
        device.deliver(FakeDevice.header())  // no frame behind the header
        device.deliver(FakeDevice.header(segmentation: 1) + [1])  // TSO was not agreed
        device.deliver(FakeDevice.header(buffers: 0) + [1])
        device.deliver(FakeDevice.header() + [42])
        #expect(receive(&nic).map(\.bytes) == [[42]])
        let drops = nic.receiver.drops
        #expect(drops.malformed == 5)
        let failure = nic.check()
        #expect(failure == nil)
        nic.flush()
        #expect(device.queues[0].pending == 64)
    }

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

    // MARK: Interrupts and failure

    @Test func interruptIsAcknowledged() throws {
        let device = FakeDevice.network()
        let mmio = FakeMMIO(device)
        var nic = try VirtioNetwork(transport: try mmio.transport())
        var isReady = nic.armInterrupt()
        #expect(!isReady)
        let old = device.queues[0].usedIndex
        device.deliver(FakeDevice.header() + [1])
        #expect(device.queues[0].wantsInterrupt(since: old, eventIndex: true))
        device.interruptStatus = 1
        let changed = nic.disarmInterrupt()
        #expect(!changed)
        #expect(device.interruptStatus == 0)
        isReady = nic.armInterrupt()
        #expect(isReady)
        #expect(mmio.violations == 0)
    }

    @Test func aBrokenQueueIsReportedOnceAndTheOtherWorksOn() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        device.queues[0].put(0xFFFF, length: 100)
        device.queues[0].show()
        #expect(receive(&nic).isEmpty)
        var failure = nic.check()
        #expect(failure?.kind == .misbehaved)
        failure = nic.check()
        #expect(failure == nil)
        let isReady = nic.armInterrupt()
        #expect(!isReady)
        send(&nic, [1])
        nic.flush()
        #expect(device.takeSent().count == 1)
    }

    @Test func linkState() throws {
        let device = FakeDevice.network([.networkStatus])
        let nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        var isUp = nic.isLinkUp
        #expect(isUp)
        device.configuration = FakeDevice.networkConfiguration(isUp: false)
        isUp = nic.isLinkUp
        #expect(!isUp)
    }
}
