// The monitor's devices, driven well and badly: what a guest writes can stop its own device, and
// nothing else.

import Glibc
import SwiftletTestSupport
import Testing

@testable import SwiftletMonitor

@Suite("Devices")
struct DeviceTests {
    private static let writes: UInt16 = 2
    private static let goesOn: UInt16 = 1
    private static let buffer: UInt64 = 0x3_0000

    private let receiveQueue = Queue(0x2_0000, size: 8)
    private let transmitQueue = Queue(0x2_1000, size: 8)

    @Test("A frame is sent without its virtio header, from one segment or several")
    func send() throws {
        let model = try DriverModel()
        model.start(DriverModel.network, queues: 2)
        let frame = (0..<60 as Range<UInt8>).map { $0 }
        for (index, octet) in frame.enumerated() {
            model.write(octet, Self.buffer + 12 + UInt64(index))
        }
        transmitQueue.describe(0, Self.buffer, 72, in: model)
        // The header in two pieces, the second with the frame's beginning.
        transmitQueue.describe(1, Self.buffer, 5, flags: Self.goesOn, next: 2, in: model)
        transmitQueue.describe(2, Self.buffer + 5, 20, flags: Self.goesOn, next: 3, in: model)
        transmitQueue.describe(3, Self.buffer + 25, 47, in: model)
        transmitQueue.offer(0, in: model)
        transmitQueue.offer(1, in: model)
        #expect(model.process())
        #expect(transmitQueue.usedIndex(in: model) == 2)
        var received: [UInt8] = .init(repeating: 0, count: 200)
        #expect(Glibc.read(model.host, &received, 200) == 128)
        #expect(Array(received[..<64]) == [0, 0, 0, 60] + frame)
        #expect(Array(received[64..<128]) == [0, 0, 0, 60] + frame)
        #expect(model.isIntact)
    }

