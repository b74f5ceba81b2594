// Pipes, pairs of sockets, poll, select, epoll, events, timers, memory and time, and their errors.
// Each line of output is a call, its result and its error number: Linux and the library OS have to
// agree.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SAY(call)                                              \
  do {                                                         \
    errno = 0;                                                 \
    long result = (long)(call);                                \
    printf("%s: %ld, %d\n", #call, result, result < 0 ? errno : 0); \
  } while (0)

static char buffer[70000];

static void pipes(void) {
  int ends[2];
  SAY(pipe(ends));
  SAY(write(ends[1], "abc", 3));
  SAY(read(ends[0], buffer, 10));
  struct pollfd poller = {ends[0], POLLIN, 0};
  SAY(poll(&poller, 1, 0));
  SAY(poll(&poller, 1, 20));
  SAY(write(ends[1], "z", 1));
  SAY(poll(&poller, 1, -1));
  printf("events %x\n", poller.revents);
  close(ends[1]);
  SAY(read(ends[0], buffer, 10));
  SAY(read(ends[0], buffer, 10));
  SAY(poll(&poller, 1, -1));
  printf("events %x\n", poller.revents);
  close(ends[0]);
  SAY(pipe2(ends, O_NONBLOCK));
  SAY(read(ends[0], buffer, 1));
  SAY(write(ends[1], buffer, sizeof buffer));
  SAY(write(ends[1], buffer, 1));
  int pair[2];
  SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  SAY(write(pair[0], "hi", 2));
  SAY(recv(pair[1], buffer, 10, 0));
  SAY(send(pair[1], "yes", 3, 0));
  SAY(read(pair[0], buffer, 10));
  SAY(shutdown(pair[0], SHUT_WR));
  SAY(read(pair[1], buffer, 1));
  fd_set set;
  FD_ZERO(&set);
  FD_SET(pair[1], &set);
  struct timeval time = {0, 1000};
  SAY(select(pair[1] + 1, &set, 0, 0, &time));
  printf("%d\n", FD_ISSET(pair[1], &set) != 0);
}

static void events(void) {
  uint64_t value = 0;
  int event = eventfd(3, 0);
  SAY(read(event, &value, 8));
  printf("%lu\n", value);
  SAY(write(event, &value, 4));
  SAY(write(event, &value, 8));
  SAY(read(event, &value, 8));
  SAY(read(event, (void *)-1, 8) < 0 && errno == EFAULT);
  int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec setting = {{0, 5000000}, {0, 5000000}};
  SAY(timerfd_settime(timer, 0, &setting, 0));
  SAY(read(timer, &value, 8));
  printf("%d\n", value >= 1);

  int set = epoll_create1(0);
  struct epoll_event wanted = {EPOLLIN, {.u64 = 77}}, found[4];
  SAY(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted));
  SAY(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted));
  SAY(epoll_wait(set, found, 4, 0));
  SAY(epoll_wait(set, found, 4, 10));
  value = 1;
  SAY(write(event, &value, 8));
  SAY(epoll_wait(set, found, 4, -1));
  printf("%x %lu\n", found[0].events, (unsigned long)found[0].data.u64);
  SAY(epoll_wait(set, found, 4, -1));
  SAY(epoll_wait(set, (void *)8, 4, 0));
  SAY(epoll_wait(set, found, 4, 0));
  wanted.events = EPOLLIN | EPOLLET;
  SAY(epoll_ctl(set, EPOLL_CTL_MOD, event, &wanted));
  SAY(epoll_wait(set, found, 4, -1));
  SAY(epoll_wait(set, found, 4, 0));
  SAY(epoll_ctl(set, EPOLL_CTL_DEL, event, &wanted));
  SAY(epoll_ctl(set, EPOLL_CTL_DEL, event, &wanted));
  SAY(epoll_wait(set, found, 4, 0));
}

