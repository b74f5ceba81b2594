// The CPU: features, control registers, task state and interrupt descriptors (Intel SDM volume 3).

import CSwiftletMachine

/// What CPUID says, asked once.
public struct ProcessorFeatures {
    private let leaf1: swiftlet_cpuid_result
    private let leaf7: swiftlet_cpuid_result
    private let extended1: swiftlet_cpuid_result
    /// The hypervisor's highest leaf (4000_0000h…), 0 without a hypervisor.
    let hypervisorLeaves: UInt32
    /// EBX, ECX, EDX of leaf 4000_0000h: the hypervisor's name.
    let hypervisorSignature: (UInt32, UInt32, UInt32)
    let highestLeaf: UInt32

    public init() {
        highestLeaf = swiftlet_cpuid(0, 0).eax
        leaf1 = swiftlet_cpuid(1, 0)
        leaf7 =
            highestLeaf >= 7
            ? swiftlet_cpuid(7, 0) : swiftlet_cpuid_result(eax: 0, ebx: 0, ecx: 0, edx: 0)
        extended1 = swiftlet_cpuid(0x8000_0001, 0)
        if leaf1.ecx & 1 << 31 != 0 {
            let hypervisor = swiftlet_cpuid(0x4000_0000, 0)
            hypervisorLeaves = hypervisor.eax
            hypervisorSignature = (hypervisor.ebx, hypervisor.ecx, hypervisor.edx)
        } else {
            hypervisorLeaves = 0
            hypervisorSignature = (0, 0, 0)
        }
    }

    /// EDX of leaf 1: AT_HWCAP of a Linux program.
    public var hardwareCapabilities: UInt64 { UInt64(leaf1.edx) }
    public var hasRandom: Bool { leaf1.ecx & 1 << 30 != 0 }
    /// XSAVE is enabled, and XGETBV says for which states.
    var hasEnabledStates: Bool { leaf1.ecx & 1 << 27 != 0 }
    public var hasX2APIC: Bool { leaf1.ecx & 1 << 21 != 0 }
    public var hasDeadlineTimer: Bool { leaf1.ecx & 1 << 24 != 0 }
    public var hasGigabytePages: Bool { extended1.edx & 1 << 26 != 0 }

    var hasGlobalPages: Bool { leaf1.edx & 1 << 13 != 0 }
    public var hasFSGSBase: Bool { leaf7.ebx & 1 << 0 != 0 }
    var hasSMEP: Bool { leaf7.ebx & 1 << 7 != 0 }
    var hasSMAP: Bool { leaf7.ebx & 1 << 20 != 0 }
    var hasUMIP: Bool { leaf7.ecx & 1 << 2 != 0 }
    /// "KVMKVMKVM\0\0\0"
    var isKVM: Bool { hypervisorSignature == (0x4B4D_564B, 0x564B_4D56, 0x4D) }
}

#if hasFeature(Embedded)
    /// The boot CPU, the only one that native applications use.
    public enum Processor {
        /// Asked for at boot.
        nonisolated(unsafe) public private(set) static var features = ProcessorFeatures()

        // Task state segment: 104 octets, of which only the IST entries are used (SDM 3 §7.7).
        nonisolated(unsafe) private static var taskState: InlineArray<13, UInt64> = .init(
            repeating: 0)
        // Gates of 16 octets: exceptions 0…31, device interrupts 32…47, 16 unused, 63 spurious.
        nonisolated(unsafe) private static var gates: InlineArray<128, UInt64> = .init(repeating: 0)

        /// Stacks of the task state segment, by what they serve.
        enum InterruptStack: Int {
            case fault = 1
            case doubleFault = 2
            case machineCheck = 3
            case interrupt = 4
        }

        static let firstInterruptVector: UInt8 = 32
        static let consoleVector: UInt8 = 46
        static let timerVector: UInt8 = 47
        static let spuriousVector: UInt8 = 63

        /// Control registers, descriptor tables and interrupt stacks. Interrupts stay disabled.
        static func initialise() {
            let features = self.features
            var cr4 = swiftlet_read_cr4()
            if features.hasGlobalPages { cr4 |= 1 << 7 }
            if features.hasUMIP { cr4 |= 1 << 11 }
            if features.hasFSGSBase { cr4 |= 1 << 16 }
            if features.hasSMEP { cr4 |= 1 << 20 }
            if features.hasSMAP { cr4 |= 1 << 21 }
            swiftlet_write_cr4(cr4)
            setTaskState()
            setGates(features)
        }

        private static func setTaskState() {
            withUnsafeMutableBytes(of: &taskState) { state in
                func setStack(_ stack: InterruptStack, _ top: UInt) {
                    // IST1 lies at octet 36 (SDM 3 figure 7-11).
                    state.storeBytes(
                        of: UInt64(top),
                        toByteOffset: 36 + 8 * (stack.rawValue - 1), as: UInt64.self)
                }
                setStack(.fault, swiftlet_address_of_fault_stack_top())
                setStack(.doubleFault, swiftlet_address_of_double_fault_stack_top())
                setStack(.machineCheck, swiftlet_address_of_machine_check_stack_top())
                setStack(.interrupt, swiftlet_address_of_interrupt_stack_top())
                // No I/O permission map: its offset is the segment's size.
                state.storeBytes(of: 104, toByteOffset: 102, as: UInt16.self)
                let base = UInt64(UInt(bitPattern: state.baseAddress))
                swiftlet_gdt_tss.0 =
                    103 | (base & 0xFF_FFFF) << 16 | 0x89 << 40 | (base >> 24 & 0xFF) << 56
                swiftlet_gdt_tss.1 = base >> 32
            }
            swiftlet_ltr(0x18)
        }

        static func setGate(_ vector: Int, _ handler: UInt64, _ stack: InterruptStack) {
            // Present interrupt gate in the code segment (SDM 3 figure 6-8).
            gates[vector * 2] =
                (handler & 0xFFFF) | 0x08 << 16 | UInt64(stack.rawValue) << 32 | 0x8E << 40
                | (handler >> 16 & 0xFFFF) << 48
            gates[vector * 2 + 1] = handler >> 32
        }

        /// Has the console's interrupt leave word in `swiftlet_console_deadline`: its handler begins
        /// eleven octets before the common one (traps.S), whose alignment rules out a borrow.
        static func setConsoleGate() {
            gates[Int(consoleVector) * 2] &-= 11
        }

        private static func setGates(_ features: ProcessorFeatures) {
            let stubs = UInt64(swiftlet_address_of_exception_stubs())
            for vector in 0..<32 {
                let stack: InterruptStack =
                    switch vector {
                    case 8: .doubleFault
                    case 2, 18: .machineCheck
                    default: .fault
                    }
                setGate(vector, stubs + UInt64(vector) * 16, stack)
            }
            let handler =
                features.hasX2APIC
                ? swiftlet_address_of_interrupt_x2apic() : swiftlet_address_of_interrupt_xapic()
            for vector in 32..<48 {
                setGate(vector, UInt64(handler), .interrupt)
            }
            setGate(
                Int(spuriousVector),
                UInt64(swiftlet_address_of_interrupt_spurious()), .interrupt)
            withUnsafeBytes(of: &gates) { swiftlet_lidt($0.baseAddress, UInt16($0.count - 1)) }
        }
    }
#endif
