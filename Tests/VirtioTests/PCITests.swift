// PCI enumeration and virtio's PCI transport (virtio 1.2 §4.1) on a simulated bus.

import SwiftletTestSupport
import Testing

@testable import SwiftletMachine
@testable import SwiftletVirtio

@Suite struct PCITests {
    private static var start: UInt64 { 0x8_FE00_0000 }

    /// A virtio function as QEMU's looks: structures in a 64-bit BAR 4, MSI-X with two entries.
    private func virtioFunction(
        device: UInt16 = 0x1041, address: UInt64 = start, multiplier: UInt32 = 4
    ) -> FakeFunction {
        let function = FakeFunction(vendor: 0x1AF4, device: device)
        function.set16(1, 0x2E)
        function.addWideRegion(4, at: address, size: 0x4000)
        function.addCapability(0x11, at: 0x98, [1, 0, 4, 0x30, 0, 0, 0, 0, 0, 0])
        function.addVirtioCapability(4, at: 0x80, bar: 4, offset: 0x2000, length: 0x1000)
        function.addVirtioCapability(
            2, at: 0x68, bar: 4, offset: 0x1000, length: 0x1000, multiplier: multiplier)
        function.addVirtioCapability(1, at: 0x50, bar: 4, offset: 0, length: 0x1000)
        return function
    }

    private func find(_ bus: FakeBus) -> [PCIFunction] {
        var found: [PCIFunction] = []
        PCI.forEachFunction(bus.access) { found.append($0) }
        return found
    }

    private func error(
        _ function: FakeFunction, _ region: FakePCIRegion
    ) -> VirtioError? {
        let bus = FakeBus()
        bus.add(function, device: 1)
        guard let found = find(bus).first else { return VirtioError(.absent, "") }
        do throws(VirtioError) {
            let pci = try VirtioPCI(found, message: InterruptMessage(vector: 0x41), map: region.map)
            _ = try VirtioNetwork(transport: .pci(pci))
            return nil
        } catch {
            return error
        }
    }

    @Test func functionsAndBridgesAreFoundOnce() {
        let bus = FakeBus()
        bus.add(FakeFunction(vendor: 0x8086, device: 1), device: 0)
        // Functions 1 and 7 of a multifunction device; function 1 of a single one is not looked at.
        bus.add(FakeFunction(vendor: 0x8086, device: 2, headerType: 0x80), device: 3)
        bus.add(FakeFunction(vendor: 0x8086, device: 3), device: 3, function: 1)
        bus.add(FakeFunction(vendor: 0x8086, device: 4), device: 3, function: 7)
        bus.add(FakeFunction(vendor: 0x8086, device: 5), device: 4)
        bus.add(FakeFunction(vendor: 0x8086, device: 6), device: 4, function: 1)
        // Bridges: to bus 9, from there to bus 2, back to 0 and to itself.
        func bridge(to secondary: UInt8, _ device: UInt16) -> FakeFunction {
            let bridge = FakeFunction(vendor: 1, device: device, classCode: 0x0604, headerType: 1)
            bridge.registers[0x19] = secondary
            return bridge
        }
        bus.add(bridge(to: 9, 10), device: 5)
        bus.add(bridge(to: 2, 11), bus: 9, device: 0)
        bus.add(bridge(to: 0, 12), bus: 9, device: 1)
        bus.add(bridge(to: 2, 13), bus: 2, device: 0)
        bus.add(FakeFunction(vendor: 0x8086, device: 7), bus: 2, device: 31)
        // No bridge leads to bus 3.
        bus.add(FakeFunction(vendor: 0x8086, device: 8), bus: 3, device: 0)
        #expect(find(bus).map(\.device) == [1, 2, 3, 4, 5, 10, 11, 12, 13, 7])
    }

