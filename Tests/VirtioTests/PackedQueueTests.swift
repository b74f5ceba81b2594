// The packed virtqueue against an honest and against a lying device (virtio 1.2 §2.8).

import SwiftletMachine
import SwiftletMemory
import SwiftletTestSupport
import Testing

@testable import SwiftletVirtio

@Suite struct PackedQueueTests {
    /// A device with one queue, which offers packed rings.
    private func makeDevice(_ features: VirtioFeatures = .eventIndex) -> FakeDevice {
        FakeDevice(
            .entropy, features: features.union(.packedRing), queues: 1, maximumQueueSize: 32768)
    }

    /// The driver's side of its queue.
    private func makeQueue(_ device: FakeDevice, _ size: UInt16) throws -> VirtioQueue {
        let transport = try FakeMMIO(device).transport()
        let agreed = try transport.negotiate(required: [], wanted: [])
        let queue = try VirtioQueue(
            0, of: transport, maximumSize: size, features: agreed, trailingBytes: 64)
        let own = queue.size
        #expect(own == size && device.queues[0].isPacked)
        return queue
    }

    private func offer(_ queue: inout VirtioQueue, length: UInt32 = 64) -> UInt16? {
        guard let id = queue.takeDescriptor() else { return nil }
        let buffer = DirectMap.physicalAddress(of: queue.trailing)
        queue.describe(id, buffer: buffer, length: length, deviceWrites: true)
        queue.offer(id)
        return id
    }

    @Test func theRingAndBothEventsAreApart() throws {
        for size in [1, 2, 4, 8, 64, 256, 1024] as [UInt16] {
            let device = makeDevice()
            let queue = try makeQueue(device, size)
            let rings = device.queues[0]
            #expect(rings.size == size)
            #expect(rings.descriptors % 16 == 0 && rings.available % 4 == 0 && rings.used % 4 == 0)
            // Before the ring is what the driver keeps of descriptors, behind the events the rest.
            let table = UInt64(queue.descriptorTable)
            #expect(rings.descriptors >= table + 16 * UInt64(size))
            #expect(rings.available >= rings.descriptors + 16 * UInt64(size))
            #expect(rings.used >= rings.available + 4)
            let states = UInt64(UInt(bitPattern: queue.descriptors))
            #expect(states >= rings.used + 4)
            let trailing = UInt64(UInt(bitPattern: queue.trailing))
            #expect(trailing >= states + 8 * UInt64(size))
        }
    }

    @Test func withoutTheFeatureQueuesAreSplit() throws {
        let device = FakeDevice(.entropy, features: .eventIndex, queues: 1)
        let transport = try FakeMMIO(device).transport()
        let agreed = try transport.negotiate(required: [], wanted: [])
        let queue = try VirtioQueue(0, of: transport, maximumSize: 4, features: agreed)
        let isPacked = queue.isPacked
        #expect(!isPacked && !agreed.contains(.packedRing))
    }

    // MARK: Wrap counters

