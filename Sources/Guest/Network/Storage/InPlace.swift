// Keeps a large non-copyable value in its place.

import Synchronization

/// A stored property of this type makes its owner one that the compiler passes by address.
///
/// Without it, borrowing a large non-copyable struct (calling a function that does not change it)
/// copies all of its octets to the stack first: a kilobyte a call for `TCP`. A type that holds an
/// atomic has to stay where it is, so it is never copied that way. It is never used.
struct InPlace: ~Copyable {
    private let anchor = Atomic<UInt8>(0)
}
