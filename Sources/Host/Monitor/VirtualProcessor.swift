// The state in which the processor enters the image: 64-bit mode, ring 3 (Intel SDM volume 3
// §2.5, §3.4.5).

import CSwiftletKVM
import SwiftletBootProtocol

extension KVM {
    /// Everything that makes ring 3: no instruction of the guest's can change it.
    func setSpecialRegisters(
        pageTables: UInt64, features: ProcessorFeatures
    ) throws(MonitorError) {
        try changeSpecialRegisters { registers in
            let data = Self.segment(SupervisorPages.userData, type: 3)
            registers.cs = Self.segment(SupervisorPages.userCode, type: 11)
            registers.cs.l = 1
            registers.cs.db = 0
            registers.ss = data
            registers.ds = data
            registers.es = data
            registers.fs = data
            registers.gs = data
            registers.tr = kvm_segment()
            registers.tr.selector = SupervisorPages.taskStateSelector
            registers.tr.base = SupervisorPages.taskState
            registers.tr.limit = SupervisorPages.taskStateLimit
            registers.tr.type = 11
            registers.tr.present = 1
            registers.ldt = kvm_segment()
            registers.ldt.unusable = 1
            registers.gdt.base = SupervisorPages.descriptors
            registers.gdt.limit = SupervisorPages.descriptorLimit
            registers.idt.base = SupervisorPages.interruptTable
            registers.idt.limit = SupervisorPages.interruptTableLimit
            registers.cr0 = 0x8005_0033  // PG, AM, WP, NE, ET, MP, PE
            registers.cr3 = pageTables
            var cr4: UInt64 = 0x620  // PAE, OSFXSR, OSXMMEXCPT
            if features.hasModePrevention { cr4 |= 1 << 11 }
            if features.hasBaseInstructions { cr4 |= 1 << 16 }
            if features.hasExtendedStates { cr4 |= 1 << 18 }
            registers.cr4 = cr4
            // LME, LMA, NXE; without SCE, `syscall` is an illegal instruction.
            registers.efer = 0xD00
        }
        // Not every KVM heeds that, so `syscall` leads somewhere: LSTAR and CSTAR (SDM volume 4).
        guard swiftlet_set_system_call_entry(processor, SupervisorPages.systemCallStub) == 2 else {
            throw .system("cannot set the virtual processor's entry for system calls")
        }
        guard features.hasExtendedStates else { return }
        // x87, SSE, AVX and AVX-512, as offered.
        try setExtendedStates(features.extendedStates & 0xE7 | 1)
    }

    /// The contract of MonitorCall.swift.
    func setEntry(_ entry: UInt64, layout: MachineLayout) throws(MonitorError) {
        var registers = kvm_regs()
        registers.rip = entry
        registers.rsp = layout.stack.upperBound
        registers.rdi = layout.startInfo
        registers.rsi = UInt64(bitPattern: layout.imageDelta)
        registers.rdx = layout.stack.lowerBound
        registers.rcx = try timestampFrequency()
        registers.rflags = 0x202  // IF; IOPL 0: ports are the task state's to allow
        try setRegisters(registers)
    }

    /// A flat segment of ring 3.
    private static func segment(_ selector: UInt16, type: UInt8) -> kvm_segment {
        var segment = kvm_segment()
        segment.selector = selector
        segment.limit = 0xFFFF_FFFF
        segment.type = type
        segment.present = 1
        segment.dpl = 3
        segment.db = 1
        segment.s = 1
        segment.g = 1
        return segment
    }
}
