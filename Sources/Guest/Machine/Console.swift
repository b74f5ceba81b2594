// The serial console: a 16550 UART at COM1, which every monitor offers but the built-in one, which
// is asked directly.

import CSwiftletMachine

/// The console of last resort and first output: polled, so that it works at any time, from a
/// fault handler too.
public enum Console {
    /// COM1. The monitor's UART has no wire behind it: it takes octets as fast as they are written,
    /// so the line status is read only now and then (a real port drops what comes too fast).
    private static let port: UInt16 = 0x3F8
    private static let lineStatus: UInt16 = 0x3FD
    private static let transmitterEmpty: UInt8 = 0x20
    private static let fifoDepth = 16

    /// Writes octets, as they are.
    public static func write(_ bytes: UnsafeRawBufferPointer) {
        #if hasFeature(Embedded)
            if BuiltInMonitor.isPresent { return BuiltInMonitor.write(bytes) }
            var index = 0
            while index < bytes.count {
                if index % fifoDepth == 0 { waitForRoom() }
                swiftlet_out8(port, bytes[index])
                index += 1
            }
        #endif
    }

    public static func write(_ text: StaticString) {
        unsafe write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// `0x` and sixteen hexadecimal digits.
    public static func write(hexadecimal value: UInt64) {
        write("0x")
        var shift: UInt64 = 64
        while shift > 0 {
            shift -= 4
            let digit = UInt8(truncatingIfNeeded: value >> shift & 0xF)
            write(byte: digit + (digit < 10 ? 48 : 87))
        }
    }

    /// A decimal number.
    public static func write(decimal value: UInt64) {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            write(byte: 48 + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    public static func write(byte: UInt8) {
        #if hasFeature(Embedded)
            if BuiltInMonitor.isPresent {
                var byte = byte
                return withUnsafeBytes(of: &byte) { BuiltInMonitor.write($0) }
            }
            waitForRoom()
            swiftlet_out8(port, byte)
        #endif
    }

    #if hasFeature(Embedded)
        private static func waitForRoom() {
            // Bounded: where no UART answers, output is lost, not the machine.
            var attempts = 0
            while swiftlet_in8(lineStatus) & transmitterEmpty == 0, attempts < 100_000 {
                attempts += 1
            }
        }
    #endif
}
