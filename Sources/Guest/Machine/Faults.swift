// The report that every CPU exception ends in: name, registers, backtrace.

import CSwiftletMachine

#if hasFeature(Embedded)
    /// Where backtraces may walk: the application's stack.
    public struct StackBounds {
        /// The lowest octet in use; the page below is the guard.
        public var bottom: UInt64
        /// The octet after the highest.
        public var top: UInt64

        public init(bottom: UInt64, top: UInt64) {
            self.bottom = bottom
            self.top = top
        }
    }

    /// What happens when the machine cannot go on: a report on the serial console, then power-off.
    public enum Faults {
        /// Set once the application's stack stands.
        nonisolated(unsafe) public static var stack = StackBounds(bottom: 0, top: 0)
        nonisolated(unsafe) private static var isReporting = false

        /// What shells expect of a program ended by SIGSEGV (128 + 11), SIGILL, SIGFPE, SIGABRT.
        enum ExitCode {
            static let segmentationFault: UInt8 = 139
            static let illegalInstruction: UInt8 = 132
            static let arithmetic: UInt8 = 136
            static let abort: UInt8 = 134
        }

        /// Names of SDM volume 3 table 6-1.
        private static func name(of vector: UInt64) -> StaticString {
            switch vector {
            case 0: "divide error"
            case 1: "debug exception"
            case 2: "non-maskable interrupt"
            case 3: "breakpoint"
            case 4: "overflow"
            case 5: "bound range exceeded"
            case 6: "illegal instruction (a failed precondition, or a trap)"
            case 7: "device not available"
            case 8: "double fault"
            case 10: "invalid TSS"
            case 11: "segment not present"
            case 12: "stack segment fault"
            case 13: "general protection fault"
            case 14: "page fault"
            case 16: "x87 floating-point error"
            case 17: "alignment check"
            case 18: "machine check"
            case 19: "SIMD floating-point error"
            case 21: "control protection exception"
            default: "reserved exception"
            }
        }

        static func report(_ frame: borrowing swiftlet_fault_frame) -> Never {
            if isReporting {
                Console.write("\nswiftlet: a second fault while reporting the first\n")
                Power.off(code: ExitCode.segmentationFault)
            }
            isReporting = true
            if frame.vector == 6, isAfterMain(frame.rip) { endOfThrowingMain(frame.rip) }
            Console.write("\nswiftlet: fault: ")
            Console.write(name(of: frame.vector))
            let address = swiftlet_read_cr2()
            if frame.vector == 14 {
                describePageFault(address, errorCode: frame.error_code)
            }
            Console.write("\n")
            writeRegisters(frame)
            writeFrame(frame.rip)
            if !isCode(frame.rip), frame.rsp >= stack.bottom, frame.rsp &+ 8 <= stack.top,
                let top = UnsafePointer<UInt64>(bitPattern: UInt(frame.rsp))
            {
                // A call into nowhere: the caller is known by what it has just pushed.
                writeFrame(top.pointee)
            }
            backtrace(framePointer: frame.rbp)
            Power.off(code: exitCode(frame.vector))
        }

        /// Ends the machine because the program broke a rule: a line, a backtrace, power-off.
        public static func fail(_ reason: StaticString) -> Never {
            Console.write("\nswiftlet: fault: ")
            Console.write(reason)
            Console.write("\n")
            backtrace(framePointer: UInt64(swiftlet_frame_pointer()))
            Power.off(code: ExitCode.abort)
        }

        private static func exitCode(_ vector: UInt64) -> UInt8 {
            switch vector {
            case 0, 16, 19: ExitCode.arithmetic
            case 6: ExitCode.illegalInstruction
            default: ExitCode.segmentationFault
            }
        }

        private static func describePageFault(_ address: UInt64, errorCode: UInt64) {
            let present = errorCode & 1 << 0 != 0
            if errorCode & 1 << 4 != 0 {
                Console.write(": executing ")
            } else if errorCode & 1 << 1 != 0 {
                Console.write(": writing ")
            } else {
                Console.write(": reading ")
            }
            Console.write(hexadecimal: address)
            if address < 4096 {
                Console.write(", a null pointer")
            } else if address < stack.bottom, address >= stack.bottom &- 4096 {
                Console.write(", the stack's guard: stack overflow")
            } else if present {
                Console.write(", which its page forbids")
            } else {
                Console.write(", where nothing is mapped")
            }
        }

        private static func writeRegisters(_ f: borrowing swiftlet_fault_frame) {
            register(" rip ", f.rip)
            register(" rsp ", f.rsp)
            register(" rbp ", f.rbp)
            register(" flags ", f.rflags)
            Console.write("\n")
            register(" rax ", f.rax)
            register(" rbx ", f.rbx)
            register(" rcx ", f.rcx)
            register(" rdx ", f.rdx)
            Console.write("\n")
            register(" rsi ", f.rsi)
            register(" rdi ", f.rdi)
            register(" r8  ", f.r8)
            register(" r9  ", f.r9)
            Console.write("\n")
            register(" r10 ", f.r10)
            register(" r11 ", f.r11)
            register(" r12 ", f.r12)
            register(" r13 ", f.r13)
            Console.write("\n")
            register(" r14 ", f.r14)
            register(" r15 ", f.r15)
            register(" error ", f.error_code)
            register(" cr2 ", swiftlet_read_cr2())
            Console.write("\n")
        }

        private static func register(_ name: StaticString, _ value: UInt64) {
            Console.write(name)
            Console.write(hexadecimal: value)
        }

        /// One line a frame, in the form that the command line symbolises.
        private static func backtrace(framePointer: UInt64) {
            var frame = framePointer
            var count = 0
            while count < 64, frame % 8 == 0, frame >= stack.bottom, frame &+ 16 <= stack.top,
                let words = UnsafePointer<UInt64>(bitPattern: UInt(frame)), words[1] != 0
            {
                writeFrame(words[1])
                // Frames of callers lie higher; anything else is not a chain.
                guard words[0] > frame else { return }
                frame = words[0]
                count += 1
            }
        }

        private static func isCode(_ address: UInt64) -> Bool {
            address >= UInt64(swiftlet_address_of_text_start())
                && address < UInt64(swiftlet_address_of_rodata_start())
        }

        /// Embedded Swift traps where `main` has thrown, and drops the error. There the trap is no
        /// fault of the program's.
        private static func isAfterMain(_ address: UInt64) -> Bool {
            address >= UInt64(swiftlet_address_of_after_main_start())
                && address < UInt64(swiftlet_address_of_after_main_end())
        }

        /// A place in the code as a line of a backtrace.
        public static func writeFrame(_ address: UInt64) {
            Console.write("  at ")
            Console.write(hexadecimal: address)
            Console.write("\n")
        }
    }

    /// `Runtime` ends the application: it knows what was printed and not yet shown.
    @_silgen_name("swiftlet_end_of_throwing_main")
    private func endOfThrowingMain(_ address: UInt64) -> Never

    @_cdecl("swiftlet_report_fault")
    func reportFault(_ frame: UnsafePointer<swiftlet_fault_frame>) {
        Faults.report(frame.pointee)
    }
#endif
