// How the machine ends: the exit code to the monitor, then power-off.

import CSwiftletMachine

#if hasFeature(Embedded)
    /// Power-off, by what the machine offers.
    public enum Power {
        /// The port that takes the exit code, if the monitor named one on the command line.
        nonisolated(unsafe) public static var exitPort: UInt16 = 0

        /// Hands `code` to the monitor and ends the machine.
        public static func off(code: UInt8) -> Never {
            if BuiltInMonitor.isPresent { BuiltInMonitor.exit(code: code) }
            if exitPort != 0 { swiftlet_out8(exitPort, code) }
            ACPI.enterSoftOff()
            // No ACPI, or it did not answer: a reset ends the machine under every monitor that was
            // told not to reboot (QEMU's -no-reboot; Firecracker; Cloud Hypervisor).
            swiftlet_out8(keyboardController, pulseReset)
            swiftlet_triple_fault()
        }

        private static let keyboardController: UInt16 = 0x64
        private static let pulseReset: UInt8 = 0xFE
    }
#endif
