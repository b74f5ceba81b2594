// How a driver reaches its device: one set of operations over MMIO and PCI, and the handshake.

import SwiftletMachine

/// Where the three parts of a queue lie (§2.7); of a packed one its ring, and what driver and device
/// want to be told of (§2.8).
public struct QueueAddresses: Sendable {
    public var descriptors: GuestPhysicalAddress
    public var available: GuestPhysicalAddress
    public var used: GuestPhysicalAddress
}

/// What an interrupt said.
public struct InterruptCause: OptionSet, Sendable {
    public var rawValue: UInt8

    @inlinable public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The device used a buffer of some queue.
    public static let queue = InterruptCause(rawValue: 1)
    /// The device's configuration or status changed.
    public static let configuration = InterruptCause(rawValue: 2)
}

/// A device's notification register for one queue, ready to be written.
public struct QueueNotifier {
    @usableFromInline let register: RegisterWindow
    @usableFromInline let queue: UInt16
    /// MMIO's register has 32 bits (§4.2.2), PCI's 16 (§4.1.4.4).
    @usableFromInline let isWide: Bool

    @inlinable init(register: RegisterWindow, queue: UInt16, isWide: Bool) {
        self.register = register
        self.queue = queue
        self.isWide = isWide
    }

    /// Tells the device that the queue has new buffers. This leaves the virtual machine, or, under
    /// the built-in monitor, has the event loop leave it for all queues at once.
    @inlinable func notify() {
        #if hasFeature(Embedded)
            if BuiltInMonitor.isPresent {
                BuiltInMonitor.hasNotification = true
                return
            }
        #endif
        if isWide {
            register.store32(UInt32(queue), at: 0)
        } else {
            register.store16(queue, at: 0)
        }
    }
}

/// A found device, not yet driven.
public enum VirtioTransport {
    case mmio(VirtioMMIO)
    case pci(VirtioPCI)

    /// The device's type number (§5); nil for types without a driver here.
    public var deviceType: VirtioDeviceType? {
        switch self {
        case .mmio(let device): VirtioDeviceType(rawValue: device.deviceType)
        case .pci(let device): VirtioDeviceType(rawValue: device.deviceType)
        }
    }

    /// The device status field (§2.1).
    public var status: VirtioStatus {
        switch self {
        case .mmio(let device): device.status
        case .pci(let device): device.status
        }
    }

    /// The registers that belong to the device's type (§2.5).
    var configuration: RegisterWindow {
        switch self {
        case .mmio(let device): device.configuration
        case .pci(let device): device.configuration
        }
    }

    /// Octets of `configuration` that may be read.
    var configurationSize: UInt {
        switch self {
        case .mmio(let device): device.configurationSize
        case .pci(let device): device.configurationSize
        }
    }

    /// Changes when the configuration may have changed (§2.5).
    var configurationGeneration: UInt32 {
        switch self {
        case .mmio(let device): device.configurationGeneration
        case .pci(let device): device.configurationGeneration
        }
    }

    func setStatus(_ status: VirtioStatus) {
        switch self {
        case .mmio(let device): device.setStatus(status)
        case .pci(let device): device.setStatus(status)
        }
    }

    func offeredFeatures() -> VirtioFeatures {
        switch self {
        case .mmio(let device): device.offeredFeatures()
        case .pci(let device): device.offeredFeatures()
        }
    }

    func acceptFeatures(_ features: VirtioFeatures) {
        switch self {
        case .mmio(let device): device.acceptFeatures(features)
        case .pci(let device): device.acceptFeatures(features)
        }
    }

    /// The most descriptors that the device takes in a queue; 0 if it has no such queue.
    func maximumQueueSize(_ queue: UInt16) -> UInt32 {
        switch self {
        case .mmio(let device): device.maximumQueueSize(queue)
        case .pci(let device): device.maximumQueueSize(queue)
        }
    }

    func enableQueue(
        _ queue: UInt16, size: UInt16, at addresses: QueueAddresses
    ) throws(VirtioError) -> QueueNotifier {
        switch self {
        case .mmio(let device): device.enableQueue(queue, size: size, at: addresses)
        case .pci(let device): try device.enableQueue(queue, size: size, at: addresses)
        }
    }

    /// Ends the device's interrupt, so that the next event raises a new one.
    func acknowledgeInterrupt() -> InterruptCause {
        switch self {
        case .mmio(let device): device.acknowledgeInterrupt()
        // A message is an edge: nothing is to be acknowledged, and it does not say what happened.
        case .pci: []
        }
    }
}

extension VirtioTransport {
    /// How often the status is read for a reset to end before the device is given up.
    private static var resetPatience: Int { 100_000 }

    /// Stops the device; it no longer touches memory after this (§2.4).
    ///
    /// - Throws: `.misbehaved` if the device does not come to rest.
    func reset() throws(VirtioError) {
        setStatus([])
        var reads = 0
        while status != [] {
            reads &+= 1
            if reads == Self.resetPatience {
                throw VirtioError(.misbehaved, "device does not finish its reset")
            }
        }
    }

    /// The steps up to FEATURES_OK (§3.1.1, 1 to 6).
    ///
    /// - Parameters:
    ///   - required: without these the driver cannot work; VERSION_1 is always required.
    ///   - wanted: taken if offered, as is what all queues take.
    /// - Returns: the features that both sides now use.
    func negotiate(
        required: VirtioFeatures, wanted: VirtioFeatures
    ) throws(VirtioError) -> VirtioFeatures {
        try reset()
        setStatus(.acknowledge)
        setStatus([.acknowledge, .driver])
        let required = required.union(.version1)
        let wanted = wanted.union(required).union(.queues)
        var features = offeredFeatures().intersection(wanted)
        if deviceType == .network { features.dropUnmetNetworkFeatures() }
        guard features.isSuperset(of: required) else {
            fail()
            throw VirtioError(.unsupported, "device lacks a feature that the driver needs")
        }
        acceptFeatures(features)
        setStatus([.acknowledge, .driver, .featuresOK])
        guard status.contains(.featuresOK) else {
            fail()
            throw VirtioError(.refused, "device refused a subset of its own features")
        }
        return features
    }

    /// The device may work from now on (§3.1.1, 8).
    func start() {
        setStatus([.acknowledge, .driver, .featuresOK, .driverOK])
    }

    /// The driver gives the device up (§2.1).
    func fail() {
        setStatus(status.union(.failed))
    }

    /// An error if the device says that it cannot go on (§2.1.2). Costs an exit.
    func health() -> VirtioError? {
        let status = status
        if status.contains(.deviceNeedsReset) {
            return VirtioError(.needsReset, "device asks for a reset")
        }
        if !status.contains(.driverOK) {
            return VirtioError(.misbehaved, "device stopped by itself")
        }
        return nil
    }
}
