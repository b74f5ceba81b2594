// Between a Linux program and the library OS: system calls, exceptions, the timer, and the way back.
//
// The program runs where the library OS runs, in the same address space and ring. What separates
// them is the address of the instruction: the library OS's code is never interrupted for another
// thread, and a fault there is reported as one. The program's stack is not touched: it may have a
// red zone, and Go's are small.

#include "linux.h"

#if defined(SWIFTLET_GUEST)

    // What calls with a known answer do (swiftlet_linux_answers).
    .set ANSWER_ZERO, 1
    .set ANSWER_PROCESS, 2
    .set ANSWER_THREAD, 3
    // BootProtocol/ProgramCall.swift
    .set MONITOR_FAULTS_PORT, 0x531c
    .set MONITOR_TURN_VECTOR, 32

// All but rcx, rsp and r11, from the frame in r11.
.macro LOAD_PLAIN
    movq LINUX_RAX(%r11), %rax
    movq LINUX_RBX(%r11), %rbx
    movq LINUX_RDX(%r11), %rdx
    movq LINUX_RSI(%r11), %rsi
    movq LINUX_RDI(%r11), %rdi
    movq LINUX_RBP(%r11), %rbp
    movq LINUX_R8(%r11), %r8
    movq LINUX_R9(%r11), %r9
    movq LINUX_R10(%r11), %r10
    movq LINUX_R12(%r11), %r12
    movq LINUX_R13(%r11), %r13
    movq LINUX_R14(%r11), %r14
    movq LINUX_R15(%r11), %r15
.endm

// Jumps to .Lknown, with the answer's kind in r11, if nothing has to be looked up for the call in eax.
.macro IF_ANSWER_IS_KNOWN label
    cmpl $(swiftlet_linux_answers_end - swiftlet_linux_answers), %eax
    jae 9f
    movl %eax, %r11d
    movzbl swiftlet_linux_answers(%r11), %r11d
    testl %r11d, %r11d
    jne \label
9:
.endm

// The answer of kind r11, in rax.
.macro KNOWN_ANSWER
    movl swiftlet_linux_process_id(%rip), %eax
    cmpl $ANSWER_PROCESS, %r11d
    je 8f
    movl $0, %eax
    jb 8f
    movq swiftlet_linux_current(%rip), %r11
    movl LINUX_THREAD_ID(%r11), %eax
8:
.endm

// Where thunks jump to: rax is the number, rdi, rsi, rdx, r10, r8, r9 are the arguments, rcx is where
// to go on; rcx and r11 are clobbered. Asking for numbers needs no stack.
    .section .text.swiftlet_linux_entry, "ax", @progbits
    .globl swiftlet_linux_entry
    .type swiftlet_linux_entry, @function
    .balign 16
swiftlet_linux_entry:
    IF_ANSWER_IS_KNOWN .Lknown
    testb $1, swiftlet_linux_is_privileged(%rip)
    je .Lcall
    cli                                  // the loop relies on it; in ring 3 there are no interrupts