    /// Chains of one to three, more than 2^16 descriptors of them, used in any order: what the device
    /// sees is what was described, and what comes back is what it used.
    @Test(arguments: [1, 2, 8, 64] as [UInt16])
    func buffersGoRoundInAnyOrder(_ size: UInt16) throws {
        let device = makeDevice()
        var queue = try makeQueue(device, size)
        var random = SeededRandom(seed: UInt64(size))
        let buffer = DirectMap.physicalAddress(of: queue.trailing)
        var chains: [UInt16: [UInt16]] = [:]
        var expected: [UInt16: [UInt32]] = [:]
        var inDevice: [UInt16] = []
        var descriptors = 0
        while descriptors < 70_000 {
            for _ in 0..<random.below(4) {
                var chain: [UInt16] = []
                for _ in 0...random.below(3) {
                    if let next = queue.takeDescriptor() { chain.append(next) }
                }
                guard let head = chain.first else { break }
                let lengths = chain.map { _ in UInt32(1 + random.below(64)) }
                for (part, length) in zip(chain, lengths) {
                    queue.describe(part, buffer: buffer, length: length, deviceWrites: part == head)
                }
                for (part, next) in zip(chain, chain.dropFirst()) { queue.link(part, to: next) }
                queue.offer(head)
                chains[head] = chain
                expected[head] = lengths
                descriptors += chain.count
            }
            queue.kick()
            while let head = device.queues[0].take() {
                let parts = device.queues[0].chain(head)
                try #require(parts.map(\.length) == expected[head])
                try #require(parts.map(\.deviceWrites) == parts.indices.map { $0 == 0 })
                try #require(parts.allSatisfy { $0.address == buffer.rawValue })
                inDevice.append(head)
            }
            // Any of them, in any order.
            for _ in 0..<random.below(UInt64(inDevice.count) + 1) {
                let head = inDevice.remove(at: Int(random.below(UInt64(inDevice.count))))
                let length = UInt32(random.below(UInt64(expected[head]![0]) + 1))
                device.queues[0].put(UInt32(head), length: length)
                device.queues[0].show()
                let used = queue.poll()
                try #require(used == UsedBuffer(descriptor: head, length: length))
                for part in chains.removeValue(forKey: head)! { queue.freeDescriptor(part) }
            }
            let more = queue.poll()
            try #require(more == nil)
            let outstanding = queue.outstandingCount
            try #require(Int(outstanding) == chains.values.map(\.count).reduce(0, +))
        }
        let failure = queue.failure
        #expect(failure == nil)
    }

    @Test func descriptorsThatAreNotOwnedAreNotOffered() throws {
        let device = makeDevice()
        var queue = try makeQueue(device, 4)
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
        for _ in 0..<3 { _ = offer(&queue) }
        let fifth = offer(&queue)
        #expect(fifth == nil && device.queues[0].pending == 4)
    }

    @Test func descriptorsLinkedInACircleFillTheRingAndNoMore() throws {
        let device = makeDevice()
        var queue = try makeQueue(device, 4)
        _ = offer(&queue)
        let one = queue.takeDescriptor()!
        let other = queue.takeDescriptor()!
        let buffer = DirectMap.physicalAddress(of: queue.trailing)
        for id in [one, other] {
            queue.describe(id, buffer: buffer, length: 64, deviceWrites: true)
        }
        queue.link(one, to: other)
        queue.link(other, to: one)
        queue.offer(one)
        let outstanding = queue.outstandingCount
        #expect(outstanding == 4)
        let first = device.queues[0].take()
        #expect(first == 0)
    }

    // MARK: Notifications and interrupts

