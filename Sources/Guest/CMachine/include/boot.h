// What assembly and the linker script define for Swift.
#ifndef CSWIFTLET_BOOT_H
#define CSWIFTLET_BOOT_H

#include <stdint.h>

// One CPU, and interrupts that touch no data: Swift need not guard these.
#define SWIFTLET_UNSHARED __attribute__((swift_attr("nonisolated(unsafe)")))

// The address of a symbol that assembly or the linker script (SDK/swiftlet.ld) defines. Swift
// imports no arrays of unknown size, but it imports these functions.
#define SWIFTLET_SYMBOL(name)                                        \
  extern char swiftlet_##name[];                                     \
  static inline __attribute__((always_inline)) uintptr_t             \
      swiftlet_address_of_##name(void) {                             \
    return (uintptr_t)swiftlet_##name;                               \
  }

SWIFTLET_SYMBOL(text_start)
SWIFTLET_SYMBOL(after_main_start)
SWIFTLET_SYMBOL(after_main_end)
SWIFTLET_SYMBOL(rodata_start)
SWIFTLET_SYMBOL(data_start)
SWIFTLET_SYMBOL(boot_only_start)
SWIFTLET_SYMBOL(boot_only_end)
SWIFTLET_SYMBOL(image_end)

// x86-64/traps.S
SWIFTLET_SYMBOL(exception_stubs)
SWIFTLET_SYMBOL(interrupt_x2apic)
SWIFTLET_SYMBOL(interrupt_xapic)
SWIFTLET_SYMBOL(interrupt_spurious)
SWIFTLET_SYMBOL(double_fault_stack_top)
SWIFTLET_SYMBOL(machine_check_stack_top)
SWIFTLET_SYMBOL(fault_stack_top)
SWIFTLET_SYMBOL(interrupt_stack_top)

// When the console's input is to be looked at, in nanoseconds of the machine's clock: 0 after its
// interrupt, UINT64_MAX where nobody listens.
extern uint64_t swiftlet_console_deadline SWIFTLET_UNSHARED;

// Patched by the image builder; the layout is ImageHeader in Sources/Shared/BootProtocol.
struct swiftlet_image_header {
  char magic[8];
  uint32_t version;
  uint32_t flags;
  uint64_t files_address;
  uint64_t files_size;
  uint64_t image_end;
  uint64_t physical_base;
};
extern struct swiftlet_image_header swiftlet_image_header SWIFTLET_UNSHARED;

// Xen's hvm_start_info, version 1 (xen/include/public/arch-x86/hvm/start_info.h).
struct hvm_start_info {
  uint32_t magic;
  uint32_t version;
  uint32_t flags;
  uint32_t nr_modules;
  uint64_t modlist_paddr;
  uint64_t cmdline_paddr;
  uint64_t rsdp_paddr;
  uint64_t memmap_paddr;
  uint32_t memmap_entries;
  uint32_t reserved;
};

// One entry of its memory map; type 1 is RAM (E820 numbering).
struct hvm_memmap_table_entry {
  uint64_t addr;
  uint64_t size;
  uint32_t type;
  uint32_t reserved;
};

// What x86-64/traps.S leaves on the stack, the lowest address first.
struct swiftlet_fault_frame {
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
  uint64_t vector, error_code, rip, cs, rflags, rsp, ss;
};

// Ticks of the TSC in a second, as the built-in monitor says; 0 under every other one.
extern uint64_t swiftlet_monitor_frequency SWIFTLET_UNSHARED;
extern uint64_t swiftlet_gdt_tss[2] SWIFTLET_UNSHARED;
extern uint64_t swiftlet_xapic_end_of_interrupt SWIFTLET_UNSHARED;

_Noreturn void swiftlet_switch_stack(void *top, void (*function)(void));

#endif
