// Clocks that a Linux program reads without a call: the functions of its vDSO (vdso(7)), called as C
// functions are, on the program's stack. What they fault at is the program's fault, not ours.

#include "linux.h"

#if defined(SWIFTLET_GUEST)

    .set NUMBER_CLOCK_GETTIME, 228
    .set NUMBER_GETTIMEOFDAY, 96
    .set NUMBER_TIME, 201

    .section .text.swiftlet_linux_clock, "ax", @progbits
    .globl swiftlet_linux_clock_start
    .balign 16
swiftlet_linux_clock_start:

// Nanoseconds of the machine's clock in rax, as Clock.now has them; clobbers rdx.
.macro MONOTONIC
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    subq swiftlet_linux_clock_base(%rip), %rax
    mulq swiftlet_linux_clock_multiplier(%rip)
    shrdq $32, %rdx, %rax
.endm

// The time of day likewise. Who asks first, asks the library OS: it does not know either.
.macro WALL_TIME unknown
    movq swiftlet_linux_clock_offset(%rip), %rcx
    testq %rcx, %rcx
    je \unknown
    MONOTONIC
    addq %rcx, %rax
.endm

// Seconds in rax, nanoseconds in rdx.
.macro SECONDS
    xorl %edx, %edx
    movl $1000000000, %ecx
    divq %rcx
.endm

// int clock_gettime(clockid_t clock, struct timespec *time)
    .globl swiftlet_linux_clock_gettime
    .balign 16
swiftlet_linux_clock_gettime:
    testl %edi, %edi
    je 1f
    cmpl $5, %edi
    je 1f
    cmpl $7, %edi
    ja 3f
    MONOTONIC
    jmp 2f
1:  WALL_TIME 3f
2:  SECONDS
    movq %rax, (%rsi)
    movq %rdx, 8(%rsi)
    xorl %eax, %eax
    retq
3:  movl $NUMBER_CLOCK_GETTIME, %eax
.Lask:
    leaq .Lreturn(%rip), %rcx
    jmp swiftlet_linux_entry
.Lreturn:
    retq

// int gettimeofday(struct timeval *time, struct timezone *zone)
    .globl swiftlet_linux_gettimeofday
    .balign 16
swiftlet_linux_gettimeofday:
    testq %rsi, %rsi
    jne 1f
    testq %rdi, %rdi
    je 1f
    WALL_TIME 1f
    SECONDS
    movq %rax, (%rdi)
    movl %edx, %eax
    xorl %edx, %edx
    movl $1000, %ecx
    divl %ecx
    movq %rax, 8(%rdi)
    xorl %eax, %eax
    retq
1:  movl $NUMBER_GETTIMEOFDAY, %eax
    jmp .Lask

// time_t time(time_t *time)
    .globl swiftlet_linux_time
    .balign 16
swiftlet_linux_time:
    WALL_TIME 2f
    SECONDS
    testq %rdi, %rdi
    je 1f
    movq %rax, (%rdi)
1:  retq
2:  movl $NUMBER_TIME, %eax
    jmp .Lask
    .globl swiftlet_linux_clock_end
swiftlet_linux_clock_end:

    .section .bss.swiftlet_linux_clock, "aw", @nobits
    .balign 8
    .globl swiftlet_linux_clock_base
swiftlet_linux_clock_base: .skip 8
    .globl swiftlet_linux_clock_multiplier
swiftlet_linux_clock_multiplier: .skip 8
    .globl swiftlet_linux_clock_offset
swiftlet_linux_clock_offset: .skip 8

#endif

    .section .note.GNU-stack, "", @progbits
