// Clocks by the C library, which may read them without a call, beside the same clocks by a call: no one
// runs behind what was read before. Linux and the library OS have to agree.
#define _GNU_SOURCE
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static uint64_t nanoseconds(struct timespec time) {
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static uint64_t by_library(clockid_t clock) {
  struct timespec time;
  return clock_gettime(clock, &time) == 0 ? nanoseconds(time) : 0;
}

static uint64_t by_call(clockid_t clock) {
  struct timespec time;
  return syscall(SYS_clock_gettime, clock, &time) == 0 ? nanoseconds(time) : 0;
}

int main(void) {
  const Elf64_Ehdr *library = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
  printf("a library: %d\n", library && library->e_ident[1] == 'E' && library->e_type == ET_DYN);
  const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
  for (int index = 0; index < 3; index++) {
    long wrong = 0;
    uint64_t last = by_library(clocks[index]);
    for (int round = 0; round < 2000; round++) {
      uint64_t call = by_call(clocks[index]), next = by_library(clocks[index]);
      wrong += call < last || next < call;
      last = next;
    }
    printf("clock %d: %ld wrong\n", index, wrong);
  }
  struct timeval day;
  uint64_t before = by_call(CLOCK_REALTIME) / 1000;
  int result = gettimeofday(&day, 0);
  uint64_t microseconds = day.tv_sec * 1000000ull + day.tv_usec;
  printf("%d, %d\n", result, before <= microseconds && microseconds <= by_call(CLOCK_REALTIME) / 1000);
  struct timezone zone;
  printf("%d\n", gettimeofday(&day, &zone));
  time_t now = time(0), also;
  printf("%d\n", time(&also) >= now && also >= now);
  struct timespec time;
  printf("%d\n", clock_gettime(99, &time));
  return 0;
}
