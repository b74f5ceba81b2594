// Local APIC and I/O APICs (Intel SDM volume 3 chapter 11; 82093AA data sheet): all that interrupts
// do here is to end an idle `hlt`.

import CSwiftletMachine

#if hasFeature(Embedded)
    /// Routes device interrupts to the one CPU, and its timer.
    public enum InterruptController {
        nonisolated(unsafe) private static var isReady = false
        nonisolated(unsafe) private static var isX2APIC = false
        nonisolated(unsafe) private static var registers: UInt = 0
        nonisolated(unsafe) private static var nextVector = Processor.firstInterruptVector

        private static let apicBase: UInt32 = 0x1B
        private static let x2apicBase: UInt32 = 0x800
        private static let defaultIOAPIC: UInt64 = 0xFEC0_0000

        enum Register: UInt32 {
            case spurious = 0xF
            case timerVector = 0x32
            case timerInitialCount = 0x38
            case timerCurrentCount = 0x39
            case timerDivide = 0x3E
        }

        /// Enables the local APIC and silences the legacy controllers. Done when the first
        /// interrupt is asked for: a program that never waits does not pay for it.
        static func prepare() {
            guard !isReady else { return }
            isReady = true
            // Legacy PICs, where there are any: all lines masked.
            swiftlet_out8(0x21, 0xFF)
            swiftlet_out8(0xA1, 0xFF)
            isX2APIC = Processor.features.hasX2APIC
            let base = swiftlet_rdmsr(apicBase)
            if isX2APIC {
                swiftlet_wrmsr(apicBase, base | 1 << 11 | 1 << 10)
            } else {
                swiftlet_wrmsr(apicBase, base | 1 << 11)
                registers = UInt(
                    bitPattern: Platform.mapDevice(
                        GuestPhysicalAddress(base & 0x000F_FFFF_FFFF_F000), size: 4096))
                swiftlet_xapic_end_of_interrupt = UInt64(registers + 0xB0)
            }
            write(.spurious, 1 << 8 | UInt32(Processor.spuriousVector))
        }

        static func write(_ register: Register, _ value: UInt32) {
            if isX2APIC {
                swiftlet_wrmsr(x2apicBase + register.rawValue, UInt64(value))
            } else {
                swiftlet_store32(registers + UInt(register.rawValue) << 4, value)
            }
        }

        static func read(_ register: Register) -> UInt32 {
            isX2APIC
                ? UInt32(truncatingIfNeeded: swiftlet_rdmsr(x2apicBase + register.rawValue))
                : swiftlet_load32(registers + UInt(register.rawValue) << 4)
        }

        /// A vector for one more device; after fourteen the last one is shared, since a vector
        /// says no more than "poll".
        public static func allocateVector() -> UInt8 {
            prepare()
            let vector = nextVector
            if nextVector < Processor.consoleVector - 1 { nextVector += 1 }
            return vector
        }

        /// Routes a global system interrupt, edge-triggered, to a vector of its own.
        ///
        /// - Returns: false if no I/O APIC has that line.
        public static func enable(globalInterrupt: UInt32) -> Bool {
            if BuiltInMonitor.isPresent { return true }
            return enable(globalInterrupt: globalInterrupt, vector: allocateVector())
        }

        /// Routes a global system interrupt, edge-triggered, to this vector.
        ///
        /// - Returns: false if no I/O APIC has that line.
        @inline(never)
        static func enable(globalInterrupt: UInt32, vector: UInt8) -> Bool {
            prepare()
            var found: (address: UInt64, line: UInt32)?
            ACPI.forEachIOAPIC { address, first in
                if globalInterrupt >= first, globalInterrupt - first < 240 {
                    if found == nil || globalInterrupt - first < found.unsafelyUnwrapped.line {
                        found = (address, globalInterrupt - first)
                    }
                }
            }
            let (address, line) = found ?? (defaultIOAPIC, globalInterrupt)
            let ioapic = UInt(
                bitPattern: Platform.mapDevice(GuestPhysicalAddress(address), size: 4096))
            // Version register: the number of the last line in bits 16…23.
            swiftlet_store32(ioapic, 1)
            guard line <= swiftlet_load32(ioapic + 0x10) >> 16 & 0xFF else { return false }
            swiftlet_store32(ioapic, 0x10 + line * 2 + 1)
            swiftlet_store32(ioapic + 0x10, 0)  // destination: APIC 0, the boot CPU
            swiftlet_store32(ioapic, 0x10 + line * 2)
            swiftlet_store32(ioapic + 0x10, UInt32(vector))  // fixed, edge, active high, unmasked
            return true
        }
    }
#endif
