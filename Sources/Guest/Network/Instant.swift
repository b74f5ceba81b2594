// A point in time as the protocols see it: monotonic nanoseconds, passed in by whoever drives them.

/// A monotonic point in time, in nanoseconds since an arbitrary start (boot, in the guest).
public struct Instant: Comparable, Hashable, Sendable, BitwiseCopyable {
    public var nanoseconds: UInt64

    @inlinable public init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// Later than every other instant: "no deadline".
    @inlinable public static var never: Instant { Instant(nanoseconds: .max) }

    @inlinable public static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
