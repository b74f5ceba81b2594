// What Swift cannot import of Linux's headers: ioctl numbers (macros), variadic calls, and the union
// in struct kvm_run.
#ifndef CSWIFTLET_KVM_H
#define CSWIFTLET_KVM_H

#include <linux/kvm.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SWIFTLET_INLINE static inline __attribute__((always_inline))

// ioctl(2) is variadic.
SWIFTLET_INLINE int swiftlet_ioctl(int file, unsigned long request, uintptr_t argument) {
  return ioctl(file, request, argument);
}

// ppoll(2), which glibc declares for GNU sources only. All ones: without end.
SWIFTLET_INLINE int swiftlet_poll(struct pollfd *files, nfds_t count, uint64_t nanoseconds) {
  struct timespec time = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
  return (int)syscall(SYS_ppoll, files, count, nanoseconds == UINT64_MAX ? NULL : &time, NULL, 8);
}

// Nanoseconds of a clock that is read without a system call, and is some milliseconds late.
SWIFTLET_INLINE uint64_t swiftlet_coarse_time(void) {
  struct timespec time = {0, 0};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// Documentation/virt/kvm/api.rst has each by its name.
static const unsigned long swiftlet_kvm_get_api_version = KVM_GET_API_VERSION;
static const unsigned long swiftlet_kvm_create_vm = KVM_CREATE_VM;
static const unsigned long swiftlet_kvm_check_extension = KVM_CHECK_EXTENSION;
static const unsigned long swiftlet_kvm_get_vcpu_mmap_size = KVM_GET_VCPU_MMAP_SIZE;
static const unsigned long swiftlet_kvm_get_supported_cpuid = KVM_GET_SUPPORTED_CPUID;
static const unsigned long swiftlet_kvm_set_user_memory_region = KVM_SET_USER_MEMORY_REGION;
static const unsigned long swiftlet_kvm_create_vcpu = KVM_CREATE_VCPU;
static const unsigned long swiftlet_kvm_run = KVM_RUN;
static const unsigned long swiftlet_kvm_get_regs = KVM_GET_REGS;
static const unsigned long swiftlet_kvm_set_regs = KVM_SET_REGS;
static const unsigned long swiftlet_kvm_get_sregs = KVM_GET_SREGS;
static const unsigned long swiftlet_kvm_set_sregs = KVM_SET_SREGS;
static const unsigned long swiftlet_kvm_set_cpuid2 = KVM_SET_CPUID2;
static const unsigned long swiftlet_kvm_set_xcrs = KVM_SET_XCRS;
static const unsigned long swiftlet_kvm_get_tsc_khz = KVM_GET_TSC_KHZ;
static const unsigned long swiftlet_kvm_get_vcpu_events = KVM_GET_VCPU_EVENTS;

// KVM_SET_MSRS: where `syscall` leads in 64-bit and in compatibility mode. Gives the number of
// registers that were set, 2 if all is well.
SWIFTLET_INLINE int swiftlet_set_system_call_entry(int processor, uint64_t address) {
  _Alignas(8) char octets[sizeof(struct kvm_msrs) + 2 * sizeof(struct kvm_msr_entry)] = {0};
  struct kvm_msrs *list = (struct kvm_msrs *)octets;
  list->nmsrs = 2;
  for (uint32_t index = 0; index < 2; index++) {
    list->entries[index].index = 0xC0000082 + index;
    list->entries[index].data = address;
  }
  return ioctl(processor, KVM_SET_MSRS, list);
}

// Attaches to the tap `name` (at most 15 octets), with a header of so many octets before each frame.
int swiftlet_tun_attach(int file, const char *name, int header_size);
// Which frames may come: those whose checksum the receiver is to compute, and, if those may, TCP
// segments longer than a packet, over IPv4 (`segments`) and over IPv6 (`segments_ipv6`).
int swiftlet_tun_set_offload(int file, int checksums, int segments,
                             int segments_ipv6);

// getrandom(2), not declared by the headers that Swift imports.
SWIFTLET_INLINE long swiftlet_get_random(void *target, size_t count) {
  return syscall(SYS_getrandom, target, count, 0);
}

// A signal (SIGALRM) is to end KVM_RUN in this area, the next one too (immediate_exit); and it is to
// come after so many nanoseconds.
int swiftlet_prepare_kicks(struct kvm_run *run);
void swiftlet_kick_after(uint64_t nanoseconds);

// From now on this process gains no privileges, and any call but the few that running a guest takes
// kills it: `processor` is the virtual processor, `link` a tap device or a socket, or -1,
// `disk` the disk's file, `input` standard input's descriptor, or -1.
int swiftlet_filter_calls(int processor, int link, int disk, int input);
// The names of those calls, as the filter has them.
const char *swiftlet_allowed_call_names(void);
// This process has no capability any more, though it may be root's (capabilities(7)).
int swiftlet_drop_capabilities(void);
// This process opens no path, no port and nothing of other processes' any more (landlock(7)). Gives
// the interface's version; 0 if the kernel does not offer it, -1 if it failed.
int swiftlet_enter_landlock(void);
// Closes the descriptors from `first` to `last` (close_range(2)).
int swiftlet_close_range(unsigned first, unsigned last);

// A page of `size` octets that is shared by a memory file called `name` (memfd_create(2)), whose
// descriptor is put into `file`; NULL if there is none to be had.
void *swiftlet_shared_page(const char *name, size_t size, int *file);

// As swiftlet_filter_calls, for the process of the user network: sockets of IPv4 are left to it.
int swiftlet_filter_network_calls(void);

// fork(2), which Swift does not offer: safe in a process with one thread.
SWIFTLET_INLINE pid_t swiftlet_fork(void) { return fork(); }
// SIGKILL for this process when the thread that made it ends.
SWIFTLET_INLINE int swiftlet_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, 9); }
SWIFTLET_INLINE int swiftlet_set_process_name(const char *name) { return prctl(PR_SET_NAME, name); }
// accept4(2), declared for GNU sources only. `name` has room for a socket's
// name, or is NULL.
SWIFTLET_INLINE int swiftlet_accept(int file, void *name, unsigned *size, int flags) {
  return (int)syscall(SYS_accept4, file, name, size, flags);
}

