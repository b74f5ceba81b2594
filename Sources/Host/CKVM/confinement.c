// The seccomp filter (Documentation/userspace-api/seccomp_filter.rst): which system calls are left to
// a monitor whose guest runs. In C, since the kernel's macros for such programs are C's.

#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CSwiftletKVM.h"

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
// The low half of an argument, which is all that the kernel takes of a descriptor or a request.
#define LOAD_ARGUMENT(index) LOAD(args[index])
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define ALLOW_IF(value) SKIP_UNLESS(value, 1), ALLOW

int swiftlet_filter_calls(int processor, int link) {
  struct sock_filter program[] = {
      LOAD(arch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      KILL,
      LOAD(nr),
      // Running the guest, and reading where it faulted.
      SKIP_UNLESS(__NR_ioctl, 12),
      LOAD_ARGUMENT(0),
      SKIP_UNLESS((uint32_t)processor, 5),
      LOAD_ARGUMENT(1),
      ALLOW_IF(KVM_RUN),
      ALLOW_IF(KVM_GET_SREGS),
      // The card's checksum offload, which the driver chooses when it starts.
      SKIP_UNLESS((uint32_t)link, 3),
      LOAD_ARGUMENT(1),
      ALLOW_IF(TUNSETOFFLOAD),
      KILL,
      // The devices, the console, waiting.
      ALLOW_IF(__NR_ppoll),
      ALLOW_IF(__NR_readv),
      ALLOW_IF(__NR_writev),
      ALLOW_IF(__NR_sendmsg),
      ALLOW_IF(__NR_read),
      ALLOW_IF(__NR_write),
      ALLOW_IF(__NR_poll),
      ALLOW_IF(__NR_getrandom),
      ALLOW_IF(__NR_exit_group),
      // What the C library and signals want. Nothing of it makes code.
      ALLOW_IF(__NR_brk),
      ALLOW_IF(__NR_munmap),
      ALLOW_IF(__NR_mremap),
      ALLOW_IF(__NR_futex),
      ALLOW_IF(__NR_clock_gettime),
      ALLOW_IF(__NR_time),
      ALLOW_IF(__NR_rt_sigreturn),
      ALLOW_IF(__NR_restart_syscall),
      // Memory that the guest has freed.
      SKIP_UNLESS(__NR_madvise, 4),
      LOAD_ARGUMENT(2),
      ALLOW_IF(MADV_DONTNEED),
      KILL,
      SKIP_UNLESS(__NR_mmap, 3),
      LOAD_ARGUMENT(2),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
      ALLOW,
      KILL,
  };
  struct sock_fprog filter = {sizeof(program) / sizeof(program[0]), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

int swiftlet_close_range(unsigned first, unsigned last) {
  return (int)syscall(SYS_close_range, first, last, 0);
}
