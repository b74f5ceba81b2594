// What a guest in the built-in monitor may not do, and tries: instructions of ring 0, pages that are
// not its own, devices set up against every rule. Addresses and registers are those of the monitor's
// machine (MonitorCall.swift, MachineLayout.swift) and of virtio 1.2 §4.2.2.

#include "CFixture.h"

static const uint64_t direct_map = 0x400000000000;
static const uint64_t supervisor = 0xFFFF800000000000;
static const uint16_t console_port = 0x5300, wait_port = 0x5304, fault_port = 0xEE;

static void call(uint16_t port, uint64_t first, uint64_t second) {
  __asm__ volatile("outl %%eax, %%dx" : : "a"(0), "d"(port), "D"(first), "S"(second) : "memory");
}

void fixture_privileged(int way) {
  switch (way) {
    case 0: __asm__ volatile("cli"); break;
    case 1: __asm__ volatile("sti"); break;
    case 2: __asm__ volatile("hlt"); break;
    case 3: __asm__ volatile("inb $0x60, %%al" : : : "rax"); break;
    case 4: __asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(fault_port)); break;
    case 5: __asm__ volatile("wrmsr" : : "a"(0xD01), "c"(0xC0000080), "d"(0)); break;
    case 6: __asm__ volatile("movq %0, %%cr3" : : "r"(0L)); break;
    case 7: __asm__ volatile("movq %%cr0, %%rax" : : : "rax"); break;
    case 8: __asm__ volatile("syscall" : : "a"(1) : "rcx", "r11"); break;
    case 9: __asm__ volatile("int3"); break;
    case 10: __asm__ volatile("int $0x80"); break;
    case 11: __asm__ volatile("int $14"); break;
    case 12: __asm__ volatile("ltr %%ax" : : "a"(0x28)); break;
    // Into ring 0 by a return: its code and stack, with a way out of the interrupted program.
    case 13:
      __asm__ volatile("pushq $0x10; pushq %0; pushq $2; pushq $8; pushq %1; iretq"
                       : : "r"(supervisor + 0x4000), "r"(supervisor + 0x1000));
      break;
    // Neither IOPL nor IF is changed by this, so that `cli` is as forbidden as before.
    case 14: __asm__ volatile("pushfq; orq $0x3000, (%rsp); popfq; cli"); break;
    // The trap flag: an exception behind the next instruction.
    case 15: __asm__ volatile("pushfq; orq $0x100, (%rsp); popfq; nop; nop"); break;
    case 16: ((void (*)(void))(supervisor + 0x1000))(); break;
    case 17: (void)*(volatile uint64_t *)supervisor; break;
    case 18: *(volatile uint64_t *)(supervisor + 0x80) = 0; break;
    // Page tables: behind RAM, if anywhere.
    case 19: (void)*(volatile uint64_t *)(direct_map + (1ULL << 34)); break;
    case 20: __asm__ volatile("lgdt (%0)" : : "r"(supervisor)); break;
    case 21: __asm__ volatile("movq %0, %%dr7" : : "r"(0L)); break;
    default: break;
  }
}

void fixture_console_ranges(uint64_t stack_address) {
  static const uint64_t lengths[] = {1, 8, 4096, 1 << 20, 1ULL << 32, UINT64_MAX};
  const uint64_t addresses[] = {
      0, 8, UINT64_MAX, UINT64_MAX - 7, supervisor, supervisor + 0x1000, direct_map,
      direct_map + 0x1000, direct_map - 1, direct_map + (1ULL << 34), 0x7FFFFFFFF000,
      // Within the guest's memory, and beyond its end with all lengths but the first two.
      (stack_address & ~0xFFFULL) + (1 << 24),
  };
  for (unsigned index = 0; index < sizeof(addresses) / sizeof(*addresses); index++)
    for (unsigned size = 0; size < sizeof(lengths) / sizeof(*lengths); size++)
      call(console_port, addresses[index], lengths[size]);
  // Other sizes of access, and ports between the calls.
  __asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(console_port + 1), "D"(0), "S"(1));
  __asm__ volatile("outw %%ax, %%dx" : : "a"(0), "d"(wait_port + 2), "D"(0), "S"(1));
  static uint8_t octets[64];
  void *target = octets;
  uint64_t count = sizeof(octets);
  __asm__ volatile("rep insb" : "+D"(target), "+c"(count) : "d"(0x530C) : "memory");
}

