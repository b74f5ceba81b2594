// The block device (virtio 1.2 §5.2): the driver against a simulated disk, honest and not.

import SwiftletMachine
import SwiftletTestSupport
import Testing

@testable import SwiftletVirtio

/// A disk in memory behind a fake device.
private final class FakeDisk {
    let device: FakeDevice
    var octets: [UInt8]
    var flushes = 0
    /// What the next request ends with, instead of what it should.
    var status: UInt8?

    init(
        sectors: Int = 256, features: VirtioFeatures = [.eventIndex, .blockFlush],
        maximumQueueSize: UInt32 = 256
    ) {
        octets = (0..<sectors * 512).map { UInt8(truncatingIfNeeded: $0 / 512) }
        device = FakeDevice(
            .block, features: features,
            configuration: (0..<8).map { UInt8(truncatingIfNeeded: sectors >> (8 * $0)) },
            queues: 1, maximumQueueSize: maximumQueueSize)
    }

    func driver() throws -> VirtioBlock {
        try VirtioBlock(transport: try FakeMMIO(device).transport())
    }

    /// Does what is asked, the newest request first if `backwards`; how many requests there were.
    @discardableResult
    func work(backwards: Bool = false) -> Int {
        var heads: [UInt16] = []
        while let head = device.queues[0].take() { heads.append(head) }
        for head in backwards ? heads.reversed() : heads {
            let written = answer(device.queues[0].chain(head))
            device.queues[0].put(UInt32(head), length: UInt32(written))
        }
        device.queues[0].show()
        device.queues[0].setAvailableEvent(device.queues[0].seenIndex)
        return heads.count
    }

    private func answer(_ parts: [DeviceDescriptor]) -> Int {
        #expect(parts.count >= 2)
        #expect(!parts[0].deviceWrites && parts[0].length == 16)
        #expect(parts[parts.count - 1].deviceWrites && parts[parts.count - 1].length == 1)
        let header = Array(parts[0].bytes)
        let type = header[0]
        let place = header[8..<16].reversed().reduce(0) { $0 << 8 | Int($1) } * 512
        var written = 1
        switch type {
        case 0:
            #expect(parts.count == 3 && parts[1].deviceWrites)
            let bytes = parts[1].bytes
            bytes.copyBytes(from: octets[place..<(place + bytes.count)])
            written += bytes.count
        case 1:
            #expect(parts.count == 3 && !parts[1].deviceWrites)
            octets.replaceSubrange(place..<(place + parts[1].bytes.count), with: parts[1].bytes)
        default:
            #expect(type == 4 && parts.count == 2 && place == 0)
            flushes += 1
        }
        parts[parts.count - 1].bytes[0] = status ?? 0
        return written
    }
}

@Suite(.eachRing) struct BlockTests {
    @Test func sectorsAreReadAndWritten() throws {
        let disk = FakeDisk()
        var driver = try disk.driver()
        let (sectorCount, isReadOnly) = (driver.sectorCount, driver.isReadOnly)
        #expect(sectorCount == 256 && !isReadOnly)
        let slot = driver.takeSlot() ?? -1
        var isSubmitted = driver.submit(.read, slot: slot, sector: 7, octets: 1024)
        #expect(isSubmitted)
        let early = driver.takeCompletion()
        #expect(early == nil)
        driver.notify()
        #expect(disk.device.notifications[0] == 1)
        disk.work()
        var end = driver.takeCompletion()
        #expect(end == .init(slot: slot, outcome: .done))
        let read = Array(driver.buffer(slot)[..<1024])
        #expect(read == Array(disk.octets[3584..<4608]))
        driver.buffer(slot).copyBytes(from: [UInt8](repeating: 0xAB, count: 512))
        isSubmitted = driver.submit(.write, slot: slot, sector: 255, octets: 512)
        #expect(isSubmitted)
        driver.notify()
        disk.work()
        end = driver.takeCompletion()
        #expect(end == .init(slot: slot, outcome: .done))
        #expect(disk.octets[(255 * 512)...].allSatisfy { $0 == 0xAB })
        #expect(disk.octets[255 * 512 - 1] == 254)
        isSubmitted = driver.submit(.flush, slot: slot, sector: 0, octets: 0)
        #expect(isSubmitted)
        driver.notify()
        disk.work()
        end = driver.takeCompletion()
        #expect(end?.outcome == .done && disk.flushes == 1)
    }

