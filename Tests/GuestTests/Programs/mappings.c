// Files that are mapped as they are: what one mapping writes, the other, read and write see; what is cut
// off is a signal. Each line of output is a call, its result and its error number, or what is there.
// Linux and the library OS have to agree.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAY(call)                                              \
  do {                                                         \
    errno = 0;                                                 \
    long result = (long)(call);                                \
    printf("%s: %ld, %d\n", #call, result, result < 0 ? errno : 0); \
  } while (0)

enum { page = 4096 };
static sigjmp_buf back;
static volatile int code;
static void leave(int signal, siginfo_t *information, void *context) {
  code = information->si_code;
  siglongjmp(back, signal);
}

static void touch(const char *what, volatile char *place, int writes) {
  int signal = sigsetjmp(back, 1);
  if (signal == 0) {
    if (writes) *place = 'w';
    else (void)*place;
    printf("%s works\n", what);
  } else {
    printf("%s: signal %d, code %d\n", what, signal, code);
  }
}

static char *map(int fd, size_t size, int rights, int flags, long offset) {
  char *place = mmap(0, size, rights, flags, fd, offset);
  if (place == MAP_FAILED) printf("mmap: %d\n", errno);
  return place;
}

static void one_file(int fd) {
  const int both = PROT_READ | PROT_WRITE;
  char text[32] = {0};
  SAY(ftruncate(fd, 3 * page));
  char *all = map(fd, 3 * page, both, MAP_SHARED, 0);
  char *second = map(fd, page, both, MAP_SHARED, page);
  char *seen = map(fd, 3 * page, PROT_READ, MAP_SHARED, 0);
  printf("holes are %d %d %d\n", all[0], all[page], all[3 * page - 1]);
  strcpy(all + page, "by the first");
  printf("%s, %s\n", second, seen + page);
  SAY(pread(fd, text, 12, page));
  printf("%s\n", text);
  SAY(pwrite(fd, "BY A CALL", 9, page + 3));
  printf("%s\n", second);
  strcpy(second + 100, "by the second");
  SAY(msync(all, 3 * page, MS_SYNC));
  SAY(msync(all, page, MS_SYNC | MS_ASYNC));
  SAY(msync(all + 1, page, MS_SYNC));
  printf("%s\n", all + page + 100);
  // A private mapping keeps its changes to itself.
  char *own = map(fd, 3 * page, both, MAP_PRIVATE, 0);
  strcpy(own + page, "mine");
  printf("%s, %s\n", own + page, second);
  touch("writing what is read-only", seen, 1);
  // Dropped, it comes back as the file has it.
  SAY(madvise(all, 3 * page, MADV_DONTNEED));
  printf("%s\n", all + page + 100);
  SAY(mprotect(all + page, page, PROT_READ));
  touch("writing what was made read-only", all + page, 1);
  touch("writing beside it", all + 2 * page, 1);
  SAY(mprotect(all + page, page, both));
  touch("writing again", all + page, 1);
  printf("%s\n", second);
  // From a mapping into the file that it shows.
  SAY(pwrite(fd, all + page, 30, 2 * page + 4090));
  struct stat status;
  fstat(fd, &status);
  printf("%ld octets\n", (long)status.st_size);
  all = mremap(all, 3 * page, 5 * page, MREMAP_MAYMOVE);
  printf("moved: %s, %.6s\n", all + page + 100, all + 2 * page + 4090);
  touch("the last page", all + 3 * page + 100, 1);
  touch("behind the end", all + 4 * page, 0);
  SAY(write(fd, all + 4 * page, 8));
  SAY(read(fd, all + 4 * page, 8));
  SAY(open(all + 4 * page, O_RDONLY));
  SAY(ftruncate(fd, page + 50));
  touch("cut off", all + 2 * page, 0);
  printf("the rest is %s and %d\n", second, second[60]);
  SAY(ftruncate(fd, 3 * page));
  printf("longer again: %d %d\n", second[60], all[2 * page]);
  SAY(munmap(second, page));
  SAY(close(fd));
  strcpy(all, "closed");
  printf("%s: %s\n", all, seen);
  SAY(munmap(own, 3 * page));
  SAY(munmap(all, 5 * page));
  printf("%s\n", seen);
  SAY(munmap(seen, 3 * page));
}

static void refusals(void) {
  const char *name = "/tmp/swiftlet-mapped";
  int reader = open(name, O_RDONLY), writer = open(name, O_WRONLY);
  SAY(mmap(0, page, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0) == MAP_FAILED && errno == EACCES);
  SAY(mmap(0, page, PROT_READ, MAP_SHARED, writer, 0) == MAP_FAILED && errno == EACCES);
  SAY(mmap(0, page, PROT_READ, MAP_SHARED, reader, 1) == MAP_FAILED && errno == EINVAL);
  SAY(mmap(0, page, PROT_READ, MAP_SHARED, -1, 0) == MAP_FAILED && errno == EBADF);
  char *place = map(reader, page, PROT_READ, MAP_SHARED, 0);
  printf("%s\n", place);
  SAY(mprotect(place, page, PROT_READ | PROT_WRITE));
  SAY(munmap(place, page));
  SAY(msync(place, page, MS_SYNC));
  close(reader);
  close(writer);
}

// Pages come and go, in another order.
static void much(int fd) {
  enum { count = 300 };
  SAY(ftruncate(fd, count * page));
  char *place = map(fd, count * page, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
  for (int i = 0; i < count; i++) place[i * 7 % count * page] = (char)i;
  long sum = 0;
  for (int i = 0; i < count; i++) {
    char octet = 0;
    pread(fd, &octet, 1, (long)i * page);
    sum = sum * 31 + octet;
  }
  printf("%ld\n", sum);
  SAY(ftruncate(fd, 0));
  SAY(munmap(place, count * page));
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  struct sigaction action = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  const char *name = "/tmp/swiftlet-mapped";
  unlink(name);
  one_file(open(name, O_RDWR | O_CREAT, 0644));
  refusals();
  SAY(unlink(name));
  int memory = memfd_create("memory", MFD_CLOEXEC);
  SAY(fcntl(memory, F_GETFD));
  one_file(memory);
  SAY(memfd_create("memory", 1 << 20));
  SAY(memfd_create((char *)8, 0));
  much(memfd_create("much", 0));
  return 4;
}
