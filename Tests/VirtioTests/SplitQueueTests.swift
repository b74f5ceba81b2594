// The split virtqueue against an honest and against a lying device (virtio 1.2 §2.7).

import SwiftletMachine
import SwiftletMemory
import Testing

@testable import SwiftletVirtio

@Suite struct SplitQueueTests {
    /// A device with one queue, and the driver's side of it.
    private func make(
        _ size: UInt16, features: VirtioFeatures = .eventIndex
    ) throws -> (FakeDevice, VirtioTransport, VirtioFeatures) {
        let device = FakeDevice(.entropy, features: features, queues: 1)
        let transport = try FakeMMIO(device).transport()
        let agreed = try transport.negotiate(required: [], wanted: .eventIndex)
        return (device, transport, agreed)
    }

    private func offer(_ queue: inout VirtioQueue, length: UInt32 = 64) -> UInt16? {
        guard let id = queue.takeDescriptor() else { return nil }
        let buffer = DirectMap.physicalAddress(of: queue.trailing)
        queue.describe(id, buffer: buffer, length: length, deviceWrites: true)
        queue.offer(id)
        return id
    }

    @Test func ringsDoNotOverlapAndAreAligned() throws {
        for size in [1, 2, 4, 8, 64, 256, 1024] as [UInt16] {
            let device = FakeDevice(.entropy, queues: 1, maximumQueueSize: 32768)
            let transport = try FakeMMIO(device).transport()
            let features = try transport.negotiate(required: [], wanted: [])
            let queue = try VirtioQueue(
                0, of: transport, maximumSize: size, features: features, trailingBytes: 100)
            let count = UInt64(size)
            let rings = device.queues[0]
            #expect(rings.size == size)
            #expect(rings.descriptors % 16 == 0 && rings.available % 2 == 0 && rings.used % 4 == 0)
            #expect(rings.available >= rings.descriptors + 16 * count)
            #expect(rings.used >= rings.available + 6 + 2 * count)
            let states = UInt64(UInt(bitPattern: queue.descriptors))
            #expect(states >= rings.used + 6 + 8 * count)
            let trailing = UInt64(UInt(bitPattern: queue.trailing))
            #expect(trailing >= states + 8 * count)
        }
    }

    @Test(arguments: [VirtioFeatures.eventIndex, []])
    func indicesWrapAround(_ features: VirtioFeatures) throws {
        let (device, transport, agreed) = try make(4, features: features)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 4, features: agreed, trailingBytes: 64)
        // More than 2^16 buffers, three at a time, used in another order than offered.
        for round in 0..<22_000 as Range<UInt32> {
            var offered: [UInt16] = []
            for _ in 0..<3 {
                let id = offer(&queue)
                offered.append(try #require(id))
            }
            queue.kick()
            var taken: [UInt16] = []
            while let id = device.queues[0].take() { taken.append(id) }
            try #require(taken == offered)
            for id in taken.reversed() { device.queues[0].put(UInt32(id), length: round % 65) }
            device.queues[0].show()
            for id in taken.reversed() {
                let used = queue.poll()
                try #require(used == UsedBuffer(descriptor: id, length: round % 65))
                queue.freeDescriptor(id)
            }
            let more = queue.poll()
            try #require(more == nil)
        }
        let failure = queue.failure
        #expect(failure == nil)
    }

