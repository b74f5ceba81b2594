// Randomness for Swift's generators and hashing: from the CPU or the monitor, or none at all.

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    /// Random octets that an attacker cannot guess.
    public enum Randomness {
        /// A source besides the CPU, added by whoever drives a virtio-rng: fills or returns false.
        nonisolated(unsafe) public static var device: ((UnsafeMutableRawBufferPointer) -> Bool)?

        /// Fills `bytes`. Without a source there is no honest answer: the machine stops and says so.
        public static func fill(_ bytes: UnsafeMutableRawBufferPointer) {
            if Processor.features.hasRandom {
                var index = 0
                while index < bytes.count {
                    guard var word = word() else { break }
                    let count = min(8, bytes.count - index)
                    withUnsafeBytes(of: &word) {
                        bytes.baseAddress.unsafelyUnwrapped.advanced(by: index)
                            .copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: count)
                    }
                    index += count
                }
                if index >= bytes.count { return }
            }
            if let device, device(bytes) { return }
            StandardOutput.flush()
            Faults.fail(
                "no source of randomness: the CPU has no RDRAND and the machine no virtio-rng")
        }

        /// RDRAND may be out of numbers for a moment: ten tries (SDM volume 1 §7.3.17.1).
        private static func word() -> UInt64? {
            var value: UInt64 = 0
            for _ in 0..<10 where swiftlet_rdrand(&value) != 0 { return value }
            return nil
        }
    }

    @_cdecl("arc4random_buf")
    func cArc4randomBuf(_ target: UnsafeMutableRawPointer, _ count: Int) {
        Randomness.fill(UnsafeMutableRawBufferPointer(start: target, count: count))
    }
#endif
