// Running a Linux program: where the processor enters the library OS, and how it is left.

import CSwiftletMachine

#if hasFeature(Embedded)
    /// Why a thread of the program has stopped running.
    public enum ProgramExit {
        /// By a system call that waits, or has ended the thread, or by a signal.
        case call
        /// Its turn is over.
        case timer
    }

    /// The processor, set up for a program: its system calls, exceptions and interrupts.
    public enum ProgramMode {
        /// EFER's bit that allows the instruction `syscall`.
        private static let systemCallEnable: UInt64 = 1
        private static let extendedFeatures: UInt32 = 0xC000_0080
        private static let segments: UInt32 = 0xC000_0081
        private static let entry: UInt32 = 0xC000_0082
        private static let flagMask: UInt32 = 0xC000_0084
        private static let fsBase: UInt32 = 0xC000_0100
        private static let gsBase: UInt32 = 0xC000_0101
        /// TF, IF, DF, NT, AC: cleared by `syscall` (SDM volume 2, SYSCALL).
        private static let maskedFlags: UInt64 = 1 << 8 | 1 << 9 | 1 << 10 | 1 << 14 | 1 << 18

        /// Turns system calls, the program's exceptions and its interrupts over to the library OS.
        ///
        /// - Parameters:
        ///   - processID: what `getpid` answers.
        ///   - stack: the end of memory in the direct map for what the built-in monitor interrupts.
        public static func enable(processID: UInt64, stack: UnsafeMutableRawPointer) {
            swiftlet_linux_process_id = processID
            findExtendedStates()
            setsBasesDirectly = BuiltInMonitor.isPresent || Processor.features.hasFSGSBase
            guard !BuiltInMonitor.isPresent else { return BuiltInMonitor.handleFaults(stack) }
            swiftlet_linux_is_privileged = 1
            // Code 0x08 and data 0x10 for what `syscall` enters; nobody leaves by `sysret`.
            swiftlet_wrmsr(segments, 0x08 << 32)
            swiftlet_wrmsr(entry, UInt64(swiftlet_address_of_linux_instruction()))
            swiftlet_wrmsr(flagMask, maskedFlags)
            swiftlet_wrmsr(extendedFeatures, swiftlet_rdmsr(extendedFeatures) | systemCallEnable)
            let exceptions = UInt64(swiftlet_address_of_linux_exceptions())
            // Double faults, machine checks and the non-maskable interrupt are never the program's.
            for vector in 0..<20 where vector != 2 && vector != 8 && vector != 18 {
                Processor.setGate(vector, exceptions + UInt64(vector) * 16, .fault)
            }
            let interrupts =
                Processor.features.hasX2APIC
                ? swiftlet_address_of_linux_interrupt_x2apic()
                : swiftlet_address_of_linux_interrupt_xapic()
            for vector in 32..<48 where vector != Int(Processor.consoleVector) {
                Processor.setGate(vector, UInt64(interrupts), .interrupt)
            }
        }

        /// The bases of FS and GS are set by instructions, not by MSRs.
        nonisolated(unsafe) private static var setsBasesDirectly = false

        /// Octets of XSAVE's area for the states that programs have besides FXSAVE's (SDM volume 1
        /// §13.4); 0 if there are none, as in ring 0, where boot enables none.
        nonisolated(unsafe) public private(set) static var extendedSize = 0

        /// Of what is enabled, AVX's and AVX-512's: all that lies beyond FXSAVE and is per thread.
        private static func findExtendedStates() {
            guard Processor.features.hasEnabledStates else { return }
            let states = UInt32(truncatingIfNeeded: swiftlet_read_enabled_states()) & 0xE4
            guard states != 0 else { return }
            swiftlet_linux_extended_states = states
            extendedSize = Int(swiftlet_cpuid(0xD, 0).ebx)
        }

        /// Whether the processor offers what programs need here: in ring 3 nobody else can set the
        /// bases of FS and GS.
        public static var isPossible: Bool {
            !BuiltInMonitor.isPresent || Processor.features.hasFSGSBase
        }

        /// Ends the turn of what runs next after so many nanoseconds.
        @inline(__always)
        public static func endTurn(after nanoseconds: UInt64) {
            let now = Clock.now
            if BuiltInMonitor.isPresent {
                BuiltInMonitor.endTurn(after: nanoseconds, now: now)
            } else {
                Clock.interrupt(at: now &+ nanoseconds, now: now)
            }
        }

        /// The bases of FS and GS, in which the program keeps its threads' variables.
        public static func setBases(fs: UInt64, gs: UInt64) {
            if setsBasesDirectly {
                swiftlet_write_fs_base(fs)
                swiftlet_write_gs_base(gs)
            } else {
                swiftlet_wrmsr(fsBase, fs)
                swiftlet_wrmsr(gsBase, gs)
            }
        }

        /// Runs the thread of `frame` until it leaves the program.
        public static func resume(
            _ frame: UnsafeMutablePointer<swiftlet_linux_frame>
        ) -> ProgramExit {
            swiftlet_linux_resume(frame) == UInt32(LINUX_LEFT_BY_TIMER) ? .timer : .call
        }

        /// The program's table in the image, as the builder left it.
        public static var table: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(
                start: UnsafeRawPointer(bitPattern: swiftlet_address_of_linux_program()),
                count: 704)
        }
    }
#endif