.Lcall:
    movq swiftlet_linux_current(%rip), %r11
    movq %rax, LINUX_RAX(%r11)
    movq %rcx, LINUX_RIP(%r11)
    movq %rsp, LINUX_RSP(%r11)
    movq $0x202, LINUX_RFLAGS(%r11)
    movq %rbx, LINUX_RBX(%r11)
    movq %rdx, LINUX_RDX(%r11)
    movq %rsi, LINUX_RSI(%r11)
    movq %rdi, LINUX_RDI(%r11)
    movq %rbp, LINUX_RBP(%r11)
    movq %r8, LINUX_R8(%r11)
    movq %r9, LINUX_R9(%r11)
    movq %r10, LINUX_R10(%r11)
    movq %r12, LINUX_R12(%r11)
    movq %r13, LINUX_R13(%r11)
    movq %r14, LINUX_R14(%r11)
    movq %r15, LINUX_R15(%r11)
    fxsave64 LINUX_FLOATING_POINT(%r11)  // the instruction would keep the vector registers, too
    movq swiftlet_linux_stack(%rip), %rsp
    movq %r11, %rdi
    xorl %ebp, %ebp                      // end of the frame chain
    cld
    callq swiftlet_linux_call
    testl %eax, %eax
    jne .Lleave
    // Straight back: of what a call may change only rcx and r11 do, and functions keep rbx and r12 to
    // r15 by themselves.
    movq swiftlet_linux_current(%rip), %r11
    fxrstor64 LINUX_FLOATING_POINT(%r11)
    movq LINUX_RAX(%r11), %rax
    movq LINUX_RDX(%r11), %rdx
    movq LINUX_RSI(%r11), %rsi
    movq LINUX_RDI(%r11), %rdi
    movq LINUX_RBP(%r11), %rbp
    movq LINUX_R8(%r11), %r8
    movq LINUX_R9(%r11), %r9
    movq LINUX_R10(%r11), %r10
    movq LINUX_RIP(%r11), %rcx
    movq LINUX_RSP(%r11), %rsp
    testb $1, swiftlet_linux_is_privileged(%rip)
    je 1f
    sti                                  // takes effect after the jump: no moment in between
1:  jmpq *%rcx

.Lknown:
    KNOWN_ANSWER
    jmpq *%rcx

// Where the instruction itself enters in ring 0 (LSTAR), with interrupts disabled: a site that was
// not rewritten.
    .globl swiftlet_linux_instruction
    .type swiftlet_linux_instruction, @function
    .balign 16
swiftlet_linux_instruction:
    IF_ANSWER_IS_KNOWN .Lknown_of_instruction
    jmp .Lcall
.Lknown_of_instruction:
    KNOWN_ANSWER
    sti
    jmpq *%rcx

// Back to whoever called swiftlet_linux_resume; eax says why. Another thread may be next, so what the
// library OS never touches is kept too.
.Lleave:
    movq swiftlet_linux_current(%rip), %rdi
    movl %eax, %esi
    movl swiftlet_linux_extended_states(%rip), %eax
    testl %eax, %eax
    je 1f
    testb $1, LINUX_EXTENDED_IS_SAVED(%rdi)
    jne 1f
    xorl %edx, %edx
    movq LINUX_EXTENDED(%rdi), %rcx
    xsave64 (%rcx)
    movb $1, LINUX_EXTENDED_IS_SAVED(%rdi)
1:  movl %esi, %eax
    movq swiftlet_linux_stack(%rip), %rsp
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    retq

// uint32_t swiftlet_linux_resume(struct swiftlet_linux_frame *frame)
    .globl swiftlet_linux_resume
    .type swiftlet_linux_resume, @function
    .balign 16
swiftlet_linux_resume:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    movq %rsp, swiftlet_linux_stack(%rip)
    movq %rdi, swiftlet_linux_current(%rip)
    movl swiftlet_linux_extended_states(%rip), %eax
    testl %eax, %eax
    je .Lresume
    xorl %edx, %edx
    movq LINUX_EXTENDED(%rdi), %rcx
    xrstor64 (%rcx)
    movb $0, LINUX_EXTENDED_IS_SAVED(%rdi)
// All registers, as after an interrupt.
.Lresume:
    movq swiftlet_linux_current(%rip), %r11
    fxrstor64 LINUX_FLOATING_POINT(%r11)
    movl %ss, %eax
    pushq %rax
    pushq LINUX_RSP(%r11)
    pushq LINUX_RFLAGS(%r11)
    movl %cs, %eax
    pushq %rax
    pushq LINUX_RIP(%r11)
    LOAD_PLAIN
    movq LINUX_RCX(%r11), %rcx
    movq LINUX_R11(%r11), %r11
    iretq

// Saves into the frame in %rax what neither the processor nor the stubs have saved.
.macro SAVE_REST
    movq %rbx, LINUX_RBX(%rax)
    movq %rsi, LINUX_RSI(%rax)
    movq %rdi, LINUX_RDI(%rax)
    movq %rbp, LINUX_RBP(%rax)
    movq %r8, LINUX_R8(%rax)
    movq %r9, LINUX_R9(%rax)
    movq %r10, LINUX_R10(%rax)
    movq %r11, LINUX_R11(%rax)
    movq %r12, LINUX_R12(%rax)
    movq %r13, LINUX_R13(%rax)
    movq %r14, LINUX_R14(%rax)
    movq %r15, LINUX_R15(%rax)
    fxsave64 LINUX_FLOATING_POINT(%rax)
