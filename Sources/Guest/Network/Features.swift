// What an image may leave out: the package's traits, as constants that the compiler folds.

/// The parts of the network that a package may do without. The one place that knows of traits.
public enum Features {
    /// IPv6 and all that belongs to it: the trait `IPv6` of the package, on by default.
    @_transparent public static var ipv6: Bool {
        #if IPv6
            true
        #else
            false
        #endif
    }
}
