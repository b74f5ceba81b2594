// What a monitor and the process of its network give up before a guest runs: rights, the file system,
// and with a seccomp filter (Documentation/userspace-api/seccomp_filter.rst) all system calls but a
// few. In C, since the kernel's macros for such programs are C's.

#include <asm/unistd.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "CSwiftletKVM.h"

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
// The low half of an argument, which is all that the kernel takes of a descriptor or a request.
#define LOAD_ARGUMENT(index) LOAD(args[index])
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define ALLOW_IF(value) SKIP_UNLESS(value, 1), ALLOW

// Each list is both a part of the program and of what is said of it.

// Frames, on the network link alone.
#define LINK_CALLS(CALL) CALL(readv) CALL(writev) CALL(sendmsg)
// Sectors, on the disk's file alone.
#define DISK_CALLS(CALL) CALL(preadv) CALL(pwritev) CALL(fdatasync)
// What the C library and signals want.
#define LIBRARY_CALLS(CALL)                                                                        \
  CALL(brk) CALL(munmap) CALL(mremap) CALL(futex) CALL(clock_gettime) CALL(time)                   \
  CALL(rt_sigreturn) CALL(restart_syscall)
// Waiting, randomness, the end. Nothing of it opens a file, or makes a socket, a process or code.
#define FREE_CALLS(CALL)                                                                           \
  CALL(ppoll) CALL(poll) CALL(getrandom) CALL(exit_group) LIBRARY_CALLS(CALL)
// At a filter's end: memory that is not for code.
#define ALLOW_MEMORY                                                                               \
  SKIP_UNLESS(__NR_mmap, 3), LOAD_ARGUMENT(2),                                                     \
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0), ALLOW, KILL

#define NAME(call) #call " "
#define NAME_ON_LINK(call) #call "(link) "
#define NAME_ON_DISK(call) #call "(disk) "
#define ALLOW_CALL(call) ALLOW_IF(__NR_##call),
#define ALLOW_ON(file, call)                                                                       \
  SKIP_UNLESS(__NR_##call, 4), LOAD_ARGUMENT(0), SKIP_UNLESS((uint32_t)(file), 1), ALLOW, KILL,
#define ALLOW_ON_LINK(call) ALLOW_ON(link, call)
#define ALLOW_ON_DISK(call) ALLOW_ON(disk, call)

const char *swiftlet_allowed_call_names(void) {
  return FREE_CALLS(NAME) LINK_CALLS(NAME_ON_LINK) DISK_CALLS(NAME_ON_DISK)
         "read(0|link|input) write(1|2) "
         "madvise(MADV_DONTNEED) mprotect(!PROT_EXEC) setitimer(ITIMER_REAL) ioctl(KVM_RUN) "
         "ioctl(KVM_GET_SREGS) ioctl(KVM_GET_VCPU_EVENTS) "
         "ioctl(link,TUNSETOFFLOAD) mmap(!PROT_EXEC)";
}

static int install(struct sock_filter *program, unsigned short length) {
  struct sock_fprog filter = {length, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}

int swiftlet_filter_calls(int processor, int link, int disk, int input) {
  struct sock_filter program[] = {
      LOAD(arch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      KILL,
      LOAD(nr),
      // Running the guest, and reading where it faulted.
      SKIP_UNLESS(__NR_ioctl, 14),
      LOAD_ARGUMENT(0),
      SKIP_UNLESS((uint32_t)processor, 7),
      LOAD_ARGUMENT(1),
      ALLOW_IF(KVM_RUN),
      ALLOW_IF(KVM_GET_SREGS),
      ALLOW_IF(KVM_GET_VCPU_EVENTS),
      // The card's checksum offload, which the driver chooses when it starts.
      SKIP_UNLESS((uint32_t)link, 3),
      LOAD_ARGUMENT(1),
      ALLOW_IF(TUNSETOFFLOAD),
      KILL,
      LINK_CALLS(ALLOW_ON_LINK)
      DISK_CALLS(ALLOW_ON_DISK)
      SKIP_UNLESS(__NR_read, 6),
      LOAD_ARGUMENT(0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, STDIN_FILENO, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)input, 1, 0),
      SKIP_UNLESS((uint32_t)link, 1),
      ALLOW,
      KILL,
      // Memory that the guest has freed.
      SKIP_UNLESS(__NR_madvise, 4),
      LOAD_ARGUMENT(2),
      ALLOW_IF(MADV_DONTNEED),
      KILL,
      // The ends of threads' turns.
      SKIP_UNLESS(__NR_setitimer, 4),
      LOAD_ARGUMENT(0),
      ALLOW_IF(ITIMER_REAL),
      KILL,
      // Pages of a program whose rights are taken.
      SKIP_UNLESS(__NR_mprotect, 4),
      LOAD_ARGUMENT(2),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
      ALLOW,
      KILL,
      SKIP_UNLESS(__NR_write, 5),
      LOAD_ARGUMENT(0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, STDOUT_FILENO, 1, 0),
      SKIP_UNLESS(STDERR_FILENO, 1),
      ALLOW,
      KILL,
      FREE_CALLS(ALLOW_CALL)
      ALLOW_MEMORY,
  };
  return install(program, sizeof(program) / sizeof(program[0]));
}

#define NETWORK_CALLS(CALL)                                                                        \
  CALL(epoll_wait) CALL(epoll_pwait) CALL(epoll_ctl) CALL(read) CALL(write) CALL(readv)            \
  CALL(writev) CALL(sendto) CALL(recvfrom) CALL(accept4) CALL(connect) CALL(shutdown)              \
  CALL(setsockopt) CALL(getsockopt) CALL(close) CALL(getrandom) CALL(exit_group) CALL(madvise)

int swiftlet_filter_network_calls(void) {
  struct sock_filter program[] = {
      LOAD(arch),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      KILL,
      LOAD(nr),
      // New sockets are of IP; none is bound, so no port is opened that was not published.
      SKIP_UNLESS(__NR_socket, 6),
      LOAD_ARGUMENT(0),
      ALLOW_IF(AF_INET),
      ALLOW_IF(AF_INET6),
      KILL,
      NETWORK_CALLS(ALLOW_CALL)
      LIBRARY_CALLS(ALLOW_CALL)
      ALLOW_MEMORY,
  };
  return install(program, sizeof(program) / sizeof(program[0]));
}

int swiftlet_drop_capabilities(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2];
  memset(none, 0, sizeof(none));
  return (int)syscall(SYS_capset, &header, none);
}

// Of its own, as the headers of the host that builds may be older than the kernel that runs.
struct ruleset {
  uint64_t files, ports, scopes;
};

int swiftlet_enter_landlock(void) {
  enum { VERSION = 1, CREATE_RULESET = 444, RESTRICT_SELF = 446 };
  long version = syscall(CREATE_RULESET, NULL, 0, VERSION);
  if (version < 1) return 0;
  // Access rights by the version of the interface that brought them; no rule allows any.
  struct ruleset nothing = {
      .files = version >= 5 ? 0xFFFF : version >= 3 ? 0x7FFF : version >= 2 ? 0x3FFF : 0x1FFF,
      .ports = version >= 4 ? 3 : 0,
      .scopes = version >= 6 ? 3 : 0,
  };
  size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  int rules = (int)syscall(CREATE_RULESET, &nothing, size, 0);
  if (rules < 0) return -1;
  int result = (int)syscall(RESTRICT_SELF, rules, 0);
  close(rules);
  return result == 0 ? (int)version : -1;
}

int swiftlet_close_range(unsigned first, unsigned last) {
  return (int)syscall(SYS_close_range, first, last, 0);
}
