// What comes in on the serial console (a 16550 UART; National Semiconductor PC16550D, §8).

import CSwiftletMachine

#if hasFeature(Embedded)
    /// The console's other direction. Nothing comes before `enable`.
    public enum ConsoleInput {
        private static let receiverBuffer: UInt16 = 0x3F8
        private static let interruptEnable: UInt16 = 0x3F9
        private static let modemControl: UInt16 = 0x3FC
        private static let lineStatus: UInt16 = 0x3FD
        private static let dataReady: UInt8 = 1 << 0
        /// On a PC this output of the UART lets its interrupt through.
        private static let out2: UInt8 = 1 << 3
        /// ISA's line of COM1, which every I/O APIC has at the same place.
        private static let line: UInt32 = 4
        /// Octets read at once at most: where no UART answers, they never end.
        private static let burst = 16

        /// Has an octet that comes end the idle wait.
        public static func enable() {
            if BuiltInMonitor.isPresent { return BuiltInMonitor.listen() }
            Processor.setConsoleGate()
            _ = InterruptController.enable(
                globalInterrupt: line, vector: Processor.consoleVector)
            swiftlet_out8(modemControl, out2)
            swiftlet_out8(interruptEnable, dataReady)
            deadline = 0
        }

        /// When it has to be looked at, in nanoseconds of the clock: at once after an interrupt,
        /// never before `enable`.
        @inline(__always)
        public static var deadline: UInt64 {
            get { swiftlet_console_deadline }
            set { swiftlet_console_deadline = newValue }
        }

        /// Takes what has come, and tells whether `octet` was in it. To be asked when `deadline` has
        /// come.
        public static func takes(_ octet: UInt8) -> Bool {
            // The built-in monitor speaks of one octet only: when it has come, and then for good.
            if BuiltInMonitor.isPresent { return true }
            var found = false
            var count = 0
            while count < burst, swiftlet_in8(lineStatus) & dataReady != 0 {
                if swiftlet_in8(receiverBuffer) == octet { found = true }
                count += 1
            }
            return found
        }
    }
#endif