    @Test func descriptorsRunOut() throws {
        let (device, transport, agreed) = try make(8)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 8, features: agreed, trailingBytes: 64)
        var ids: Set<UInt16> = []
        while let id = offer(&queue) { ids.insert(id) }
        #expect(ids == Set(0..<8))
        queue.kick()
        #expect(device.queues[0].pending == 8)
        let taken = device.queues[0].take()
        let first = try #require(taken)
        device.queues[0].put(UInt32(first), length: 1)
        device.queues[0].show()
        let used = queue.poll()
        #expect(used?.descriptor == first)
        var next = queue.takeDescriptor()
        #expect(next == nil)
        queue.freeDescriptor(first)
        queue.freeDescriptor(first)  // twice: no effect
        next = queue.takeDescriptor()
        #expect(next == first)
        next = queue.takeDescriptor()
        #expect(next == nil)
    }

    @Test func descriptorsThatAreNotOwnedAreNotOffered() throws {
        let (device, transport, agreed) = try make(4)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 4, features: agreed, trailingBytes: 64)
        queue.offer(0)
        queue.offer(4)
        queue.offer(0xFFFF)
        queue.kick()
        #expect(device.queues[0].pending == 0)
        let offered = offer(&queue)
        let id = try #require(offered)
        queue.offer(id)
        queue.kick()
        #expect(device.queues[0].pending == 1)
    }

    // MARK: Notifications and interrupts

    @Test func eventIndexSuppressesNotifications() throws {
        let (device, transport, agreed) = try make(16)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 16, features: agreed, trailingBytes: 64)
        // The device waits for the first buffer.
        _ = offer(&queue)
        queue.kick()
        #expect(device.notifications[0] == 1)
        queue.kick()
        #expect(device.notifications[0] == 1)
        // It is busy: its event lies behind.
        _ = offer(&queue)
        queue.kick()
        #expect(device.notifications[0] == 1)
        // It wants to hear of the buffer with index 3: not of 2, but of a batch that passes it.
        device.queues[0].setAvailableEvent(3)
        _ = offer(&queue)
        queue.kick()
        #expect(device.notifications[0] == 1)
        for _ in 0..<5 { _ = offer(&queue) }
        queue.kick()
        #expect(device.notifications[0] == 2)
    }

    @Test func flagSuppressesNotifications() throws {
        let (device, transport, agreed) = try make(16, features: [])
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 16, features: agreed, trailingBytes: 64)
        device.queues[0].setNoNotify(true)
        _ = offer(&queue)
        queue.kick()
        #expect(device.notifications[0] == 0)
        device.queues[0].setNoNotify(false)
        _ = offer(&queue)
        queue.kick()
        #expect(device.notifications[0] == 1)
    }

    @Test(arguments: [VirtioFeatures.eventIndex, []])
    func interruptsOnlyWhenArmed(_ features: VirtioFeatures) throws {
        let usesEventIndex = features.contains(.eventIndex)
        let (device, transport, agreed) = try make(4, features: features)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 4, features: agreed, trailingBytes: 64)
        func use() throws -> Bool {
            let old = device.queues[0].usedIndex
            let taken = device.queues[0].take()
            let id = try #require(taken)
            device.queues[0].put(UInt32(id), length: 0)
            device.queues[0].show()
            return device.queues[0].wantsInterrupt(since: old, eventIndex: usesEventIndex)
        }
        func take(_ queue: inout VirtioQueue) throws {
            let polled = queue.poll()
            let used = try #require(polled)
            queue.freeDescriptor(used.descriptor)
        }
        for round in 0..<40_000 {
            for _ in 0..<3 { _ = offer(&queue) }
            queue.kick()
            // Not armed yet: none.
            let isQuiet = try !use()
            try #require(isQuiet, "round \(round)")
            var isReady = queue.arm()
            try #require(isReady)
            try take(&queue)
            isReady = queue.arm()
            try #require(!isReady)
            let interrupts = try use()
            try #require(interrupts, "round \(round)")
            queue.disarm()
            let isQuietAgain = try !use()
            try #require(isQuietAgain, "round \(round)")
            try take(&queue)
            try take(&queue)
        }
    }

    // MARK: Lies

    /// Offers four buffers of 64 octets, lets `lie` answer, and gives what the driver made of it.
    private func failure(
        _ lie: (inout DeviceQueue) -> Void
    ) throws -> (used: [UsedBuffer], failure: VirtioError?) {
        let (device, transport, agreed) = try make(8)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 8, features: agreed, trailingBytes: 64)
        for _ in 0..<4 { _ = offer(&queue) }
        queue.kick()
        lie(&device.queues[0])
        device.queues[0].show()
        var used: [UsedBuffer] = []
        while let buffer = queue.poll() { used.append(buffer) }
        let failure = queue.failure
        // A broken queue stays broken: nothing is read, nobody is told.
        if failure != nil {
            device.queues[0].put(3, length: 1)
            device.queues[0].show()
            let more = queue.poll()
            #expect(more == nil)
            let isReady = queue.arm()
            #expect(!isReady)
            let before = device.notifications[0]
            _ = offer(&queue)
            queue.kick()
            #expect(device.notifications[0] == before)
        }
        return (used, failure)
    }

    @Test func idOutOfRange() throws {
        for id in [8, 9, 0xFFFF, 0x1_0000, 0x8000_0000, 0xFFFF_FFFF] as [UInt32] {
            let result = try failure { $0.put(id, length: 1) }
            #expect(result.used.isEmpty)
            #expect(result.failure?.kind == .misbehaved)
        }
    }

    @Test func idNotInFlight() throws {
        let result = try failure { $0.put(5, length: 1) }
        #expect(result.used.isEmpty)
        #expect(result.failure?.kind == .misbehaved)
    }

    @Test func idTwice() throws {
        let result = try failure {
            $0.put(1, length: 1)
            $0.put(1, length: 1)
        }
        #expect(result.used == [UsedBuffer(descriptor: 1, length: 1)])
        #expect(result.failure?.kind == .misbehaved)
    }

    @Test func lengthBeyondTheBuffer() throws {
        for length in [65, 4096, 0x8000_0000, 0xFFFF_FFFF] as [UInt32] {
            let result = try failure { $0.put(0, length: length) }
            #expect(result.used.isEmpty)
            #expect(result.failure?.kind == .misbehaved)
        }
        let honest = try failure { $0.put(0, length: 64) }
        #expect(honest.used.count == 1)
        #expect(honest.failure == nil)
    }

    @Test func indexJumps() throws {
        // Forward beyond what was offered, and backward, which is the same modulo 2^16.
        for index in [5, 8, 9, 0x8000, 0xFFFF] as [UInt16] {
            let result = try failure { $0.usedIndex = index }
            #expect(result.used.isEmpty)
            #expect(result.failure?.kind == .misbehaved)
        }
    }

    @Test func indexThatRunsBack() throws {
        let (device, transport, agreed) = try make(8)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 8, features: agreed, trailingBytes: 64)
        for _ in 0..<4 { _ = offer(&queue) }
        queue.kick()
        device.queues[0].put(0, length: 1)
        device.queues[0].put(1, length: 1)
        device.queues[0].show()
        let first = queue.poll()
        let second = queue.poll()
        #expect(first != nil && second != nil)
        device.queues[0].usedIndex = 1
        device.queues[0].show()
        let third = queue.poll()
        let failure = queue.failure
        #expect(third == nil && failure?.kind == .misbehaved)
    }

    @Test func anOfferThatWasNotPublishedCannotBeUsed() throws {
        let (device, transport, agreed) = try make(8)
        var queue = try VirtioQueue(
            0, of: transport, maximumSize: 8, features: agreed, trailingBytes: 64)
        _ = offer(&queue)
        device.queues[0].put(0, length: 1)
        device.queues[0].show()
        let used = queue.poll()
        let failure = queue.failure
        #expect(used == nil && failure?.kind == .misbehaved)
    }

    @Test func sizesAreClamped() throws {
        let (_, transport, agreed) = try make(8)
        let large = try VirtioQueue(0, of: transport, maximumSize: .max, features: agreed)
        let most = large.size
        #expect(most == 256)
        let small = try VirtioQueue(0, of: transport, maximumSize: 0, features: agreed)
        let least = small.size
        #expect(least == 1)
    }
}
