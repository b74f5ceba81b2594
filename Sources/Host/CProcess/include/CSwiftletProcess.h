// Starting a process that dies with its parent: between fork and exec stand calls that neither
// posix_spawn(3) nor Swift offers.
#ifndef CSWIFTLET_PROCESS_H
#define CSWIFTLET_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

enum swiftlet_spawn_flags {
  // A session of its own: no terminal, no signals from one.
  SWIFTLET_SPAWN_SESSION = 1,
  // A process group of its own: Ctrl-C in a terminal does not reach it.
  SWIFTLET_SPAWN_GROUP = 2,
  // SIGKILL when the calling thread ends, however it ends (prctl(2), PR_SET_PDEATHSIG).
  SWIFTLET_SPAWN_DIES_WITH_PARENT = 4,
};

// Copies the file `from` to `to`, both open at their beginnings (copy_file_range(2)): where the file
// system can, both share their blocks until one is written to. 0, or why not (errno).
int swiftlet_copy_file(int from, int to);

// Reads what is there: as read(2), but for -1 and EAGAIN from a socket or, where the kernel can, a pipe
// that is empty, even if the descriptor blocks. It stays as it is: other processes may share it.
ssize_t swiftlet_read_ready(int file, void *target, size_t count);

struct swiftlet_spawned {
  pid_t pid;
  // Becomes readable when the process ends (pidfd_open(2)).
  int descriptor;
  // 0, or why nothing was started (errno).
  int error;
};

// Runs the program at `path`. Its descriptors are `descriptors`, from 0 on, -1 meaning /dev/null;
// every other one is closed.
struct swiftlet_spawned swiftlet_spawn(const char *path, char *const arguments[],
                                       const int *descriptors, int count, int flags);

// Goes on as two processes (fork(2)): safe in one with a single thread. The new one is in a session of
// its own, has the standard dispositions of signals, /dev/null as its standard descriptors, and of the
// others those of `kept`, in ascending order. As fork: 0 there, and here its identifier, or -1.
pid_t swiftlet_fork_session(const int *kept, int count);

#endif
