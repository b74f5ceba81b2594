// Handlers of signals: the frame on the program's stack, and the way back (sigreturn(2)).

import CSwiftletMachine
import SwiftletMachine
import SwiftletRuntime

#if hasFeature(Embedded)
    /// The frame's layout (struct rt_sigframe and struct ucontext of Linux's ABI for x86-64):
    /// return address, context, information.
    private enum SignalFrame {
        static let context = 8
        static let stack = context + 16
        static let registers = context + 40
        static let floatingPointPointer = registers + 184
        /// In the reserved words: where a call is that is to be made again, and its number plus one.
        static let restartedAt = registers + 192
        static let restarted = registers + 200
        static let mask = context + 296
        static let information = context + 304
        static let size = information + 128
        /// What a program may keep below its stack pointer without saying so (System V ABI §3.2.2).
        static let redZone: UInt64 = 128
        // Behind the registers of FXSAVE (asm/sigcontext.h).
        static let `extension`: UInt64 = 464
        static let extensionMark: UInt32 = 0x4650_5853
        static let extensionEnd: UInt32 = 0x4650_5845
        /// Octets of the `syscall` instruction.
        static let instructionSize: UInt64 = 2
    }

    extension LinuxThread {
        /// Hands over the signals that may be; the last one's handler runs first.
        ///
        /// - Parameter call: the call in the registers if it has not come to its end.
        func deliverSignals(during call: InterruptedCall?) {
            var unfinished = call
            // What a handler returns to: during sigsuspend, the mask from before it.
            while let information = ProcessSignals.take(for: self, from: ~signals.mask) {
                let action = ProcessSignals.actions[Int(information.signal)]
                if action.handler == SignalAction.ignored { continue }
                if action.handler == SignalAction.byDefault {
                    if Signal.isIgnoredByDefault(information.signal) { continue }
                    return end(by: information)
                }
                var restartsCall = false
                if let unfinished {
                    Futex.cancel(self)
                    restartsCall =
                        unfinished.restart == .always
                        || unfinished.restart == .ifWanted
                            && action.flags & SignalAction.restarts != 0
                    if !restartsCall { frame.registers.rax = unfinished.result }
                }
                do throws(Errno) {
                    try enter(action, information, restartsCall: restartsCall)
                } catch {
                    // No room for the frame: Linux, too, ends such a program.
                    return end(by: SignalInformation(signal: Signal.segmentation))
                }
                unfinished = nil
            }
            if unfinished != nil {
                // No handler runs after all: the call goes on, with what it has waited and done.
                isInCall = true
                return
            }
            if let mask = wait.savedMask {
                wait.savedMask = nil
                signals.mask = mask
            }
        }

        private func enter(
            _ action: SignalAction, _ information: SignalInformation, restartsCall: Bool
        ) throws(Errno) {
            // An address that is none would be a fault of ours on the way to it.
            guard action.handler < AddressSpace.programEnd else { throw .fault }
            var registers = frame.registers
            // A handler sees a call that is to be made again not made yet: so C libraries know that it
            // can still be left (pthread_cancel(3)).
            if restartsCall { registers.rip &-= SignalFrame.instructionSize }
            var stack = registers.rsp &- SignalFrame.redZone
            let isOnStack =
                registers.rsp >= signals.stackBase
                && registers.rsp - signals.stackBase <= signals.stackSize
            if action.flags & SignalAction.onStack != 0, !signals.stackIsDisabled, !isOnStack {
                stack = signals.stackBase &+ signals.stackSize
            }
            let extendedSize = max(ProgramMode.extendedSize, ThreadFrame.floatingPointSize)
            let floatingPoint = (stack &- UInt64(extendedSize + 4)) & ~63
            let base = ((floatingPoint &- UInt64(SignalFrame.size)) & ~15) &- 8
            try saveVectors(at: floatingPoint)
            try UserMemory.clear(base, SignalFrame.size)
            func put(_ value: UInt64, _ offset: Int) throws(Errno) {
                try UserMemory.store(value, at: base &+ UInt64(offset))
            }
            try put(action.restorer, 0)
            try put(signals.stackBase, SignalFrame.stack)
            try put(signals.stackIsDisabled ? 2 : 0, SignalFrame.stack + 8)
            try put(signals.stackSize, SignalFrame.stack + 16)
            let saved = Self.saved(registers)
            for index in 0..<18 { try put(saved[index], SignalFrame.registers + index * 8) }
            try put(UInt64(0x10) << 48 | 0x08, SignalFrame.registers + 144)
            try put(registers.error_code, SignalFrame.registers + 152)
            try put(registers.vector, SignalFrame.registers + 160)
            try put(registers.address, SignalFrame.registers + 176)
            try put(floatingPoint, SignalFrame.floatingPointPointer)
            try put(restartsCall ? registers.rip : 0, SignalFrame.restartedAt)
            try put(restartsCall ? registers.rax &+ 1 : 0, SignalFrame.restarted)
            try put(wait.savedMask ?? signals.mask, SignalFrame.mask)
            try put(UInt64(UInt32(bitPattern: information.signal)), SignalFrame.information)
            try put(UInt64(UInt32(bitPattern: information.code)), SignalFrame.information + 8)
            try put(information.address, SignalFrame.information + 16)

            wait.savedMask = nil
            signals.mask |= action.mask
            if action.flags & SignalAction.noDefer == 0 {
                signals.mask |= Signal.bit(information.signal)
            }
            signals.mask &= ~Signal.unmaskable
            if action.flags & SignalAction.resets != 0 {
                ProcessSignals.actions[Int(information.signal)].handler = SignalAction.byDefault
            }
            frame.registers.rsp = base
            frame.registers.rip = action.handler
            frame.registers.rdi = UInt64(UInt32(bitPattern: information.signal))
            frame.registers.rsi = base &+ UInt64(SignalFrame.information)
            frame.registers.rdx = base &+ UInt64(SignalFrame.context)
            frame.registers.rax = 0
            frame.registers.rflags &= ~(1 << 10)
            frame.clearVectors()
        }

        /// Floating-point and vector registers as Linux leaves them for a handler: FXSAVE's part, whose
        /// last words say that more follows (struct _fpx_sw_bytes), XSAVE's, and a word behind it.
        private func saveVectors(at place: UInt64) throws(Errno) {
            try UserMemory.copy(frame.floatingPoint, to: place)
            let size = ProgramMode.extendedSize
            guard size > 0 else { return }
            try UserMemory.copy(
                frame.extendedStates, to: place &+ UInt64(ThreadFrame.floatingPointSize))
            let words = place &+ SignalFrame.extension
            try UserMemory.store(SignalFrame.extensionMark, at: words)
            try UserMemory.store(UInt32(size + 4), at: words &+ 4)
            try UserMemory.store(UInt64(swiftlet_linux_extended_states) | 3, at: words &+ 8)
            try UserMemory.store(UInt32(size), at: words &+ 16)
            try UserMemory.store(SignalFrame.extensionEnd, at: place &+ UInt64(size))
        }

        private func loadExtended(at place: UInt64) throws(Errno) {
            let mark: UInt32 = try UserMemory.load(place &+ SignalFrame.extension)
            let skipped = ThreadFrame.floatingPointSize
            guard ProgramMode.extendedSize > 0, mark == SignalFrame.extensionMark else { return }
            try UserMemory.withBytes(
                place &+ UInt64(skipped), ProgramMode.extendedSize - skipped
            ) { (bytes) throws(Errno) in frame.setExtendedStates(bytes) }
        }

        /// In the order of struct sigcontext.
        private static func saved(_ r: swiftlet_linux_frame) -> InlineArray<18, UInt64> {
            [
                r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx,
                r.rdx, r.rax, r.rcx, r.rsp, r.rip, r.rflags,
            ]
        }

        /// Back from a handler: all registers as the frame says (rt_sigreturn(2)).
        func returnFromSignal() throws(Errno) -> Int64 {
            let base = frame.registers.rsp &- 8
            func get(_ offset: Int) throws(Errno) -> UInt64 {
                try UserMemory.load(base &+ UInt64(offset))
            }
            func register(_ index: Int) throws(Errno) -> UInt64 {
                try get(SignalFrame.registers + index * 8)
            }
            var r = frame.registers
            r.r8 = try register(0)
            r.r9 = try register(1)
            r.r10 = try register(2)
            r.r11 = try register(3)
            r.r12 = try register(4)
            r.r13 = try register(5)
            r.r14 = try register(6)
            r.r15 = try register(7)
            r.rdi = try register(8)
            r.rsi = try register(9)
            r.rbp = try register(10)
            r.rbx = try register(11)
            r.rdx = try register(12)
            r.rax = try register(13)
            r.rcx = try register(14)
            r.rsp = try register(15)
            r.rip = try register(16)
            // Of the flags, what a program may change: not the interrupt flag.
            r.rflags = try register(17) & 0xCD5 | 0x202
            // If the handler has led elsewhere, the call is not made.
            let (place, number) = (
                try get(SignalFrame.restartedAt), try get(SignalFrame.restarted)
            )
            let restartsCall = number != 0 && r.rip == place
            if restartsCall { r.rip &+= SignalFrame.instructionSize }
            guard r.rip < AddressSpace.programEnd else {
                end(
                    by: SignalInformation(signal: Signal.segmentation, code: 128, address: r.rip))
                throw .suspended
            }
            frame.registers = r
            let floatingPoint = try get(SignalFrame.floatingPointPointer)
            if floatingPoint != 0 {
                try UserMemory.withBytes(floatingPoint, ThreadFrame.floatingPointSize) {
                    (bytes) throws(Errno) in frame.setFloatingPoint(bytes)
                }
                try loadExtended(at: floatingPoint)
            }
            signals.mask = try get(SignalFrame.mask) & ~Signal.unmaskable
            leaves = true
            if restartsCall {
                wait = WaitState()
                isRestarted = true
                return Int64(bitPattern: number &- 1)
            }
            return Int64(bitPattern: r.rax)
        }

        /// An exception of the program's becomes a signal that it cannot hold back.
        func exception(vector: UInt64, errorCode: UInt64, address: UInt64) {
            let information: SignalInformation =
                switch vector {
                case 0, 16, 19:
                    SignalInformation(
                        signal: Signal.arithmetic, code: vector == 0 ? 1 : 7,
                        address: frame.registers.rip)
                case 1, 3: SignalInformation(signal: Signal.trap, code: 128)
                case 6:
                    SignalInformation(
                        signal: Signal.illegal, code: 2, address: frame.registers.rip)
                case 14: Self.fault(errorCode, address)
                case 17: SignalInformation(signal: Signal.bus, code: 1)
                default: SignalInformation(signal: Signal.segmentation, code: 128)
                }
            let bit = Signal.bit(information.signal)
            let action = ProcessSignals.actions[Int(information.signal)]
            if signals.mask & bit != 0 || action.handler <= SignalAction.ignored {
                return end(by: information)
            }
            signals.pendingBits |= bit
            signals.pending.insert(information, at: 0)
            Scheduler.makeReady(self)
        }

        /// Of a page that is not there, or does not allow what was tried; or that a file would have if
        /// it were longer (SIGBUS).
        private static func fault(_ errorCode: UInt64, _ address: UInt64) -> SignalInformation {
            guard let mapping = AddressSpace.find(address) else {
                return SignalInformation(
                    signal: Signal.segmentation, code: 1, address: address)
            }
            let isWrite = errorCode & 1 << 1 != 0
            let isAllowed =
                !mapping.protection.isEmpty && (!isWrite || mapping.protection.contains(.write))
            return SignalInformation(
                signal: mapping.file != 0 && isAllowed ? Signal.bus : Signal.segmentation,
                code: 2, address: address)
        }

        /// The signal ends the program; of a fault, the console says where.
        private func end(by information: SignalInformation) {
            if information.code > 0, information.signal != Signal.kill {
                StandardOutput.flush()
                Console.write("swiftlet: the program ends by signal ")
                Console.write(decimal: UInt64(UInt32(bitPattern: information.signal)))
                Console.write(": address ")
                Console.write(hexadecimal: information.address)
                Console.write("\n")
                Faults.writeFrame(frame.registers.rip)
            }
            state = .ended
            ProgramEnd.exit(signal: information.signal)
        }
    }
#endif
