// The seccomp filters (Documentation/userspace-api/seccomp_filter.rst): which system calls are left to
// a monitor whose guest runs, and to the process of its network. In C, since the kernel's macros for such programs are C's.

#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

// What the C library and signals want, at a filter's end. Nothing of it makes code.
#define LIBRARY_CALLS                                            \
  ALLOW_IF(__NR_brk),                                            \
  ALLOW_IF(__NR_munmap),                                         \
  ALLOW_IF(__NR_mremap),                                         \
  ALLOW_IF(__NR_madvise),                                        \
  ALLOW_IF(__NR_futex),                                          \
  ALLOW_IF(__NR_clock_gettime),                                  \
  ALLOW_IF(__NR_time),                                           \
  ALLOW_IF(__NR_rt_sigreturn),                                   \
  ALLOW_IF(__NR_restart_syscall),                                \
  SKIP_UNLESS(__NR_mmap, 3),                                     \
  LOAD_ARGUMENT(2),                                              \
  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),         \
  ALLOW,                                                         \
  KILL

static int install(struct sock_filter *program, unsigned short length) {
  struct sock_fprog filter = {length, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

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
      LIBRARY_CALLS,
  };
  return install(program, sizeof(program) / sizeof(program[0]));
}

int swiftlet_filter_network_calls(void) {
  struct sock_filter program[] = {
      LOAD(arch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      KILL,
      LOAD(nr),
      // New sockets are of IPv4; none is bound, so no port is opened that was not published.
      SKIP_UNLESS(__NR_socket, 4),
      LOAD_ARGUMENT(0),
      ALLOW_IF(AF_INET),
      KILL,
      ALLOW_IF(__NR_epoll_wait),
      ALLOW_IF(__NR_epoll_pwait),
      ALLOW_IF(__NR_epoll_ctl),
      ALLOW_IF(__NR_read),
      ALLOW_IF(__NR_write),
      ALLOW_IF(__NR_readv),
      ALLOW_IF(__NR_writev),
      ALLOW_IF(__NR_sendto),
      ALLOW_IF(__NR_recvfrom),
      ALLOW_IF(__NR_accept4),
      ALLOW_IF(__NR_connect),
      ALLOW_IF(__NR_shutdown),
      ALLOW_IF(__NR_setsockopt),
      ALLOW_IF(__NR_getsockopt),
      ALLOW_IF(__NR_close),
      ALLOW_IF(__NR_getrandom),
      ALLOW_IF(__NR_exit_group),
      LIBRARY_CALLS,
  };
  return install(program, sizeof(program) / sizeof(program[0]));
}

int swiftlet_close_range(unsigned first, unsigned last) {
  return (int)syscall(SYS_close_range, first, last, 0);
}
