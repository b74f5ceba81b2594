// The network card's data path (virtio 1.2 §5.1.6) against a simulated device.

import Testing

@testable import SwiftletVirtio

@Suite(.eachRing) struct VirtioNetworkTests {
    struct Received: Equatable {
        var bytes: [UInt8]
        var verified: Bool
    }

    func octets(_ span: RawSpan) -> [UInt8] {
        (0..<span.byteCount).map { span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }

    func receive(_ nic: inout VirtioNetwork, budget: Int = 1000) -> [Received] {
        var frames: [Received] = []
        let count = nic.receive(budget: budget) { frame, verified, _ in
            frames.append(Received(bytes: octets(frame), verified: verified))
        }
        #expect(count == frames.count)
        return frames
    }

    @discardableResult
    func send(_ nic: inout VirtioNetwork, _ frame: [UInt8]) -> Bool {
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
        // The rest waits for a flush; of a packed ring nothing does.
        #expect(device.queues[0].pending == (device.queues[0].isPacked ? 40 : 32))
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
