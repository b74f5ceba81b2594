// The program's memory as system calls see it: every address is checked against the mappings
// before it is touched, so that a wild pointer is EFAULT and nothing else.

import SwiftletMachine

#if hasFeature(Embedded)
    /// Reads and writes what pointers of the program name. The one place of this module where its
    /// addresses become pointers.
    enum UserMemory {
        /// The longest path, its NUL included (PATH_MAX).
        static let longestPath = 4096

        @inline(__always)
        private static func check(
            _ address: UInt64, _ count: Int, _ wanted: Protection
        ) throws(Errno) {
            guard
                Lookups.isKnown(address, UInt64(bitPattern: Int64(count)), wanted)
                    || count >= 0 && AddressSpace.allows(address, UInt64(count), wanted)
            else { throw .fault }
        }

        /// Whether `count` octets there may be written.
        static func checkWritable(_ address: UInt64, _ count: Int) throws(Errno) {
            try check(address, count, .write)
        }

        static func load<T: BitwiseCopyable>(
            _ address: UInt64, as type: T.Type = T.self
        ) throws(Errno) -> T {
            try check(address, MemoryLayout<T>.size, .read)
            return UnsafeRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
                .loadUnaligned(as: type)
        }

        static func store<T: BitwiseCopyable>(_ value: T, at address: UInt64) throws(Errno) {
            try check(address, MemoryLayout<T>.size, .write)
            UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
                .storeBytes(of: value, as: T.self)
        }

        /// Shows octets of the program's.
        static func withBytes<R>(
            _ address: UInt64, _ count: Int, _ body: (RawSpan) throws(Errno) -> R
        ) throws(Errno) -> R {
            try check(address, count, .read)
            return try body(
                UnsafeRawBufferPointer(
                    start: UnsafeRawPointer(bitPattern: UInt(address)), count: count
                ).bytes)
        }

        /// Shows octets of the program's, to be written.
        static func withMutableBytes<R>(
            _ address: UInt64, _ count: Int, _ body: (inout MutableRawSpan) throws(Errno) -> R
        ) throws(Errno) -> R {
            try check(address, count, .write)
            var bytes = UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: UInt(address)), count: count
            ).mutableBytes
            return try body(&bytes)
        }

        static func copy(_ bytes: RawSpan, to address: UInt64) throws(Errno) {
            try check(address, bytes.byteCount, .write)
            guard bytes.byteCount > 0 else { return }
            bytes.withUnsafeBytes {
                UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
                    .copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: $0.count)
            }
        }

        static func copy(_ bytes: [UInt8], to address: UInt64) throws(Errno) {
            try copy(bytes.span.bytes, to: address)
        }

        static func array(_ address: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
            try check(address, count, .read)
            return [UInt8](
                UnsafeRawBufferPointer(
                    start: UnsafeRawPointer(bitPattern: UInt(address)), count: count))
        }

        /// A path: the octets up to a NUL.
        static func path(_ address: UInt64) throws(Errno) -> [UInt8] {
            var result: [UInt8] = []
            var next = address
            while result.count < longestPath {
                guard let mapping = AddressSpace.find(next), !mapping.protection.isEmpty else {
                    throw .fault
                }
                let end = mapping.usableEnd
                guard next < end else { throw .fault }
                while next < end, result.count < longestPath {
                    let octet = UnsafeRawPointer(bitPattern: UInt(next)).unsafelyUnwrapped
                        .load(as: UInt8.self)
                    if octet == 0 { return result }
                    result.append(octet)
                    next += 1
                }
            }
            throw .nameTooLong
        }

        /// Sets octets to zero.
        static func clear(_ address: UInt64, _ count: Int) throws(Errno) {
            try check(address, count, .write)
            guard count > 0 else { return }
            UnsafeMutableRawPointer(bitPattern: UInt(address)).unsafelyUnwrapped
                .initializeMemory(as: UInt8.self, repeating: 0, count: count)
        }

        /// An address of a word that threads wait at: aligned, and readable.
        static func futexWord(_ address: UInt64) throws(Errno) -> UInt32 {
            guard address % 4 == 0 else { throw .invalid }
            return try load(address)
        }
    }
#endif