.endm

// Jumps to `label` if the address in %rax is the library OS's, the program's clocks left out.
.macro IF_OURS label
    cmpq $swiftlet_text_start, %rax
    jb 9f
    cmpq $swiftlet_rodata_start, %rax
    jae 9f
    cmpq $swiftlet_linux_clock_start, %rax
    jb \label
    cmpq $swiftlet_linux_clock_end, %rax
    jae \label
9:
.endm

// Jumps to `label` if the address in %rax lies where a call enters with interrupts enabled: all that
// counts is in the program's registers there, so that it can be interrupted as the program is.
.macro IF_ENTERING label
    cmpq $swiftlet_linux_entry, %rax
    jb 9f
    cmpq $.Lcall, %rax
    jb \label
    cmpq $.Lknown, %rax
    jb 9f
    cmpq $swiftlet_linux_instruction, %rax
    jb \label
9:
.endm

// Interrupts: in the idle loop they end `hlt`; in the program they end the thread's turn.
    .globl swiftlet_linux_interrupt_x2apic
    .balign 16
swiftlet_linux_interrupt_x2apic:
    pushq %rax
    pushq %rcx
    pushq %rdx
    xorl %eax, %eax
    xorl %edx, %edx
    movl $0x80b, %ecx                    // IA32_X2APIC_EOI
    wrmsr
    jmp .Linterrupted
    .globl swiftlet_linux_interrupt_xapic
    .balign 16
swiftlet_linux_interrupt_xapic:
    pushq %rax
    pushq %rcx
    pushq %rdx
    movq swiftlet_xapic_end_of_interrupt(%rip), %rax
    movl $0, (%rax)
.Linterrupted:
    movq 24(%rsp), %rax
    IF_ENTERING 2f
    IF_OURS 3f
2:  movq swiftlet_linux_current(%rip), %rax
    popq LINUX_RDX(%rax)
    popq LINUX_RCX(%rax)
    popq LINUX_RAX(%rax)
    popq LINUX_RIP(%rax)
    addq $8, %rsp
    popq LINUX_RFLAGS(%rax)
    popq LINUX_RSP(%rax)
    SAVE_REST
    cld
    movl $LINUX_LEFT_BY_TIMER, %eax
    jmp .Lleave
3:  popq %rdx
    popq %rcx
    popq %rax
    iretq

// The address of the page fault: CR2, which ring 3 cannot read.
.macro FAULT_ADDRESS register
    movq swiftlet_linux_fault_address(%rip), %\register
    testb $1, swiftlet_linux_is_privileged(%rip)
    je 8f
    movq %cr2, %\register
8:
.endm

// Exceptions, 16 octets each: of the program's, Swift makes a signal, or memory that was only
// promised; of the library OS's, the same memory, or the report.
.macro LINUX_EXCEPTION vector, has_error_code
    .balign 16
.if \has_error_code == 0
    pushq $0
.endif
    pushq $\vector
    jmp .Lexception
.endm
    .balign 16
    .globl swiftlet_linux_exceptions
swiftlet_linux_exceptions:
.irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19
.if \vector == 8 || \vector == 10 || \vector == 11 || \vector == 12 || \vector == 13 || \vector == 14 || \vector == 17
    LINUX_EXCEPTION \vector, 1
.else
    LINUX_EXCEPTION \vector, 0
.endif
.endr

    .balign 16
