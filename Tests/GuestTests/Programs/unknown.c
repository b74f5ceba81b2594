// Makes a system call that is not there, twice; and falls over a null pointer.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  for (int i = 0; i < 2; i++) {
    long result = syscall(425, 1, 0);
    printf("%ld, %d\n", result, errno);
  }
  fflush(stdout);
  *(volatile int *)8 = 1;
  return 0;
}