// Told once, a hang-up is not told again; instances do not hold each other.
static void instances(void) {
  int set = epoll_create1(0), other = epoll_create1(0), ends[2];
  struct epoll_event wanted = {EPOLLIN | EPOLLONESHOT, {.u64 = 5}}, found[4];
  SAY(pipe(ends));
  SAY(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &wanted));
  SAY(close(ends[1]));
  SAY(epoll_wait(set, found, 4, 100));
  printf("%x\n", found[0].events);
  SAY(epoll_wait(set, found, 4, 0));
  SAY(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &wanted));
  SAY(epoll_wait(set, found, 4, 0));
  SAY(epoll_wait(set, found, 4, 0));
  wanted.events = 0;
  SAY(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &wanted));
  SAY(epoll_wait(set, found, 4, 0));
  printf("%x\n", found[0].events);
  wanted.events = EPOLLIN;
  SAY(epoll_ctl(other, EPOLL_CTL_ADD, set, &wanted));
  SAY(epoll_wait(other, found, 4, 0));
  SAY(epoll_ctl(set, EPOLL_CTL_ADD, other, &wanted));
  SAY(epoll_ctl(set, EPOLL_CTL_ADD, set, &wanted));
  close(ends[0]);
  SAY(epoll_wait(other, found, 4, 0));
}

// Timers that are as far away as can be said, and descriptors that are closed in ranges.
static void limits(void) {
  uint64_t value;
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec setting = {{0x7FFFFFFFFFFFFFFF, 0}, {0, 1}};
  SAY(timerfd_settime(timer, 0, &setting, 0));
  struct pollfd poller = {timer, POLLIN, 0};
  SAY(poll(&poller, 1, -1));
  SAY(read(timer, &value, 8));
  setting.it_value.tv_sec = 0x7FFFFFFFFFFFFFFF;
  SAY(timerfd_settime(timer, 0, &setting, 0));
  SAY(poll(&poller, 1, 1));
  int first = dup2(timer, 60), last = dup2(timer, 62);
  SAY(syscall(436, first, last, 4));
  SAY(fcntl(first, F_GETFD));
  SAY(fcntl(last, F_GETFD));
  SAY(syscall(436, first, last, 99));
  SAY(syscall(436, last, first, 0));
  SAY(syscall(436, first, -1, 0));
  SAY(fcntl(first, F_GETFD));
  int priority = 7;
  SAY(syscall(SYS_getpriority, 0, 0));
  SAY(syscall(SYS_sched_getparam, 0, &priority));
  printf("%d\n", priority);
}

static void memory(void) {
  int rights = PROT_READ | PROT_WRITE;
  char *map = mmap(0, 8192, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(map, "mapped");
  SAY(mprotect(map, 4096, PROT_READ));
  puts(map);
  SAY(read(open("/dev/zero", O_RDONLY), map, 1));
  SAY(mprotect(map, 4096, rights));
  map = mremap(map, 8192, 1 << 20, MREMAP_MAYMOVE);
  puts(map);
  SAY(munmap(map, 1 << 20));
  SAY(munmap((void *)1, 4096));
  SAY(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
  SAY(mprotect((void *)0x7000000000, 4096, PROT_READ));
  // Promised, and hardly used: far more than the machine has.
  char *large = mmap(0, 1UL << 34, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SAY(mprotect(large + (1UL << 33), 4096, rights));
  large[1UL << 33] = 7;
  SAY(munmap(large, 1UL << 34));
  char *heap = malloc(10 << 20);
  memset(heap, 7, 10 << 20);
  long sum = 0;
  for (int i = 0; i < 10 << 20; i += 4096) sum += heap[i];
  printf("%ld\n", sum);
}

int main(void) {
  pipes();
  events();
  instances();
  limits();
  memory();
  struct timespec sleep = {0, 3000000}, before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  SAY(nanosleep(&sleep, 0));
  clock_gettime(CLOCK_MONOTONIC, &after);
  long passed = (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec;
  printf("%d\n", passed >= 3000000);
  sleep.tv_nsec = -1;
  SAY(nanosleep(&sleep, 0));
  SAY(clock_gettime(99, &before));
  printf("%d\n", time(0) > 1700000000);
  SAY(syscall(SYS_gettid) == getpid());
  SAY(close(-1));
  SAY(isatty(1));
  SAY(sysconf(_SC_PAGESIZE));
  return 0;
}
