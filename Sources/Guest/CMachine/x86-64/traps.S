// Where the CPU enters on exceptions and interrupts. Every gate switches to a stack of its own
// (IST), so the interrupted stack is never written, not even its red zone.

#if defined(SWIFTLET_GUEST)

// Exceptions: make the frame uniform (vector, error code, then what the CPU pushed), save the
// registers and report. Layout: FaultFrame in Sources/Guest/Machine/Faults.swift.
.macro EXCEPTION vector, has_error_code
    .balign 16
.if \has_error_code == 0
    pushq $0
.endif
    pushq $\vector
    jmp swiftlet_exception
.endm

    .text
    .balign 16
    .globl swiftlet_exception_stubs      // 16 octets each
swiftlet_exception_stubs:
.irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
.if \vector == 8 || \vector == 10 || \vector == 11 || \vector == 12 || \vector == 13 || \vector == 14 || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30
    EXCEPTION \vector, 1
.else
    EXCEPTION \vector, 0
.endif
.endr

    .balign 16
    .globl swiftlet_exception
swiftlet_exception:
    pushq %r15
    pushq %r14
    pushq %r13
    pushq %r12
    pushq %r11
    pushq %r10
    pushq %r9
    pushq %r8
    pushq %rbp
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rbx
    pushq %rax
    movq %rsp, %rdi
    cld
    andq $-16, %rsp
    call swiftlet_report_fault
    ud2

// Device and timer interrupts only end the `hlt` of the idle loop, which then polls everything:
// acknowledge at the local APIC and go back. Interrupts are enabled in that one place alone.
    .globl swiftlet_interrupt_x2apic
    .globl swiftlet_interrupt_xapic
    .globl swiftlet_interrupt_spurious
    .globl swiftlet_xapic_end_of_interrupt
    .globl swiftlet_console_deadline
    .balign 16
    // The console's interrupt enters eleven octets earlier and leaves word, so that nobody need ask
    // the UART, which costs an exit.
    movq $0, swiftlet_console_deadline(%rip)
swiftlet_interrupt_x2apic:
    pushq %rax
    pushq %rcx
    pushq %rdx
    xorl %eax, %eax
    xorl %edx, %edx
    movl $0x80b, %ecx                    // IA32_X2APIC_EOI
    wrmsr
    popq %rdx
    popq %rcx
    popq %rax
    iretq
    .balign 16
    movq $0, swiftlet_console_deadline(%rip)
swiftlet_interrupt_xapic:
    pushq %rax
    movq swiftlet_xapic_end_of_interrupt(%rip), %rax
    movl $0, (%rax)
    popq %rax
swiftlet_interrupt_spurious:
    iretq

    .data
    .balign 8
    // When the console's input is to be looked at; never, where nobody listens.
swiftlet_console_deadline: .quad -1

    .bss
    .balign 16
    // Interrupt stacks, the most severe fault lowest; Processor.swift enters their tops in the TSS.
    .globl swiftlet_double_fault_stack_top, swiftlet_machine_check_stack_top
    .globl swiftlet_fault_stack_top, swiftlet_interrupt_stack_top
    .skip 3072
swiftlet_double_fault_stack_top:
    .skip 3072
swiftlet_machine_check_stack_top:
    .skip 6144
swiftlet_fault_stack_top:
    .skip 256
swiftlet_interrupt_stack_top:
swiftlet_xapic_end_of_interrupt: .skip 8

    .section .note.GNU-stack, "", @progbits
#endif
