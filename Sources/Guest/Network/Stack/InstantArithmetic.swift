// Arithmetic on instants that cannot trap: far futures saturate.

extension Instant {
    /// The instant `nanoseconds` later; `never` if there is no such.
    @inline(__always) func advanced(by nanoseconds: UInt64) -> Instant {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return overflow ? .never : Instant(nanoseconds: sum)
    }

    /// Nanoseconds since `earlier`; 0 if that is in the future.
    @inline(__always) func since(_ earlier: Instant) -> UInt64 {
        earlier.nanoseconds > nanoseconds ? 0 : nanoseconds &- earlier.nanoseconds
    }
}
