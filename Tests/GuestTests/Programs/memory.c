// Memory that comes, goes and changes its rights, and what touching it does then. Linux and the library
// OS have to agree.
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int code;
static void leave(int signal, siginfo_t *information, void *context) {
  code = information->si_code;
  siglongjmp(back, signal);
}

// What reading, or writing, does.
static const char *touch(volatile char *place, int writes) {
  static char text[40];
  int signal = sigsetjmp(back, 1);
  if (signal == 0) {
    if (writes) *place = 7;
    else (void)*place;
    return "works";
  }
  snprintf(text, sizeof(text), "signal %d, code %d", signal, code);
  return text;
}

static void show(const char *what, char *place) {
  printf("%s: reading %s", what, touch(place, 0));
  printf(", writing %s\n", touch(place, 1));
}

static char *map(size_t size, int rights) {
  char *place = mmap(0, size, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (place == MAP_FAILED) printf("mmap: %d\n", errno);
  return place;
}

static unsigned long sum(char *place, size_t size) {
  unsigned long sum = 0;
  for (size_t i = 0; i < size; i += 64) sum = sum * 31 + (unsigned char)place[i];
  return sum;
}

// Writable data of the program's own, whole pages of it.
static char own[3 * 4096] __attribute__((aligned(4096))) = {1};

static void change_rights(void) {
  const size_t page = 4096;
  char *place = map(8 * page, PROT_READ | PROT_WRITE);
  memset(place, 1, 8 * page);
  show("mapped", place);
  printf("%d\n", mprotect(place + page, page, PROT_READ));
  show("read-only", place + page);
  show("its neighbour", place + 2 * page);
  printf("%d\n", mprotect(place + page, 2 * page, PROT_NONE));
  show("forbidden", place + page);
  show("its neighbour", place + 3 * page);
  printf("%d\n", mprotect(place, 8 * page, PROT_READ | PROT_WRITE));
  printf("it is %d\n", place[page]);
  show("allowed again", place + page);
  printf("%d\n", munmap(place + 4 * page, page));
  show("unmapped", place + 4 * page);
  show("its neighbour", place + 5 * page);
  int result = mprotect(place, 8 * page, PROT_READ);
  printf("%d, %d\n", result, errno);
  munmap(place, 8 * page);
  show("all unmapped", place + page);
  show("null", 0);
  show("a wild pointer", (char *)0x123456789000);
  printf("own: %d\n", mprotect(own + page, page, PROT_READ));
  show("own, read-only", own + page);
  show("own, beside", own + 2 * page);
  printf("own: %d\n", mprotect(own + page, page, PROT_READ | PROT_WRITE));
  show("own, as before", own + page);
}

static void move_and_drop(void) {
  const size_t size = 3 << 20;
  char *place = map(size, PROT_READ | PROT_WRITE);
  for (size_t i = 0; i < size; i++) place[i] = (char)(i * 7 >> 3);
  printf("%lu\n", sum(place, size));
  char *wall = mmap(place + size, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  place = mremap(place, size, 2 * size, MREMAP_MAYMOVE);
  printf("moved: %d, %lu\n", place != MAP_FAILED, sum(place, size));
  printf("zero behind: %lu\n", sum(place + size, size));
  printf("%d\n", madvise(place, size / 2, MADV_DONTNEED));
  printf("dropped: %lu, kept: %d\n", sum(place, size / 2), sum(place + size / 2, size / 2) != 0);
  printf("%d\n", munmap(place, 2 * size));
  show("moved and gone", place);
  if (wall != MAP_FAILED) munmap(wall, 4096);
  // Backwards, page by page, and what was never touched.
  place = map(size, PROT_READ | PROT_WRITE);
  for (size_t i = size; i >= 4096; i -= 4096) place[i - 1] = 1;
  printf("backwards: %lu\n", sum(place, size));
  munmap(place, size);
  // More than the machine has, promised and hardly used.
  place = mmap(0, 4UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  for (size_t i = 0; i < 4UL << 30; i += 256UL << 20) place[i] = 1;
  printf("promised: %d\n", place[512UL << 20]);
  munmap(place, 4UL << 30);
}

static void fixed_places(void) {
  char *low = (char *)0x200000000;
  char *other = mmap(low, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  printf("%d\n", other == low);
  memset(low, 3, 65536);
  other = mmap(low + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  printf("%d %d %d\n", other == low + 4096, low[4096], low[8192]);
  show("mapped over", low + 4096);
  other = mmap(low, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  printf("%d, %d\n", other == MAP_FAILED, errno);
  munmap(low, 65536);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  struct sigaction action = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);
  change_rights();
  move_and_drop();
  fixed_places();
  return 7;
}