// struct kvm_run: the union's parts that are used here.
SWIFTLET_INLINE uint32_t swiftlet_run_exit_reason(const struct kvm_run *run) { return run->exit_reason; }
SWIFTLET_INLINE void swiftlet_run_want_registers(struct kvm_run *run) { run->kvm_valid_regs = KVM_SYNC_X86_REGS; }
SWIFTLET_INLINE struct kvm_regs swiftlet_run_registers(const struct kvm_run *run) { return run->s.regs.regs; }
// The guest finds `value` in eax when it goes on.
SWIFTLET_INLINE void swiftlet_run_set_result(struct kvm_run *run, uint32_t value) {
  run->s.regs.regs.rax = value;
  run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}
// The first argument of a function that the guest goes on at.
SWIFTLET_INLINE void swiftlet_run_set_argument(struct kvm_run *run, uint64_t value) {
  run->s.regs.regs.rdi = value;
  run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}
// The guest goes on with this stack pointer.
SWIFTLET_INLINE void swiftlet_run_set_stack(struct kvm_run *run, uint64_t rsp) {
  run->s.regs.regs.rsp = rsp;
  run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}
// The guest goes on there.
SWIFTLET_INLINE void swiftlet_run_redirect(struct kvm_run *run, uint64_t rip, uint64_t rsp, uint64_t rflags) {
  run->s.regs.regs.rip = rip;
  run->s.regs.regs.rflags = rflags;
  swiftlet_run_set_stack(run, rsp);
}
SWIFTLET_INLINE int swiftlet_run_io_is_write(const struct kvm_run *run) { return run->io.direction == KVM_EXIT_IO_OUT; }
SWIFTLET_INLINE uint16_t swiftlet_run_io_port(const struct kvm_run *run) { return run->io.port; }
SWIFTLET_INLINE uint64_t swiftlet_run_io_octets(const struct kvm_run *run) { return (uint64_t)run->io.size * run->io.count; }
SWIFTLET_INLINE uint64_t swiftlet_run_io_offset(const struct kvm_run *run) { return run->io.data_offset; }
SWIFTLET_INLINE uint64_t swiftlet_run_mmio_address(const struct kvm_run *run) { return run->mmio.phys_addr; }
SWIFTLET_INLINE uint32_t swiftlet_run_mmio_size(const struct kvm_run *run) { return run->mmio.len; }
SWIFTLET_INLINE int swiftlet_run_mmio_is_write(const struct kvm_run *run) { return run->mmio.is_write; }
SWIFTLET_INLINE uint64_t swiftlet_run_mmio_value(const struct kvm_run *run) {
  uint64_t value = 0;
  for (unsigned index = 0; index < 8 && index < run->mmio.len; index++) value |= (uint64_t)run->mmio.data[index] << (8 * index);
  return value;
}
SWIFTLET_INLINE void swiftlet_run_set_mmio_value(struct kvm_run *run, uint64_t value) {
  for (unsigned index = 0; index < 8; index++) run->mmio.data[index] = (uint8_t)(value >> (8 * index));
}

// CPUID of the host, for what KVM's list is compared with.
#if defined(__x86_64__)
SWIFTLET_INLINE uint64_t swiftlet_read_xcr0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}
#endif

#endif