.Lexception:
    pushq %rax
    movq 24(%rsp), %rax
    IF_OURS .Lown_fault
    movq swiftlet_linux_current(%rip), %rax
    testq %rax, %rax
    je .Lreport
    popq LINUX_RAX(%rax)
    popq LINUX_VECTOR(%rax)
    popq LINUX_ERROR(%rax)
    popq LINUX_RIP(%rax)
    addq $8, %rsp
    popq LINUX_RFLAGS(%rax)
    popq LINUX_RSP(%rax)
    movq %rcx, LINUX_RCX(%rax)
    movq %rdx, LINUX_RDX(%rax)
    SAVE_REST
    FAULT_ADDRESS rcx
    movq %rcx, LINUX_ADDRESS(%rax)
    movq swiftlet_linux_stack(%rip), %rsp
    movq %rax, %rdi
    xorl %ebp, %ebp
    cld
    callq swiftlet_linux_exception
    testl %eax, %eax
    je .Lresume
    jmp .Lleave

.Lown_fault:
    cmpq $14, 8(%rsp)
    jne .Lreport
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbp
    movq %rsp, %rbp
    subq $512, %rsp
    andq $-16, %rsp
    fxsave64 (%rsp)
    FAULT_ADDRESS rdi
    movq 88(%rbp), %rsi                  // the error code
    cld
    callq swiftlet_linux_own_fault
    fxrstor64 (%rsp)
    movq %rbp, %rsp
    popq %rbp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    testl %eax, %eax
    je .Lreport
    popq %rax
    addq $16, %rsp
    iretq
.Lreport:
    popq %rax
    testb $1, swiftlet_linux_is_privileged(%rip)
    jne swiftlet_exception
    // The monitor's to report: once nobody handles it, it happens again.
    pushq %rax
    pushq %rdx
    pushq %rdi
    xorl %eax, %eax
    xorl %edi, %edi
    movl $MONITOR_FAULTS_PORT, %edx
    outl %eax, %dx
    popq %rdi
    popq %rdx
    popq %rax
    addq $16, %rsp
    iretq

// Where the built-in monitor leads what interrupts the program, or the library OS: the address of a
// page fault lies on the stack, and then what an exception's stub leaves.
    .globl swiftlet_linux_fault
    .balign 16
swiftlet_linux_fault:
    popq swiftlet_linux_fault_address(%rip)
    cmpq $MONITOR_TURN_VECTOR, (%rsp)
    jne .Lexception
    addq $16, %rsp
    pushq %rax
    pushq %rcx
    pushq %rdx
    jmp .Linterrupted

// By number, what is known of a call's answer; all other calls are made (Calls.perform). The program is
// process 1, in its own group and session, has no parent, and is root, as in a container.
    .section .rodata.swiftlet_linux_answers, "a", @progbits
    .balign 64
swiftlet_linux_answers:
.macro ANSWER number, kind
    .fill \number - (. - swiftlet_linux_answers), 1, 0
    .byte \kind
.endm
    ANSWER 39, ANSWER_PROCESS            // getpid
    ANSWER 102, ANSWER_ZERO              // getuid
    ANSWER 104, ANSWER_ZERO              // getgid
    ANSWER 107, ANSWER_ZERO              // geteuid
    ANSWER 108, ANSWER_ZERO              // getegid
    ANSWER 110, ANSWER_ZERO              // getppid
    ANSWER 111, ANSWER_PROCESS           // getpgrp
    ANSWER 186, ANSWER_THREAD            // gettid
swiftlet_linux_answers_end:

    .section .bss.swiftlet_linux, "aw", @nobits
    .balign 8
swiftlet_linux_current: .skip 8
swiftlet_linux_stack: .skip 8
swiftlet_linux_fault_address: .skip 8
    .globl swiftlet_linux_process_id
swiftlet_linux_process_id: .skip 8
    .globl swiftlet_linux_is_privileged
swiftlet_linux_is_privileged: .skip 1
    .balign 4
    .globl swiftlet_linux_extended_states
swiftlet_linux_extended_states: .skip 4

// What the builder says of the program (BootProtocol/ProgramTable.swift).
    .section .data.swiftlet_linux_program, "aw", @progbits
    .balign 8
    .globl swiftlet_linux_program
swiftlet_linux_program:
    .ascii "SWLINUX1"
    .long 1
    .zero 692

#endif

    .section .note.GNU-stack, "", @progbits