    @Test("A frame that comes in pieces is handed over whole, behind a header")
    func receive() throws {
        let model = try DriverModel()
        model.start(DriverModel.network, queues: 2)
        receiveQueue.describe(
            0, Self.buffer, 20, flags: Self.writes | Self.goesOn, next: 1, in: model)
        receiveQueue.describe(1, Self.buffer + 20, 1000, flags: Self.writes, in: model)
        receiveQueue.offer(0, in: model)
        let frame: [UInt8] = (0..<100).map { UInt8($0) }
        let octets = [0, 0, 0, 100] + frame
        #expect(Glibc.write(model.host, octets, 50) == 50)
        #expect(!model.process())
        #expect(receiveQueue.usedIndex(in: model) == 0)
        #expect(Glibc.write(model.host, Array(octets[50...]), 54) == 54)
        #expect(model.process())
        #expect(receiveQueue.usedIndex(in: model) == 1)
        #expect(receiveQueue.usedLength(0, in: model) == 112)
        #expect(
            model.octets(Self.buffer, 112)
                == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0] + frame)
        #expect(model.isIntact)
    }

    @Test("Frames that one turn has no room for wait for the next, and none is lost")
    func mergedReceive() throws {
        let model = try DriverModel()
        let queue = Queue(0x2_0000, size: 64)
        model.start(DriverModel.network, queues: 2, size: 64, features: 1 << 32 | 1 << 15)
        // One buffer in 64 pieces of an octet, offered over and over.
        for index in 0..<64 as Range<UInt64> {
            queue.describe(
                index, Self.buffer + index, 1,
                flags: index < 63 ? Self.writes | Self.goesOn : Self.writes,
                next: UInt16(index) + 1, in: model)
        }
        for _ in 0..<64 { queue.offer(0, in: model) }
        for number in 0..<40 as Range<UInt8> {
            let octets: [UInt8] = [0, 0, 0, 50] + .init(repeating: number, count: 50)
            #expect(Glibc.write(model.host, octets, 54) == 54)
        }
        for _ in 0..<8 { _ = model.process() }
        #expect(!model.needsReset(DriverModel.network))
        #expect(queue.usedIndex(in: model) == 40)
        #expect(model.octets(Self.buffer + 12, 50) == .init(repeating: 39, count: 50))
        #expect(model.isIntact)
    }

    @Test("Entropy fills what is offered, and two draws differ")
    func entropy() throws {
        let model = try DriverModel()
        let queue = Queue(0x2_0000, size: 8)
        model.start(DriverModel.entropy, queues: 1)
        queue.describe(0, Self.buffer, 32, flags: Self.writes, in: model)
        queue.describe(1, Self.buffer + 32, 32, flags: Self.writes, in: model)
        queue.offer(0, in: model)
        queue.offer(1, in: model)
        #expect(model.process())
        #expect(queue.usedLength(0, in: model) == 32)
        #expect(model.octets(Self.buffer, 32) != model.octets(Self.buffer + 32, 32))
    }

    @Test("EVENT_IDX: the driver is told at the index that it named")
    func eventIndex() throws {
        let model = try DriverModel()
        let queue = Queue(0x2_0000, size: 8)
        model.start(DriverModel.entropy, queues: 1, features: 1 << 32 | 1 << 29)
        let usedEvent = queue.available + 4 + 2 * queue.size
        model.write(UInt16(1), usedEvent)
        queue.describe(0, Self.buffer, 32, flags: Self.writes, in: model)
        queue.offer(0, in: model)
        #expect(!model.process())
        queue.offer(0, in: model)
        #expect(model.process())
    }

    @Test("A driver that breaks a rule stops its device, until it resets it")
    func violations() throws {
        typealias Misdeed = (String, (DriverModel, Queue) -> Void)
        let end = DriverModel.ram.upperBound
        let misdeeds: [Misdeed] = [
            ("index", { model, queue in model.write(UInt16(9), queue.available + 2) }),
            ("head", { model, queue in queue.offer(8, in: model) }),
            (
                "next",
                { model, queue in
                    queue.describe(0, Self.buffer, 8, flags: 1, next: 0x8000, in: model)
                    queue.offer(0, in: model)
                }
            ),
            (
                "loop",
                { model, queue in
                    queue.describe(0, Self.buffer, 8, flags: 1, next: 0, in: model)
                    queue.offer(0, in: model)
                }
            ),
            (
                "indirect",
                { model, queue in
                    queue.describe(0, Self.buffer, 16, flags: 4, in: model)
                    queue.offer(0, in: model)
                }
            ),
        ]
        let addresses: [(UInt64, UInt32)] = [
            (end - 8, 16), (end, 1), (0, 16), (.max, 16), (.max - 15, 16),
            (0x1_0000, 64), (0x1_FFFF, 2), (Self.buffer, .max), (0x1_0000_0000, 8),
        ]
        let buffers: [Misdeed] = addresses.map { address, length in
            (
                "\(address), \(length)",
                { model, queue in
                    queue.describe(0, address, length, flags: Self.writes, in: model)
                    queue.offer(0, in: model)
                }
            )
        }
        for (name, commit) in misdeeds + buffers {
            for (device, queue) in [
                (DriverModel.entropy, receiveQueue), (DriverModel.network, receiveQueue),
                (DriverModel.network, transmitQueue), (DriverModel.block, receiveQueue),
            ] {
                let model = try DriverModel()
                model.start(device, queues: device == DriverModel.network ? 2 : 1)
                commit(model, queue)
                _ = model.process()
                #expect(model.needsReset(device), "\(name)")
                #expect(queue.usedIndex(in: model) == 0, "\(name)")
                #expect(!model.process())
                #expect(model.isIntact, "\(name)")
                memset(model.memory.base + 0x1_0000, 0, 0x3000)
                model.start(device, queues: device == DriverModel.network ? 2 : 1)
                #expect(!model.needsReset(device), "\(name)")
            }
        }
    }

    @Test("Queues that do not lie in shared memory are not taken")
    func rings() throws {
        for (size, base) in [
            (8, 0x1_F000), (8, 0x4_FFF0), (8, 0x5_0000), (8, .max - 0xFFF), (8, 0x2_0001),
            (7, 0x2_0000), (0, 0x2_0000), (512, 0x2_0000), (0xFFFF, 0x2_0000),
        ] as [(UInt64, UInt64)] {
            let model = try DriverModel()
            model.start(DriverModel.entropy, queues: 1, size: size, base: base)
            #expect(model.needsReset(DriverModel.entropy), "\(size) at \(base)")
            #expect(!model.process())
            #expect(model.isIntact)
        }
    }

    @Test("Features that were not offered are refused")
    func features() throws {
        let model = try DriverModel()
        for features in [0, 1 << 32 | 1 << 28, 1 << 63 | 1 << 32] as [UInt64] {
            model.start(DriverModel.entropy, queues: 0, features: features)
            #expect(model.load(DriverModel.entropy, 0x70) & 12 == 0)
        }
    }

    @Test("Memory shows registers as loads give them, after every store and broken rule")
    func shownRegisters() throws {
        let model = try DriverModel()
        try model.showRegisters()
        var numbers = SeededRandom(seed: 1)
        for device in [DriverModel.entropy, DriverModel.network, DriverModel.block] {
            #expect(model.showsRegisters(device))
            model.start(device, queues: device == DriverModel.network ? 2 : 1)
            #expect(model.showsRegisters(device) && !model.needsReset(device))
            receiveQueue.offer(8, in: model)
            _ = model.process()
            #expect(model.showsRegisters(device) && model.needsReset(device))
            for _ in 0..<2000 {
                model.store(numbers.next() % 20, device, numbers.next() % 0x50 * 4)
                guard model.showsRegisters(device) else {
                    Issue.record("memory shows other registers")
                    return
                }
            }
            memset(model.memory.base + 0x1_0000, 0, 0x3000)
        }
    }

    /// Rings, descriptors and registers full of numbers, many of them near what is right.
    @Test("A guest that writes anything anywhere harms only itself", arguments: 1...8)
    func fuzz(seed: UInt64) throws {
        var numbers = SeededRandom(seed: seed)
        let model = try DriverModel()
        let devices = [DriverModel.entropy, DriverModel.network, DriverModel.block]
        let sinks: [UInt64] = [0, 1, 8, 16, 64, 2048, 0xFFFF, 0xFFFF_FFFF, .max]
        for round in 0..<4000 {
            if round % 8 == 0 {
                let base: UInt64 =
                    numbers.next() % 4 == 0 ? 0x2_0000 + numbers.next() % 64 : 0x2_0000
                let device = devices.randomElement(using: &numbers) ?? 0
                model.start(
                    device, queues: 2, size: 1 << (numbers.next() % 9), base: base,
                    features: 1 << 32 | (numbers.next() % 2) << 29)
            }
            for _ in 0..<32 {
                let address = 0x2_0000 + numbers.next() % 0x2000
                switch numbers.next() % 4 {
                case 0: model.write(UInt8(truncatingIfNeeded: numbers.next() % 4), address)
                case 1:
                    model.write(UInt16(truncatingIfNeeded: numbers.next() % 300), address & ~1)
                case 2:
                    model.write(
                        DriverModel.ram.lowerBound + numbers.next() % 0x4_0000, address & ~7)
                default: model.write(sinks.randomElement(using: &numbers) ?? 0, address & ~7)
                }
            }
            for _ in 0..<4 {
                model.store(
                    numbers.next() % 2 == 0 ? numbers.next() : numbers.next() % 16,
                    devices.randomElement(using: &numbers) ?? 0, numbers.next() % 0x110)
                _ = model.load(devices.randomElement(using: &numbers) ?? 0, numbers.next() % 0x1000)
            }
            let frame: [UInt8] = [0, 0, 0, 60] + .init(repeating: 7, count: 60)
            _ = Glibc.write(model.host, frame, frame.count)
            _ = model.process()
            drain(model.host)
            guard model.isIntact else {
                Issue.record("memory beside what is shared was written in round \(round)")
                return
            }
        }
    }

    private func drain(_ file: Int32) {
        var octets: [UInt8] = .init(repeating: 0, count: 65536)
        for _ in 0..<16 where Glibc.read(file, &octets, octets.count) <= 0 { return }
    }
}
