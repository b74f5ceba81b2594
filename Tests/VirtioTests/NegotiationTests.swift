// The handshake of virtio 1.2 §3.1.1, and how it fails.

import Testing

@testable import SwiftletVirtio

@Suite struct NegotiationTests {
    private func error(_ change: (FakeDevice, FakeMMIO) -> Void) -> VirtioError? {
        let device = FakeDevice.network()
        let mmio = FakeMMIO(device)
        change(device, mmio)
        do throws(VirtioError) {
            _ = try VirtioNetwork(transport: try mmio.transport())
            return nil
        } catch {
            return error
        }
    }

    @Test func stepsComeInOrder() throws {
        let device = FakeDevice.network()
        let mmio = FakeMMIO(device)
        let nic = try VirtioNetwork(transport: try mmio.transport())
        #expect(device.statusHistory == [0, 1, 3, 11, 15])
        #expect(mmio.violations == 0)
        #expect(device.queues[0].isReady && device.queues[1].isReady)
        #expect(nic.hardwareAddress == 0x5254_0012_3456)
        #expect(nic.maximumTransmissionUnit == 1500)
    }

    @Test func onlyOfferedFeaturesAreAccepted() throws {
        let device = FakeDevice.network([.networkAddress, .bit(40), .bit(7)])
        let nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        #expect(device.accepted == [.version1, .networkAddress])
        let offloads = nic.offloadsTransmitChecksum
        #expect(!offloads)
    }

    @Test func destroyingTheDriverResetsTheDevice() throws {
        let device = FakeDevice.network()
        do {
            let nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
            let isUp = nic.isLinkUp
            #expect(isUp)
        }
        #expect(device.status == 0)
    }

    @Test func otherThingsAreAbsent() {
        #expect(error { $1.magic = 0 }?.kind == .absent)
        #expect(error { $1.deviceID = 0 }?.kind == .absent)
        #expect(error { $1.deviceID = 4 }?.kind == .absent)
        #expect(error { $1.deviceID = 99 }?.kind == .absent)
    }

    @Test func legacyIsUnsupported() {
        #expect(error { $1.version = 1 }?.kind == .unsupported)
        let device = FakeDevice.network()
        device.offered.remove(.version1)
        #expect(throws: VirtioError(.unsupported, "")) {
            _ = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        }
        #expect(device.status & 128 != 0)
    }

    @Test func refusedFeaturesMarkTheDeviceFailed() {
        let device = FakeDevice.network()
        device.refusesFeatures = true
        #expect(throws: VirtioError(.refused, "")) {
            _ = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        }
        #expect(device.status & 128 != 0)
        #expect(device.status & 4 == 0)
    }

    @Test func aResetThatDoesNotEndIsGivenUp() {
        let kind = error { device, _ in
            device.status = 15
            device.neverFinishesReset = true
        }
        #expect(kind?.kind == .misbehaved)
    }

    @Test func missingQueueIsUnsupported() {
        #expect(error { device, _ in device.maximumQueueSize = 0 }?.kind == .unsupported)
    }

    @Test(arguments: [1, 2, 3, 7, 64, 200, 1024, 0xFFFF_FFFF] as [UInt32])
    func anyQueueSizeWorks(_ size: UInt32) throws {
        let device = FakeDevice.network(maximumQueueSize: size)
        _ = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        let nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        let chosen = UInt32(nic.receiver.queue.size)
        #expect(chosen <= size && chosen & (chosen - 1) == 0 && chosen >= 1)
    }

    @Test func senselessConfigurationIsRefused() {
        #expect(error { device, _ in device.configuration[0] = 0x53 }?.kind == .misbehaved)
        let kind = error { device, _ in
            device.offered.insert(.networkMTU)
            device.configuration[10] = 10
            device.configuration[11] = 0
        }
        #expect(kind?.kind == .misbehaved)
    }

    @Test func mtuIsTakenUpToWhatABufferHolds() throws {
        for (offered, expected) in [(1280, 1280), (1500, 1500), (9000, 2022), (68, 68)] {
            let device = FakeDevice.network([.networkMTU], mtu: UInt16(offered))
            let nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
            #expect(nic.maximumTransmissionUnit == expected)
        }
    }

    @Test func needsResetIsReportedOnce() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        var report = nic.check()
        #expect(report == nil)
        device.status |= 64
        device.interruptStatus = 2
        let changed = nic.disarmInterrupt()
        #expect(changed && device.interruptStatus == 0)
        report = nic.check()
        #expect(report?.kind == .needsReset)
        report = nic.check()
        #expect(report == nil)
    }

    @Test func aDeviceThatStopsByItselfIsReported() throws {
        let device = FakeDevice.network()
        var nic = try VirtioNetwork(transport: try FakeMMIO(device).transport())
        device.status = 0
        let report = nic.check()
        #expect(report?.kind == .misbehaved)
    }
}
