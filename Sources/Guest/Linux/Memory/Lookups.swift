// What the last looks at the mappings have found, by page: nearly every call names memory of the program's
// two or three times, and mostly the same.

#if hasFeature(Embedded)
    enum Lookups {
        private struct Entry: BitwiseCopyable {
            /// Everything from here up to the end allows this; nothing does if the end is 0.
            var start: UInt64
            var end: UInt64
            var protection: UInt64
        }

        private static let count = 16
        nonisolated(unsafe) private static var entries: UnsafeMutablePointer<Entry>?

        @inline(__always)
        private static func place(
            _ entries: UnsafeMutablePointer<Entry>, _ address: UInt64
        ) -> UnsafeMutablePointer<Entry> {
            entries + Int(address >> 12 & UInt64(count - 1))
        }

        /// Whether it is known that `size` octets from `address` on allow `wanted`.
        @inline(__always)
        static func isKnown(_ address: UInt64, _ size: UInt64, _ wanted: Protection) -> Bool {
            guard let entries else { return false }
            let entry = place(entries, address)
            // No mapping is so large that an address in it and a size that is less than it overflow.
            return address >= entry.pointee.start && address < entry.pointee.end
                && size <= entry.pointee.end &- address
                && entry.pointee.protection & UInt64(wanted.rawValue) == UInt64(wanted.rawValue)
        }

        /// Remembers a mapping for a page in it.
        static func note(_ address: UInt64, _ mapping: AddressSpace.Mapping) {
            guard let entries else { return forget() }
            place(entries, address).pointee = Entry(
                start: mapping.start, end: mapping.usableEnd,
                protection: UInt64(mapping.protection.rawValue))
        }

        /// After anything that changes what a mapping is, or how long the file is that it shows.
        static func forget() {
            let entries = entries ?? .allocate(capacity: count)
            self.entries = entries
            for index in 0..<count {
                (entries + index).initialize(to: Entry(start: 0, end: 0, protection: 0))
            }
        }
    }
#endif
