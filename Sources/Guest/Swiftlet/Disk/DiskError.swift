// Why a disk operation failed.

/// Why a disk operation failed.
public enum DiskError: Error, Equatable, Sendable {
    /// The machine has no disk, or one that cannot be driven.
    case noDisk
    /// Not all of the sectors are on the disk.
    case outOfRange
    /// The octets are no whole sectors.
    case partialSector
    /// The disk can only be read.
    case readOnly
    /// The host could not do it: its disk is full, or broken.
    case failed
    /// The device broke virtio's rules, and is asked no more.
    case broken
}

extension DiskError: CustomStringConvertible {
    /// Type and case, since Embedded Swift cannot tell them by itself.
    public var description: String {
        switch self {
        case .noDisk: "DiskError.noDisk"
        case .outOfRange: "DiskError.outOfRange"
        case .partialSector: "DiskError.partialSector"
        case .readOnly: "DiskError.readOnly"
        case .failed: "DiskError.failed"
        case .broken: "DiskError.broken"
        }
    }
}
