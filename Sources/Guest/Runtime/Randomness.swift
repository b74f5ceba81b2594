// Randomness for Swift's generators and hashing: from the CPU or the monitor, or none at all.

import CSwiftletMachine
import SwiftletMachine
import SwiftletVirtio

#if hasFeature(Embedded)
    /// Random octets that an attacker cannot guess.
    public enum Randomness {
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
            if fillFromDevice(bytes) { return }
            StandardOutput.flush()
            Faults.fail(
                "no source of randomness: the CPU has no RDRAND and the machine no virtio-rng")
        }

        /// The monitor's entropy device, once it was needed. It lives as long as the machine.
        nonisolated(unsafe) private static var device: UnsafeMutablePointer<VirtioEntropy>?
        /// Looks at the device before it is given up: seconds, as hosts can be slow.
        private static let patience = 100_000_000

        private static func fillFromDevice(_ bytes: UnsafeMutableRawBufferPointer) -> Bool {
            if device == nil {
                let line = Boot.commandLine.bytes
                guard let transport = VirtioBus.find(.entropy, commandLine: line),
                    let entropy = try? VirtioEntropy(transport: transport)
                else { return false }
                device = .allocate(capacity: 1)
                device?.initialize(to: entropy)
            }
            guard let device else { return false }
            var span = bytes.mutableBytes
            var looks = 0
            do throws(VirtioError) {
                try device.pointee.fill(&span) {
                    if BuiltInMonitor.isPresent {
                        BuiltInMonitor.wait(0)
                    } else {
                        swiftlet_pause()
                    }
                    looks += 1
                    return looks < patience
                }
                return true
            } catch {
                return false
            }
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
