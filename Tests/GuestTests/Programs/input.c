// A program that reads its standard input: what poll(2) and fstat(2) say of it, its octets, its end.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
  static char octets[10000];
  struct stat status;
  fstat(STDIN_FILENO, &status);
  printf("pipe %d\n", S_ISFIFO(status.st_mode));
  ssize_t written = write(STDIN_FILENO, "x", 1);
  printf("write %zd %d\n", written, errno == EBADF);
  // Until there is something, a descriptor that does not block has nothing.
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  struct pollfd polled = {STDIN_FILENO, POLLIN, 0};
  printf("poll %d", poll(&polled, 1, -1));
  printf(" input %d\n", (polled.revents & POLLIN) != 0);
  ssize_t first = read(STDIN_FILENO, octets, 1);
  printf("read %zd %c\n", first, octets[0]);
  fcntl(STDIN_FILENO, F_SETFL, 0);
  // FNV-1a: octets in another order, or others, give another sum.
  uint64_t sum = 0xCBF29CE484222325, total = 1;
  for (ssize_t count; (count = read(STDIN_FILENO, octets, sizeof octets)) > 0; total += count) {
    for (ssize_t place = 0; place < count; place++) {
      sum = (sum ^ (uint8_t)octets[place]) * 0x100000001B3;
    }
  }
  printf("%llu octets, sum %016llx\n", (unsigned long long)total, (unsigned long long)sum);
  printf("again %zd\n", read(STDIN_FILENO, octets, 1));
  polled.revents = 0;
  printf("poll %d", poll(&polled, 1, -1));
  printf(" hung up %d\n", (polled.revents & POLLHUP) != 0);
  return 5;
}
