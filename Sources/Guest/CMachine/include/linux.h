// What x86-64/linux.S shares with Swift: the registers of a thread of a Linux program, and the way
// between the program and the library OS.
#ifndef CSWIFTLET_LINUX_H
#define CSWIFTLET_LINUX_H

// Offsets of swiftlet_linux_frame's fields, for assembly.
#define LINUX_RAX 0
#define LINUX_RBX 8
#define LINUX_RCX 16
#define LINUX_RDX 24
#define LINUX_RSI 32
#define LINUX_RDI 40
#define LINUX_RBP 48
#define LINUX_R8 56
#define LINUX_R9 64
#define LINUX_R10 72
#define LINUX_R11 80
#define LINUX_R12 88
#define LINUX_R13 96
#define LINUX_R14 104
#define LINUX_R15 112
#define LINUX_RIP 120
#define LINUX_RFLAGS 128
#define LINUX_RSP 136
#define LINUX_VECTOR 144
#define LINUX_ERROR 152
#define LINUX_ADDRESS 160
#define LINUX_THREAD_ID 168
#define LINUX_EXTENDED 176
#define LINUX_EXTENDED_IS_SAVED 184
#define LINUX_FLOATING_POINT 192

// Why swiftlet_linux_resume has returned.
#define LINUX_LEFT_BY_CALL 1
#define LINUX_LEFT_BY_TIMER 2

#ifndef __ASSEMBLER__
#include <stdint.h>

#include "boot.h"

// The registers of a thread while it is in the library OS. The last part is what FXSAVE writes.
struct swiftlet_linux_frame {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
  uint64_t rip, rflags, rsp;
  // Of the exception that interrupted the program: vector, error code, CR2.
  uint64_t vector, error_code, address;
  uint64_t thread_id;
  // What XSAVE keeps besides: the area, and whether the registers are there, not in the processor.
  uint64_t extended, extended_is_saved;
  uint64_t floating_point[64];
};

SWIFTLET_SYMBOL(linux_instruction)
SWIFTLET_SYMBOL(linux_interrupt_x2apic)
SWIFTLET_SYMBOL(linux_interrupt_xapic)
SWIFTLET_SYMBOL(linux_exceptions)
SWIFTLET_SYMBOL(linux_fault)
SWIFTLET_SYMBOL(linux_program)
SWIFTLET_SYMBOL(linux_clock_gettime)
SWIFTLET_SYMBOL(linux_gettimeofday)
SWIFTLET_SYMBOL(linux_time)

// What the program's clocks are read with: the TSC at which they began, the factor that makes 2^32
// parts of nanoseconds of its ticks, and what the time of day is ahead; 0 as long as nobody knows.
extern uint64_t swiftlet_linux_clock_base SWIFTLET_UNSHARED;
extern uint64_t swiftlet_linux_clock_multiplier SWIFTLET_UNSHARED;
extern uint64_t swiftlet_linux_clock_offset SWIFTLET_UNSHARED;

// The process's number, for getpid, and whether this machine is in ring 0.
extern uint64_t swiftlet_linux_process_id SWIFTLET_UNSHARED;
extern uint8_t swiftlet_linux_is_privileged SWIFTLET_UNSHARED;
// The states that XSAVE keeps for each thread: what lies beyond FXSAVE's; 0 without any.
extern uint32_t swiftlet_linux_extended_states SWIFTLET_UNSHARED;

// Runs the thread of this frame until it has to wait, ends, or its time is over; says why.
uint32_t swiftlet_linux_resume(struct swiftlet_linux_frame *frame);

#if defined(__x86_64__)
// The states that are enabled (XCR0), where CPUID shows OSXSAVE.
static inline __attribute__((always_inline)) uint64_t swiftlet_read_enabled_states(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}
// Keeps the processor's extended states in an area of 64-aligned octets, as XSAVE lays it out.
static inline __attribute__((always_inline)) void swiftlet_save_extended_states(uint64_t area) {
  __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(swiftlet_linux_extended_states), "d"(0) : "memory");
}
// The base of segment FS, where a thread's own variables are; by instruction, where CPUID has it.
static inline __attribute__((always_inline)) void swiftlet_write_fs_base(uint64_t base) {
  __asm__ volatile("wrfsbase %0" ::"r"(base));
}
static inline __attribute__((always_inline)) void swiftlet_write_gs_base(uint64_t base) {
  __asm__ volatile("wrgsbase %0" ::"r"(base));
}
#endif
#endif

#endif
