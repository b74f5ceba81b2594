// Virtio: the devices of a virtual machine, as "Virtual I/O Device (VIRTIO) Version 1.2" has them.
//
// Every monitor offers virtio, so these are the only drivers. Only the modern interface (1.x) is
// spoken. A device is not trusted: whatever it writes into shared memory or registers is checked
// before it is used, and a device that breaks the rules is left alone and reported once.

/// What a device is (§5).
public enum VirtioDeviceType: UInt32, Sendable {
    case network = 1
    case block = 2
    case console = 3
    case entropy = 4
}

/// What a device can do and a driver wants (§2.2): bits 0 to 23 and 50 to 127 belong to the device's
/// type, the others to queues and transports (§6).
public struct VirtioFeatures: OptionSet, Sendable {
    public var rawValue: UInt64

    @inlinable public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// A feature by its bit number.
    @inlinable public static func bit(_ number: Int) -> VirtioFeatures {
        VirtioFeatures(rawValue: 1 << UInt64(number))
    }

    /// VIRTIO_F_EVENT_IDX: each side says at which index it wants to be told.
    public static let eventIndex = bit(29)
    /// VIRTIO_F_VERSION_1: the modern interface.
    public static let version1 = bit(32)
    /// VIRTIO_F_RING_PACKED: queues of one ring (§2.8).
    public static let packedRing = bit(34)

    /// What every driver takes of its queues.
    static var queues: VirtioFeatures { [.eventIndex, .packedRing] }
}

/// How far driver and device have come (§2.1).
public struct VirtioStatus: OptionSet, Sendable {
    public var rawValue: UInt8

    @inlinable public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    public static let acknowledge = VirtioStatus(rawValue: 1)
    public static let driver = VirtioStatus(rawValue: 2)
    public static let driverOK = VirtioStatus(rawValue: 4)
    public static let featuresOK = VirtioStatus(rawValue: 8)
    public static let deviceNeedsReset = VirtioStatus(rawValue: 64)
    public static let failed = VirtioStatus(rawValue: 128)
}

/// Why a device cannot be used, or can be used no longer.
public struct VirtioError: Error, Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// Nothing is there, or something else: look on.
        case absent
        /// A virtio device that these drivers do not speak to (legacy, a missing feature).
        case unsupported
        /// The device refused what it had offered.
        case refused
        /// The guest has no memory for the device's queues or buffers.
        case outOfMemory
        /// The device broke the rules; nothing from it is believed any more.
        case misbehaved
        /// The device itself asks to be reset (DEVICE_NEEDS_RESET, §2.1.2).
        case needsReset
    }

    public var kind: Kind
    /// For the reader of a log.
    public var reason: StaticString

    public init(_ kind: Kind, _ reason: StaticString) {
        self.kind = kind
        self.reason = reason
    }

    /// The kinds are equal: reasons are for people.
    public static func == (left: VirtioError, right: VirtioError) -> Bool {
        left.kind == right.kind
    }
}
