// The report of a fault in the guest: name, registers, backtrace, in the words that the guest uses
// under other monitors. Nothing of it runs in the guest, whose state may be anything.

import CSwiftletKVM

/// What the processor said of an exception, and what the registers were.
struct Fault {
    var vector: Int
    var errorCode: UInt64
    /// CR2: the address that a page fault is about.
    var address: UInt64
    var registers: kvm_regs

    /// As a shell counts the signal.
    var exitCode: UInt8 {
        switch vector {
        case 0, 16, 19: FaultExitCode.arithmetic
        case 6: FaultExitCode.illegalInstruction
        default: FaultExitCode.segmentationFault
        }
    }

    /// Names of SDM volume 3 table 6-1.
    private var name: String {
        switch vector {
        case 0: "divide error"
        case 1: "debug exception"
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
        default: "exception \(vector)"
        }
    }

    /// The whole report, in lines.
    func report(_ memory: GuestMemory, _ layout: MachineLayout) -> String {
        var text = "\nswiftlet: fault: \(name)"
        if vector == 14 { text += pageFault(layout) }
        text += "\n" + registerLines()
        for address in backtrace(memory, layout) { text += "  at \(hexadecimal(address))\n" }
        return text
    }

    private func pageFault(_ layout: MachineLayout) -> String {
        let verb =
            errorCode & 1 << 4 != 0
            ? "executing" : errorCode & 1 << 1 != 0 ? "writing" : "reading"
        let guardPage = (layout.stack.lowerBound - MachineLayout.pageSize)..<layout.stack.lowerBound
        let what =
            if address < MachineLayout.pageSize {
                "a null pointer"
            } else if guardPage.contains(address) {
                "the stack's guard: stack overflow"
            } else if errorCode & 1 != 0 {
                "which its page forbids"
            } else {
                "where nothing is mapped"
            }
        return ": \(verb) \(hexadecimal(address)), \(what)"
    }

    private func registerLines() -> String {
        let r = registers
        let lines: [[(String, UInt64)]] = [
            [("rip", r.rip), ("rsp", r.rsp), ("rbp", r.rbp), ("flags", r.rflags)],
            [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
            [("rsi", r.rsi), ("rdi", r.rdi), ("r8 ", r.r8), ("r9 ", r.r9)],
            [("r10", r.r10), ("r11", r.r11), ("r12", r.r12), ("r13", r.r13)],
            [("r14", r.r14), ("r15", r.r15), ("error", errorCode), ("cr2", address)],
        ]
        return lines.map { line in
            line.map { " \($0.0) \(hexadecimal($0.1))" }.joined() + "\n"
        }.joined()
    }

    /// Return addresses by frame pointers, as far as they stay within the stack and rise.
    private func backtrace(_ memory: GuestMemory, _ layout: MachineLayout) -> [UInt64] {
        func word(_ address: UInt64) -> UInt64? {
            guard layout.stack.contains(address),
                let physical = layout.physicalAddress(address, length: 8),
                let pointer = memory.pointer(physical, 8)
            else { return nil }
            return pointer.loadUnaligned(as: UInt64.self)
        }
        var addresses = [registers.rip]
        if !layout.image.contains(registers.rip), let caller = word(registers.rsp) {
            // A call into nowhere: the caller is known by what it has just pushed.
            addresses.append(caller)
        }
        var frame = registers.rbp
        while addresses.count < 65, frame % 8 == 0, let next = word(frame),
            let address = word(frame &+ 8), address != 0
        {
            addresses.append(address)
            guard next > frame else { break }
            frame = next
        }
        return addresses
    }

    private func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return "0x" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