void fixture_poke_registers(void) {
  // In both pages of registers, at every third offset, in every size.
  for (unsigned offset = 4; offset < 0xFF0; offset += offset < 0x120 ? 1 : 61) {
    for (uint64_t page = 0x1000; page <= 0x2000; page += 0x1000) {
      volatile uint8_t *place = (volatile uint8_t *)(direct_map + page + offset);
      *place = (uint8_t)offset;
      *(volatile uint16_t *)place = 0xFFFF;
      *(volatile uint32_t *)place = 0xFFFFFFFF;
      *(volatile uint64_t *)place = offset;
      (void)*place, (void)*(volatile uint16_t *)place, (void)*(volatile uint64_t *)place;
    }
  }
}

// MARK: Pages (ProgramCall.swift)

static const uint64_t window = 0x80000000;

struct change {
  uint64_t virtual, physical, pages;
};

// The monitor's answer to so many changes that lie there: 0 done, 1 refused, 2 no room.
static uint32_t change(uint64_t list, uint64_t count) {
  uint32_t result = 0;
  __asm__ volatile("outl %%eax, %%dx" : "+a"(result) : "d"((uint16_t)0x5318), "D"(list), "S"(count) : "memory");
  return result;
}

static uint32_t change_one(struct change *list, uint64_t virtual, uint64_t physical, uint64_t pages) {
  *list = (struct change){virtual, physical, pages};
  return change((uint64_t)list, 1);
}

int fixture_refused_pages(void *memory) {
  struct change *list = memory;
  uint64_t frame = (uint64_t)memory + 4096 - direct_map, local = 0;
  const uint64_t places[] = {
      // Code and variables of its own, the stack, null, the direct map, page tables if anywhere.
      (uint64_t)fixture_refused_pages, (uint64_t)&direct_map, 0x230000, (uint64_t)&local, 0, 0x1000,
      direct_map, (uint64_t)memory, direct_map + 0x1000, direct_map + 0xA00000, supervisor,
      supervisor + 0x1000, supervisor + 0x3000, 1ULL << 47, UINT64_MAX, 0x3FFF00000000, window - 4096,
  };
  const uint64_t frames[] = {
      // Registers of devices, the image, the page tables behind RAM, nobody's.
      0, 0x1000, 0x2000, 0x10000, 0xA00000, 0xA01000, 0xA04000, 0xA05000, 0x810000, 1ULL << 32,
      1ULL << 62, 1ULL << 63, ~0xFFFULL,
  };
  const uint64_t counts[] = {0, 4097, 1 << 20, 1ULL << 52, 1ULL << 63, UINT64_MAX};
  int taken = 0;
  for (unsigned access = 0; access < 16; access++) {
    for (unsigned index = 0; index < sizeof(places) / sizeof(*places); index++)
      taken += change_one(list, places[index] & ~0xFFFULL, frame | access, 1) == 0;
    // To take away what is not there is allowed; not heeded, then, is the frame.
    for (unsigned index = 0; access > 0 && index < sizeof(frames) / sizeof(*frames); index++)
      taken += change_one(list, window, frames[index] | access, 1) == 0;
    for (unsigned index = 0; index < sizeof(counts) / sizeof(*counts); index++)
      taken += change_one(list, window, frame | access, counts[index]) == 0;
    // Executable, large, the supervisor's: not to be had.
    if (access != 0 && access != 1 && access != 3) taken += change_one(list, window, frame | access, 1) == 0;
  }
  const uint64_t lists[] = {0, 8, UINT64_MAX, supervisor, direct_map, direct_map + 0x10000, (uint64_t)&local};
  for (unsigned index = 0; index < sizeof(lists) / sizeof(*lists); index++)
    taken += change(lists[index], 1) == 0;
  taken += change((uint64_t)list, 1ULL << 63) == 0;
  taken += change((uint64_t)list, UINT64_MAX) == 0;
  // Handlers that are none: a fault is reported all the same, which whoever calls this shows.
  for (unsigned index = 0; index < sizeof(lists) / sizeof(*lists); index++) {
    call(0x531C, (uint64_t)fixture_refused_pages, lists[index] & ~0xFULL);
    call(0x531C, supervisor + index, (uint64_t)memory + 4096);
  }
  return taken;
}