    @Test func theDeviceHearsOfWhatItAskedFor() throws {
        // Each place and wrap counter that may be asked for, at each place of the driver's.
        for size in [1, 4, 8] as [UInt16] {
            let device = makeDevice()
            var queue = try makeQueue(device, size)
            for round in 0..<UInt16(4 * size) {
                for batch in 1...size {
                    for ahead in 0..<UInt16(2 * size) {
                        device.queues[0].setAvailableEvent(device.queues[0].seenIndex &+ ahead)
                        let before = device.notifications[0]
                        for _ in 0..<batch { _ = offer(&queue) }
                        queue.kick()
                        let told = device.notifications[0] > before
                        try #require(
                            told == (ahead < batch), "\(size) \(round) \(batch) \(ahead)")
                        while let id = device.queues[0].take() {
                            device.queues[0].put(UInt32(id), length: 0)
                        }
                        device.queues[0].show()
                        while let used = queue.poll() { queue.freeDescriptor(used.descriptor) }
                    }
                }
            }
        }
    }

    @Test func wishesThatMakeNoSenseDoNoHarm() throws {
        let device = makeDevice()
        var queue = try makeQueue(device, 8)
        for flags in [3, 4, 0xFFFF, 2] as [UInt16] {
            for event in [8, 0x7FFF, 0xFFFF, 0x8008] as [UInt16] {
                device.queues[0].store16(event, device.queues[0].used)
                device.queues[0].store16(flags, device.queues[0].used + 2)
                _ = offer(&queue)
                queue.kick()
                device.queues[0].setNoNotify(false)
                let taken = device.queues[0].take()
                device.queues[0].put(UInt32(try #require(taken)), length: 3)
                device.queues[0].show()
                let used = queue.poll()
                queue.freeDescriptor(try #require(used).descriptor)
            }
        }
        let failure = queue.failure
        #expect(failure == nil)
    }

    @Test func flagSuppressesNotifications() throws {
        for features in [.eventIndex, []] as [VirtioFeatures] {
            let device = makeDevice(features)
            var queue = try makeQueue(device, 16)
            device.queues[0].setNoNotify(true)
            _ = offer(&queue)
            queue.kick()
            #expect(device.notifications[0] == 0)
            device.queues[0].setNoNotify(false)
            _ = offer(&queue)
            queue.kick()
            #expect(device.notifications[0] == 1)
            queue.kick()
            #expect(device.notifications[0] == 1)
        }
    }

    @Test(arguments: [VirtioFeatures.eventIndex, []])
    func interruptsOnlyWhenArmed(_ features: VirtioFeatures) throws {
        let device = makeDevice(features)
        var queue = try makeQueue(device, 4)
        func use() throws -> Bool {
            let old = device.queues[0].usedIndex
            let taken = device.queues[0].take()
            device.queues[0].put(UInt32(try #require(taken)), length: 0)
            device.queues[0].show()
            return device.queues[0].wantsInterrupt(since: old, eventIndex: true)
        }
        func take(_ queue: inout VirtioQueue) throws {
            let polled = queue.poll()
            queue.freeDescriptor(try #require(polled).descriptor)
        }
        for round in 0..<24_000 {
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
        let device = makeDevice()
        var queue = try makeQueue(device, 8)
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

    @Test func idsThatAreNotInFlight() throws {
        for id in [4, 5, 7, 8, 9, 0x8000, 0xFFFF] as [UInt32] {
            let result = try failure { $0.put(id, length: 1) }
            #expect(result.used.isEmpty)
            #expect(result.failure?.kind == .misbehaved)
        }
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

    @Test func whatADeviceWritesIntoWhatItMayOnlyReadHasNoLength() throws {
        let device = makeDevice()
        var queue = try makeQueue(device, 4)
        let id = queue.takeDescriptor()!
        let buffer = DirectMap.physicalAddress(of: queue.trailing)
        queue.describe(id, buffer: buffer, length: 64, deviceWrites: false)
        queue.offer(id)
        device.queues[0].put(UInt32(id), length: 0xFFFF_FFFF)
        device.queues[0].show()
        let used = queue.poll()
        #expect(used == UsedBuffer(descriptor: id, length: 0))
    }

    @Test func usedFlagsOfTheOtherRoundMeanNothing() throws {
        let device = makeDevice()
        var queue = try makeQueue(device, 4)
        _ = offer(&queue)
        let ring = device.queues[0].descriptors
        // Used in the round before, half used, and available as it was.
        for flags in [0, DeviceQueue.used, DeviceQueue.available] as [UInt16] {
            device.queues[0].store16(flags, ring + 14)
            let used = queue.poll()
            #expect(used == nil)
        }
        // Places in which nothing is in flight are not looked at, whatever is in them.
        device.queues[0].store16(DeviceQueue.used | DeviceQueue.available, ring + 14)
        device.queues[0].store16(DeviceQueue.used | DeviceQueue.available, ring + 30)
        let first = queue.poll()
        let second = queue.poll()
        let failure = queue.failure
        #expect(first != nil && second == nil && failure == nil)
    }

    @Test func nothingIsUsedTwiceHoweverTheRingIsWritten() throws {
        // All of it says "used", in both rounds' way, with each id.
        for flags in [0, DeviceQueue.used | DeviceQueue.available] as [UInt16] {
            let device = makeDevice()
            var queue = try makeQueue(device, 8)
            for _ in 0..<8 { _ = offer(&queue) }
            for place in 0..<8 as Range<UInt64> {
                let entry = device.queues[0].descriptors + 16 * place
                device.queues[0].store16(UInt16(place / 2), entry + 12)
                device.queues[0].store16(flags, entry + 14)
            }
            var used: [UInt16] = []
            while let buffer = queue.poll() { used.append(buffer.descriptor) }
            let failure = queue.failure
            #expect(used == (flags == 0 ? [] : [0]))
            #expect((failure == nil) == (flags == 0))
        }
    }
}