    @Test func regionsAreMeasuredAndLeftAsTheyWere() throws {
        let bus = FakeBus()
        let fake = virtioFunction()
        fake.regionSizes[0] = 0x1000
        fake.set32(0xFEB0_0008, 0x10)
        fake.set32(0xC001, 0x14)  // an I/O range
        fake.set16(7, 4)
        bus.add(fake, device: 1)
        let function = try #require(find(bus).first)
        let before = fake.registers
        #expect(
            function.memoryRegion(0)
                == PCIMemoryRegion(address: GuestPhysicalAddress(0xFEB0_0000), size: 0x1000))
        #expect(function.memoryRegion(1) == nil)
        #expect(function.memoryRegion(2) == nil)
        #expect(
            function.memoryRegion(4)
                == PCIMemoryRegion(address: GuestPhysicalAddress(Self.start), size: 0x4000))
        #expect(function.memoryRegion(6) == nil)
        #expect(function.memoryRegion(255) == nil)
        #expect(fake.registers == before)
        // Decoding was off in between.
        #expect(fake.commands == [4, 7, 4, 7, 4, 7])
    }

    @Test func missingAddressesAreAssigned() throws {
        let bus = FakeBus()
        let fake = virtioFunction(address: 0)
        fake.regionSizes[0] = 0x1000
        fake.regionSizes[1] = 0x100
        fake.set32(0xFEB0_0000, 0x14)
        bus.add(fake, device: 1)
        let function = try #require(find(bus).first)
        #expect(function.memoryRegion(4) == nil)
        var aperture = PCIAperture(start: 0xE000_0100, end: 0xE000_8000)
        #expect(function.assignMissingRegions(from: &aperture))
        #expect(function.memoryRegion(0)?.address.rawValue == 0xE000_1000)
        #expect(function.memoryRegion(1)?.address.rawValue == 0xFEB0_0000)
        #expect(function.memoryRegion(4)?.address.rawValue == 0xE000_4000)
        let other = virtioFunction(address: 0)
        bus.add(other, device: 2)
        let second = try #require(find(bus).last)
        #expect(!second.assignMissingRegions(from: &aperture))
    }

    @Test func networkWorksOverPCI() throws {
        for (number, multiplier) in [(0x1041, 4), (0x1000, 4)] as [(UInt16, UInt32)] {
            let bus = FakeBus()
            let fake = virtioFunction(device: number, multiplier: multiplier)
            bus.add(fake, device: 1)
            let device = FakeDevice.network()
            let region = FakePCIRegion(device, start: Self.start)
            let function = try #require(find(bus).first)
            let pci = try VirtioPCI(
                function, message: InterruptMessage(vector: 0x41), map: region.map)
            #expect(pci.sendsMessages)
            // Memory and bus master on, pin interrupt off; MSI-X on and not masked.
            #expect(fake.get32(4) & 0xFFFF == 0x0406)
            #expect(fake.get32(0x98) >> 16 == 0x8001)
            #expect(region.messageTable == [0xFEE0_0000, 0, 0x41, 0, 0, 0, 0, 1])
            var nic = try VirtioNetwork(transport: .pci(pci))
            #expect(region.configurationVector == 0)
            #expect(device.statusHistory == [0, 1, 3, 11, 15])
            let address = nic.hardwareAddress
            #expect(address == 0x5254_0012_3456)
            _ = nic.transmit(
                length: 1, checksumStart: 0, checksumOffset: 0, needsChecksum: false
            ) { $0.storeBytes(of: 77, toByteOffset: 0, as: UInt8.self) }
            nic.flush()
            #expect(device.notifications == [1, 1])
            #expect(device.takeSent().first?.last == 77)
            device.deliver(FakeDevice.header() + [5])
            var length = 0
            _ = nic.receive(budget: 4) { frame, _, _ in length = frame.byteCount }
            #expect(length == 1)
            let changed = nic.disarmInterrupt()
            #expect(!changed)
            let failure = nic.check()
            #expect(failure == nil)
            #expect(region.violations == 0)
        }
    }

    @Test func withoutAMessageTheDeviceIsPolled() throws {
        let bus = FakeBus()
        bus.add(virtioFunction(), device: 1)
        let device = FakeDevice.network()
        let region = FakePCIRegion(device, start: Self.start)
        let function = try #require(find(bus).first)
        let pci = try VirtioPCI(function, message: nil, map: region.map)
        #expect(!pci.sendsMessages)
        let nic = try VirtioNetwork(transport: .pci(pci))
        #expect(region.configurationVector == 0xFFFF)
        let isUp = nic.isLinkUp
        #expect(isUp)
    }

    @Test func otherFunctionsAreAbsent() {
        let region = FakePCIRegion(FakeDevice.network(), start: Self.start)
        let other = virtioFunction()
        other.set16(0x8086, 0)
        #expect(error(other, region)?.kind == .absent)
        #expect(error(virtioFunction(device: 0x1080), region)?.kind == .absent)
        #expect(error(virtioFunction(device: 0x1044), region)?.kind == .absent)
    }

    @Test func refusedVectorsAreAnError() {
        let region = FakePCIRegion(FakeDevice.network(), start: Self.start)
        region.refusesVectors = true
        #expect(error(virtioFunction(), region)?.kind == .refused)
    }

    @Test func notificationsOutsideOfTheWindowAreRefused() {
        let region = FakePCIRegion(FakeDevice.network(), start: Self.start)
        region.notifyOffsets = [0, 0x400]
        #expect(error(virtioFunction(), region)?.kind == .misbehaved)
        let huge = virtioFunction(multiplier: .max)
        region.notifyOffsets = [0, 0xFFFF]
        #expect(error(huge, region)?.kind == .misbehaved)
    }

    @Test func structuresOutsideOfTheirRegionAreNone() {
        for (offset, length) in [(0x4000, 0x1000), (0x3FFF, 2), (0xFFFF_F000, 0x1000), (0, 16)] {
            let region = FakePCIRegion(FakeDevice.network(), start: Self.start)
            let function = virtioFunction()
            function.set32(UInt32(offset), 0x50 + 8)
            function.set32(UInt32(length), 0x50 + 12)
            #expect(error(function, region)?.kind == .unsupported)
        }
    }

    @Test func noiseInConfigurationSpaceIsSurvived() {
        var random = SeededRandom(seed: 4711)
        var results: [VirtioError.Kind: Int] = [:]
        for _ in 0..<3_000 {
            let function = virtioFunction()
            for _ in 0..<1 + random.below(12) {
                // Not the identity, and mostly where pointers and structures are.
                let offset =
                    random.below(4) == 0 ? 4 + random.below(252) : 0x34 + random.below(0x80)
                function.registers[Int(offset)] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.below(8) == 0 { function.regionSizes[4] = 1 << random.below(64) }
            let region = FakePCIRegion(FakeDevice.network(), start: Self.start)
            let outcome = error(function, region)?.kind ?? .needsReset
            results[outcome, default: 0] += 1
        }
        // Both ways out were taken: set up in spite of the noise (counted as needsReset), and not.
        #expect(results[.needsReset, default: 0] > 10)
        #expect(results[.unsupported, default: 0] > 10)
    }
}