void fixture_lose_page(void *memory, int way) {
  struct change *list = memory;
  uint8_t *page = (uint8_t *)memory + 4096;
  uint64_t frame = (uint64_t)page - direct_map;
  volatile uint8_t *place = (volatile uint8_t *)window;
  if (change_one(list, window, frame | 3, 1) != 0) return;
  *place = 0xC3;
  if (*page != 0xC3) return;
  switch (way) {
    case 0: change_one(list, window, 0, 1), (void)*place; break;
    case 1: change_one(list, window, frame | 1, 1), *place = 1; break;
    case 2: ((void (*)(void))window)(); break;
    // Another frame in its place: what is written does not reach the first.
    case 3:
      change_one(list, window, (frame + 4096) | 3, 1), *place = 1;
      if (*page == 0xC3 && page[4096] == 1) __builtin_trap();
      break;
    default: break;
  }
}

// MARK: A driver that breaks rules

struct descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags, next;
};

enum { SIZE = 8, AVAILABLE = 0x400, USED = 0x800, BUFFER = 0x1000, QUEUE = 0x2000 };

static void set(uint64_t device, unsigned offset, uint32_t value) {
  *(volatile uint32_t *)(direct_map + device + offset) = value;
}

static uint32_t status(uint64_t device) {
  return *(volatile uint32_t *)(direct_map + device + 0x70);
}

/// Whether it has a second queue, for what goes out: the network card and the console.
static int sends(uint64_t device) { return device == 0x2000 || device == 0x4000; }

/// Virtio 1.2 §3.1.1. `rings` is where queues lie, in physical memory.
static void start(uint64_t device, uint64_t rings) {
  set(device, 0x70, 0), set(device, 0x70, 3);
  set(device, 0x24, 1), set(device, 0x20, 1);
  set(device, 0x24, 0), set(device, 0x20, 0);
  set(device, 0x70, 11);
  for (uint32_t queue = 0; queue < (sends(device) ? 2 : 1); queue++) {
    uint64_t base = rings + queue * QUEUE;
    set(device, 0x30, queue), set(device, 0x38, SIZE);
    set(device, 0x80, (uint32_t)base), set(device, 0x84, base >> 32);
    set(device, 0x90, (uint32_t)(base + AVAILABLE)), set(device, 0x94, base >> 32);
    set(device, 0xA0, (uint32_t)(base + USED)), set(device, 0xA4, base >> 32);
    set(device, 0x44, 1);
  }
  set(device, 0x70, 15);
}

uint32_t fixture_break_rule(uint32_t device, int rule, void *memory) {
  uint64_t rings = (uint64_t)memory - direct_map;
  for (unsigned index = 0; index < 2 * QUEUE; index++) ((volatile uint8_t *)memory)[index] = 0;
  // Where the image lies, and where nothing does.
  if (rule == 7) rings = 0x10000;
  if (rule == 8) rings = UINT64_MAX & ~0xFFFFULL;
  start(device, rings);
  if (rule >= 7) return status(device);
  // The queue that sends, of the source of entropy its only one.
  volatile uint8_t *queue = (volatile uint8_t *)memory + (sends(device) ? QUEUE : 0);
  volatile struct descriptor *entry = (volatile struct descriptor *)queue;
  volatile uint16_t *available = (volatile uint16_t *)(queue + AVAILABLE);
  entry->address = rings + BUFFER;
  entry->length = 64;
  entry->flags = sends(device) ? 0 : 2;
  uint16_t head = 0, offered = 1;
  switch (rule) {
    case 0: entry->length = 0xFFFFFFFF; break;
    case 1: entry->flags |= 1, entry->next = 0; break;
    case 2: head = SIZE; break;
    case 3: offered = SIZE + 1; break;
    case 4: entry->address = 0x10000; break;
    case 5: entry->address = UINT64_MAX - 31; break;
    default: entry->flags = 4; break;
  }
  available[2] = head;
  available[1] = offered;
  call(wait_port, 0, 0);
  return status(device);
}

void fixture_scribble(void *memory, uint32_t rounds, int has_console) {
  uint64_t random = 1;
  for (uint32_t round = 0; round < rounds; round++) {
    if (round % 16 == 0) {
      start(0x1000, (uint64_t)memory - direct_map);
      start(0x2000, (uint64_t)memory - direct_map);
      if (has_console) start(0x4000, (uint64_t)memory - direct_map);
    }
    for (int times = 0; times < 16; times++) {
      random = random * 6364136223846793005ULL + 1442695040888963407ULL;
      unsigned place = (random >> 33) % (2 * QUEUE) & ~1u;
      *(volatile uint16_t *)((uint8_t *)memory + place) = (random >> 48) % (times < 8 ? 12 : 65536);
    }
    call(wait_port, 0, 0);
  }
}
