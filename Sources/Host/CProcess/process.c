// vfork, a few calls that are safe there, exec; and word of an exec that failed.
#define _GNU_SOURCE
#include "CSwiftletProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_DESCRIPTORS = 8, CLOEXEC_RANGE = 4, LAST_SIGNAL = 64, OLD_LIMIT = 4096 };

static void reset_signals(void) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int number = 1; number <= LAST_SIGNAL; number++) sigaction(number, &standard, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_between(int first, int last) {
  if (first > last || syscall(SYS_close_range, first, last, 0) == 0) return;
  for (int number = first; number <= last && number < OLD_LIMIT; number++) close(number);
}

// Keeps the caller, and a child that it makes, on the processor that it runs on, until `leave`. Else
// the child may be given to another one, which has to be woken, or is busy: measured were 0.3 to 3.6
// ms before its first instruction, and here 0.03. False if there is nothing to leave.
static bool stay(cpu_set_t *before) {
  int here = sched_getcpu();
  if (here < 0 || here >= CPU_SETSIZE || sched_getaffinity(0, sizeof *before, before) != 0)
    return false;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(here, &one);
  return sched_setaffinity(0, sizeof one, &one) == 0;
}

static void leave(bool stays, const cpu_set_t *before) {
  if (stays) sched_setaffinity(0, sizeof *before, before);
}

pid_t swiftlet_fork_session(const int *kept, int count) {
  cpu_set_t before;
  bool stays = stay(&before);
  pid_t pid = fork();
  leave(stays, &before);
  if (pid != 0) return pid;
  reset_signals();
  setsid();
  int null = open("/dev/null", O_RDWR);
  for (int number = 0; number <= STDERR_FILENO; number++) dup2(null, number);
  int next = STDERR_FILENO + 1;
  for (int index = 0; index < count; index++) {
    close_between(next, kept[index] - 1);
    next = kept[index] + 1;
  }
  close_between(next, INT_MAX);
  return 0;
}

// In the child. Only async-signal-safe calls: other threads may have held any lock. What it changes
// is its own: handlers and descriptors are not shared.
static void start(const char *path, char *const arguments[], const int *descriptors, int count,
                  int flags, pid_t parent, int word) {
  reset_signals();
  if (flags & SWIFTLET_SPAWN_SESSION) setsid();
  if (flags & SWIFTLET_SPAWN_GROUP) setpgid(0, 0);
  if (flags & SWIFTLET_SPAWN_DIES_WITH_PARENT) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return;
    // The parent may have gone before the request took effect.
    if (getppid() != parent) _exit(128 + SIGKILL);
  }
  // Out of the way first: one's place may be another's number.
  int high[MOST_DESCRIPTORS];
  for (int index = 0; index < count; index++) {
    int from = descriptors[index] >= 0 ? descriptors[index] : open("/dev/null", O_RDWR);
    high[index] = fcntl(from, F_DUPFD, 2 * MOST_DESCRIPTORS);
    if (high[index] < 0) return;
  }
  int kept = fcntl(word, F_DUPFD, 2 * MOST_DESCRIPTORS);
  if (kept < 0) return;
  for (int index = 0; index < count; index++) {
    if (dup2(high[index], index) < 0) return;
  }
  if (syscall(SYS_close_range, count, ~0U, CLOEXEC_RANGE) != 0) {
    for (int number = count; number < OLD_LIMIT; number++) fcntl(number, F_SETFD, FD_CLOEXEC);
  }
  execv(path, arguments);
  int failure = errno;
  ssize_t ignored = write(kept, &failure, sizeof failure);
  (void)ignored;
  _exit(127);
}

struct swiftlet_spawned swiftlet_spawn(const char *path, char *const arguments[],
                                       const int *descriptors, int count, int flags) {
  struct swiftlet_spawned result = {.pid = -1, .descriptor = -1, .error = EINVAL};
  int word[2];
  if (count < 0 || count > MOST_DESCRIPTORS) return result;
  if (pipe2(word, O_CLOEXEC) != 0) {
    result.error = errno;
    return result;
  }
  pid_t parent = getpid();
  cpu_set_t processors;
  bool stays = stay(&processors);
  // Without a copy of this process's page tables, which takes longer than all else here. The child
  // runs in this memory until exec, so no handler of this process's may run in it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = vfork();
  if (pid == 0) {
    leave(stays, &processors);
    start(path, arguments, descriptors, count, flags, parent, word[1]);
    int failure = errno;
    ssize_t ignored = write(word[1], &failure, sizeof failure);
    (void)ignored;
    _exit(127);
  }
  result.error = pid < 0 ? errno : 0;
  leave(stays, &processors);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(word[1]);
  int failure = 0;
  // Nothing comes if the program runs: exec closed the other end.
  while (pid > 0) {
    ssize_t got = read(word[0], &failure, sizeof failure);
    if (got == (ssize_t)sizeof failure) result.error = failure;
    if (got >= 0 || errno != EINTR) break;
  }
  close(word[0]);
  if (result.error == 0) {
    result.descriptor = (int)syscall(SYS_pidfd_open, pid, 0);
    if (result.descriptor < 0) {
      result.error = errno;
      kill(pid, SIGKILL);
    }
  }
  if (result.error == 0) {
    fcntl(result.descriptor, F_SETFD, FD_CLOEXEC);
    result.pid = pid;
  } else if (pid > 0) {
    waitpid(pid, NULL, 0);
  }
  return result;
}

ssize_t swiftlet_read_ready(int file, void *target, size_t count) {
  struct stat status;
  mode_t type = fstat(file, &status) == 0 ? status.st_mode & S_IFMT : 0;
  if (type == S_IFSOCK) return recv(file, target, count, MSG_DONTWAIT);
  // Not of a regular file: there it would tell whether the octets are in memory.
  if (type == S_IFIFO) {
    struct iovec vector = {.iov_base = target, .iov_len = count};
    ssize_t got = preadv2(file, &vector, 1, -1, RWF_NOWAIT);
    // Pipes know that since Linux 6.4, those with names do not.
    if (got >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS)) return got;
  }
  return read(file, target, count);
}

int swiftlet_copy_file(int from, int to) {
  enum { MOST = 1 << 30 };
  for (;;) {
    long count = syscall(SYS_copy_file_range, from, NULL, to, NULL, MOST, 0);
    if (count == 0) return 0;
    if (count < 0 && errno != EINTR) break;
  }
  // Not between these file systems, or not on this kernel.
  if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return errno;
  char buffer[64 << 10];
  for (;;) {
    ssize_t count = read(from, buffer, sizeof buffer);
    if (count == 0) return 0;
    if (count < 0 && errno != EINTR) return errno;
    for (ssize_t done = 0; done < count;) {
      ssize_t written = write(to, buffer + done, count - done);
      if (written < 0 && errno != EINTR) return errno;
      if (written > 0) done += written;
    }
  }
}