    @Test func requestsEndInAnyOrder() throws {
        let disk = FakeDisk()
        var driver = try disk.driver()
        let slotCount = driver.slotCount
        #expect(slotCount == 4)
        var numbers = SeededRandom(seed: 5)
        for _ in 0..<300 {
            var sectors: [Int: UInt64] = [:]
            for _ in 0..<(1 + Int(numbers.next() % 4)) {
                let slot = driver.takeSlot() ?? -1
                let sector = numbers.next() % 256
                sectors[slot] = sector
                let isSubmitted = driver.submit(.read, slot: slot, sector: sector, octets: 512)
                #expect(isSubmitted)
            }
            driver.notify()
            let count = disk.work(backwards: numbers.next() % 2 == 0)
            #expect(count == sectors.count)
            while let end = driver.takeCompletion() {
                let sector = sectors.removeValue(forKey: end.slot) ?? .max
                let first = driver.buffer(end.slot)[0]
                #expect(UInt64(first) == sector)
                driver.freeSlot(end.slot)
            }
            #expect(sectors.isEmpty)
        }
    }

    @Test func whatIsNoRequestIsNotSubmitted() throws {
        let disk = FakeDisk()
        var driver = try disk.driver()
        let slot = driver.takeSlot() ?? -1
        for (sector, octets) in [
            (256, 512), (255, 1024), (.max, 512), (0, 511), (0, -512), (0, 33280), (0, 0),
        ] as [(UInt64, Int)] {
            let isSubmitted = driver.submit(.read, slot: slot, sector: sector, octets: octets)
            #expect(!isSubmitted, "\(octets) at \(sector)")
        }
        for other in [-1, 1, 4, 100] {
            let isSubmitted = driver.submit(.read, slot: other, sector: 0, octets: 512)
            #expect(!isSubmitted, "slot \(other)")
        }
        var isSubmitted = driver.submit(.read, slot: slot, sector: 0, octets: 512)
        #expect(isSubmitted)
        // It is under way: neither again nor free.
        isSubmitted = driver.submit(.read, slot: slot, sector: 0, octets: 512)
        #expect(!isSubmitted)
        driver.freeSlot(slot)
        let others = [driver.takeSlot(), driver.takeSlot(), driver.takeSlot(), driver.takeSlot()]
        #expect(others == [1, 2, 3, nil])
        driver.notify()
        #expect(disk.work() == 1)
    }

    @Test(
        arguments: [(1, VirtioBlock.Outcome.failed), (2, .unsupported)]
            as [(UInt8, VirtioBlock.Outcome)])
    func errorsAreHandedOn(_ status: UInt8, _ outcome: VirtioBlock.Outcome) throws {
        let disk = FakeDisk()
        var driver = try disk.driver()
        let slot = driver.takeSlot() ?? -1
        disk.status = status
        _ = driver.submit(.read, slot: slot, sector: 0, octets: 512)
        driver.notify()
        disk.work()
        let end = driver.takeCompletion()
        #expect(end == .init(slot: slot, outcome: outcome))
        let failure = driver.failure
        #expect(failure == nil)
    }

    @Test func readOnlyAndWriteThroughDisksAreKnown() throws {
        let readOnly = FakeDisk(features: [.blockReadOnly, .blockFlush])
        let driver = try readOnly.driver()
        let (isReadOnly, needsFlush) = (driver.isReadOnly, driver.needsFlush)
        #expect(isReadOnly && !needsFlush)
        let plain = FakeDisk(features: [])
        let other = try plain.driver()
        let (isOther, flushesOther) = (other.isReadOnly, other.needsFlush)
        #expect(!isOther && !flushesOther)
    }

    @Test func aShortQueueHasFewerSlotsOrNone() throws {
        let short = FakeDisk(maximumQueueSize: 8)
        let driver = try short.driver()
        let slotCount = driver.slotCount
        #expect(slotCount == 2)
        let tooShort = FakeDisk(maximumQueueSize: 2)
        var kind: VirtioError.Kind?
        do {
            _ = try tooShort.driver()
        } catch let error as VirtioError {
            kind = error.kind
        }
        #expect(kind == .unsupported)
    }

    /// A status that is none, and descriptors that were not offered.
    @Test(arguments: [-1, 1, 2, 3, 16, 0xFFFF] as [Int])
    func aDeviceThatBreaksRulesIsGivenUp(_ descriptor: Int) throws {
        let disk = FakeDisk()
        var driver = try disk.driver()
        let slot = driver.takeSlot() ?? -1
        _ = driver.submit(.read, slot: slot, sector: 0, octets: 512)
        driver.notify()
        if descriptor < 0 {
            disk.status = 3
            disk.work()
        } else {
            disk.device.queues[0].put(UInt32(descriptor), length: 513)
            disk.device.queues[0].show()
        }
        let end = driver.takeCompletion()
        #expect(end?.outcome != .done)
        let failure = driver.failure
        #expect(failure?.kind == .misbehaved)
        let more = driver.takeCompletion()
        #expect(more == nil)
    }
}
