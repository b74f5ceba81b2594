// Physical addresses, and where the guest sees physical memory.

/// An address as devices and page tables see it.
public struct GuestPhysicalAddress: Hashable, Comparable, Sendable {
    public var rawValue: UInt64

    @inlinable public init(_ rawValue: UInt64) {
        self.rawValue = rawValue
    }

    @inlinable public static func < (left: GuestPhysicalAddress, right: GuestPhysicalAddress)
        -> Bool
    {
        left.rawValue < right.rawValue
    }

    @inlinable public static func + (address: GuestPhysicalAddress, offset: UInt64)
        -> GuestPhysicalAddress
    {
        GuestPhysicalAddress(address.rawValue &+ offset)
    }
}

/// All physical memory, readable and writable (never executable) at a constant distance in the
/// lower half of the address space. Host unit tests have no such map: there the distance is 0.
public enum DirectMap {
    #if hasFeature(Embedded)
        /// Second half of the lower half: far from the image, and below the sign bit that
        /// Swift's reference counting takes for "immortal".
        public static let base: UInt = 0x4000_0000_0000
    #else
        public static let base: UInt = 0
    #endif

    /// Where the guest sees the memory or device registers at `address`.
    @inlinable public static func pointer(to address: GuestPhysicalAddress)
        -> UnsafeMutableRawPointer
    {
        // Never null: the base is not, and tests hand in addresses of real memory.
        UnsafeMutableRawPointer(bitPattern: UInt(address.rawValue) &+ base).unsafelyUnwrapped
    }

    /// The physical address of heap or page-frame memory (not of the image's statics).
    @inlinable public static func physicalAddress(of pointer: UnsafeRawPointer)
        -> GuestPhysicalAddress
    {
        GuestPhysicalAddress(UInt64(UInt(bitPattern: pointer) &- base))
    }
}
