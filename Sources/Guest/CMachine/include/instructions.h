// Single machine instructions as inline functions (Intel SDM volume 2; volatile memory access for
// device registers and for memory that a device shares).
#ifndef CSWIFTLET_INSTRUCTIONS_H
#define CSWIFTLET_INSTRUCTIONS_H

#include <stdint.h>

#define SWIFTLET_INLINE static inline __attribute__((always_inline))

// Volatile loads and stores: device registers, and rings that a device writes behind our back.
SWIFTLET_INLINE uint8_t swiftlet_load8(uintptr_t address) { return *(volatile uint8_t *)address; }
SWIFTLET_INLINE uint16_t swiftlet_load16(uintptr_t address) { return *(volatile uint16_t *)address; }
SWIFTLET_INLINE uint32_t swiftlet_load32(uintptr_t address) { return *(volatile uint32_t *)address; }
SWIFTLET_INLINE uint64_t swiftlet_load64(uintptr_t address) { return *(volatile uint64_t *)address; }
SWIFTLET_INLINE void swiftlet_store8(uintptr_t address, uint8_t value) { *(volatile uint8_t *)address = value; }
SWIFTLET_INLINE void swiftlet_store16(uintptr_t address, uint16_t value) { *(volatile uint16_t *)address = value; }
SWIFTLET_INLINE void swiftlet_store32(uintptr_t address, uint32_t value) { *(volatile uint32_t *)address = value; }
SWIFTLET_INLINE void swiftlet_store64(uintptr_t address, uint64_t value) { *(volatile uint64_t *)address = value; }

// On x86, loads are ordered after loads and stores after stores; only the compiler must be held back.
SWIFTLET_INLINE void swiftlet_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }
// A store followed by a load of another address needs the full fence.
SWIFTLET_INLINE void swiftlet_full_barrier(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

#if defined(__x86_64__)

SWIFTLET_INLINE void swiftlet_out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port)); }
SWIFTLET_INLINE void swiftlet_out16(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port)); }
SWIFTLET_INLINE void swiftlet_out32(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port)); }

SWIFTLET_INLINE uint8_t swiftlet_in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
SWIFTLET_INLINE uint32_t swiftlet_in32(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

// A call of the built-in monitor, which reads its argument from a register; what it leaves in eax.
SWIFTLET_INLINE uint32_t swiftlet_monitor_call(uint16_t port, uint64_t argument) {
  uint32_t result = 0;
  __asm__ volatile("outl %%eax, %1" : "+a"(result) : "Nd"(port), "D"(argument) : "memory");
  return result;
}
// A call that is about a run of octets.
SWIFTLET_INLINE void swiftlet_monitor_show(uint16_t port, uint64_t start, uint64_t count) {
  __asm__ volatile("outl %%eax, %0" ::"Nd"(port), "a"(0), "D"(start), "S"(count) : "memory");
}

// The same, which gives a result.
SWIFTLET_INLINE uint32_t swiftlet_monitor_change(uint16_t port, uint64_t start, uint64_t count) {
  uint32_t result = 0;
  __asm__ volatile("outl %%eax, %1" : "+a"(result) : "Nd"(port), "D"(start), "S"(count) : "memory");
  return result;
}

SWIFTLET_INLINE uint64_t swiftlet_rdtsc(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}

typedef struct {
  uint32_t eax, ebx, ecx, edx;
} swiftlet_cpuid_result;

SWIFTLET_INLINE swiftlet_cpuid_result swiftlet_cpuid(uint32_t leaf, uint32_t subleaf) {
  swiftlet_cpuid_result r;
  __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

// (high:low) / divisor; the quotient must fit (high < divisor), else the CPU raises a divide error.
SWIFTLET_INLINE uint64_t swiftlet_divide128(uint64_t high, uint64_t low, uint64_t divisor) {
  uint64_t quotient, remainder;
  __asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), "r"(divisor) : "cc");
  return quotient;
}
SWIFTLET_INLINE uint64_t swiftlet_remainder128(uint64_t high, uint64_t low, uint64_t divisor) {
  uint64_t quotient, remainder;
  __asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), "r"(divisor) : "cc");
  return remainder;
}

// One attempt of RDRAND: 1 and a value, or 0 (SDM volume 1 §7.3.17.1: try again a few times).
SWIFTLET_INLINE int swiftlet_rdrand(uint64_t *value) {
  unsigned char ok;
  __asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(ok) : : "cc");
  return ok;
}

SWIFTLET_INLINE uint64_t swiftlet_rdmsr(uint32_t msr) {
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (uint64_t)high << 32 | low;
}
SWIFTLET_INLINE void swiftlet_wrmsr(uint32_t msr, uint64_t value) {
  __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

SWIFTLET_INLINE uint64_t swiftlet_read_cr2(void) { uint64_t v; __asm__ volatile("mov %%cr2, %0" : "=r"(v)); return v; }
SWIFTLET_INLINE uint64_t swiftlet_read_cr4(void) { uint64_t v; __asm__ volatile("mov %%cr4, %0" : "=r"(v)); return v; }
SWIFTLET_INLINE void swiftlet_write_cr3(uint64_t v) { __asm__ volatile("mov %0, %%cr3" ::"r"(v) : "memory"); }
SWIFTLET_INLINE void swiftlet_write_cr4(uint64_t v) { __asm__ volatile("mov %0, %%cr4" ::"r"(v) : "memory"); }
SWIFTLET_INLINE void swiftlet_invlpg(uintptr_t address) { __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory"); }

SWIFTLET_INLINE void swiftlet_pause(void) { __asm__ volatile("pause"); }
// STI takes effect after the next instruction: no interrupt is lost between them (SDM volume 2, STI).
SWIFTLET_INLINE void swiftlet_sti_hlt_cli(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }

// SMAP would forbid touching pages marked as the user's; there are none, so AC stays clear.
SWIFTLET_INLINE void swiftlet_lidt(const void *table, uint16_t limit) {
  struct __attribute__((packed)) { uint16_t limit; const void *base; } descriptor = {limit, table};
  __asm__ volatile("lidt %0" ::"m"(descriptor));
}
SWIFTLET_INLINE void swiftlet_ltr(uint16_t selector) { __asm__ volatile("ltr %0" ::"r"(selector)); }
SWIFTLET_INLINE uintptr_t swiftlet_frame_pointer(void) { return (uintptr_t)__builtin_frame_address(0); }
SWIFTLET_INLINE _Noreturn void swiftlet_triple_fault(void) {
  swiftlet_lidt(0, 0);
  __asm__ volatile("ud2");
  __builtin_unreachable();
}

#endif  // __x86_64__
#endif
