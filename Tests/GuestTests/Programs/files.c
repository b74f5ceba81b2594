// Files, folders and links in /tmp, descriptors, devices, and the errors of all of them. Each line
// of output is a call, its result and its error number: Linux and the library OS have to agree.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SAY(call)                                              \
  do {                                                         \
    errno = 0;                                                 \
    long result = (long)(call);                                \
    printf("%s: %ld, %d\n", #call, result, result < 0 ? errno : 0); \
  } while (0)

static int order(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void contents(int fd) {
  char buffer[64] = {0};
  SAY(write(fd, "hello world", 11));
  SAY(lseek(fd, 6, SEEK_SET));
  SAY(read(fd, buffer, 5));
  puts(buffer);
  SAY(pread(fd, buffer, 5, 0));
  puts(buffer);
  SAY(pwrite(fd, "HE", 2, 0));
  SAY(lseek(fd, 0, SEEK_END));
  SAY(lseek(fd, -1, SEEK_SET));
  SAY(ftruncate(fd, 5));
  SAY(lseek(fd, 100, SEEK_SET));
  SAY(read(fd, (void *)8, 10));
  SAY(write(fd, "x", 1));
  struct stat status;
  SAY(fstat(fd, &status));
  printf("%ld octets, mode %o\n", (long)status.st_size, status.st_mode);
}

static void names(void) {
  char buffer[256] = {0};
  struct stat status;
  SAY(link("a", "b"));
  SAY(stat("b", &status));
  printf("%ld links\n", (long)status.st_nlink);
  SAY(symlink("b", "c"));
  SAY(readlink("c", buffer, 200));
  puts(buffer);
  SAY(lstat("c", &status));
  printf("mode %o\n", status.st_mode);
  SAY(stat("c", &status));
  SAY(rename("b", "d"));
  SAY(access("b", F_OK));
  SAY(access("c", F_OK));
  SAY(unlink("c"));
  SAY(open("nothere", O_RDONLY));
  SAY(open("a/b", O_RDONLY));
  SAY(open(".", O_WRONLY));
  SAY(open("a", O_CREAT | O_EXCL | O_RDWR, 0600));
  SAY(symlink("loop", "loop"));
  SAY(open("loop", O_RDONLY));
  SAY(unlink("loop"));
  SAY(mkdir("sub", 0700));
  SAY(close(open("sub/f", O_CREAT | O_RDWR, 0600)));
  SAY(rmdir("sub"));
  SAY(rename("sub", "sub/sub"));
  SAY(unlink("sub/f"));
  SAY(rmdir("sub"));
  SAY(rename("d", "../swiftlet-test/e"));
  puts(getcwd(buffer, sizeof buffer));
  DIR *folder = opendir(".");
  char *found[16];
  int count = 0;
  for (struct dirent *entry; (entry = readdir(folder));) found[count++] = strdup(entry->d_name);
  closedir(folder);
  qsort(found, count, sizeof *found, order);
  for (int i = 0; i < count; i++) puts(found[i]);
}

static void descriptors(void) {
  char first[3], second[4];
  struct iovec out[2] = {{"ab", 2}, {"cde", 3}}, in[2] = {{first, 3}, {second, 4}};
  int file = open("v", O_RDWR | O_CREAT | O_APPEND, 0644);
  SAY(writev(file, out, 2));
  SAY(writev(file, out, 2));
  SAY(lseek(file, 0, SEEK_CUR));
  SAY(lseek(file, 0, SEEK_SET));
  SAY(readv(file, in, 2));
  printf("%.3s %.4s\n", first, second);
  int plain = open("v", O_RDWR);
  SAY(pwritev(plain, out, 2, 2));
  SAY(preadv(plain, in, 2, 1));
  printf("%.3s %.4s\n", first, second);
  SAY(lseek(plain, 0, SEEK_CUR));
  SAY(preadv(plain, in, 2, -1));
  SAY(preadv(plain, in, 2, 1000));
  int ends[2];
  pipe(ends);
  SAY(preadv(ends[0], in, 2, 0));
  SAY(pwritev(ends[1], out, 2, 0));
  SAY(dup2(file, 50));
  SAY(fcntl(50, F_GETFD));
  SAY(fcntl(50, F_SETFD, FD_CLOEXEC));
  SAY(fcntl(50, F_GETFD));
  SAY(fcntl(file, F_GETFL) & (O_ACCMODE | O_APPEND));
  SAY(close(50));
  SAY(close(50));
  SAY(read(99, first, 1));
  SAY(write(open("v", O_RDONLY), "x", 1));
  SAY(write(file, (void *)0x123456789000, 10));
  SAY(open((char *)8, O_RDONLY));
  SAY(pread(file, (void *)1, 3, 0));
  char *map = mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 0);
  printf("%.5s\n", map);
  SAY(munmap(map, 4096));
  struct stat status;
  SAY(fallocate(file, 0, 9000, 1000));
  SAY(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
  SAY(fstat(file, &status));
  printf("%ld octets\n", (long)status.st_size);
  SAY(pread(file, first, 3, 9500));
  printf("%d\n", first[2]);
  SAY(fallocate(file, 0, 0, 0));
  SAY(fallocate(file, 0, -1, 10));
  SAY(fallocate(99, 0, 0, 10));
  SAY(fallocate(open("v", O_RDONLY), 0, 0, 10));
  uid_t real, effective, saved;
  SAY(getresuid(&real, &effective, &saved));
  SAY(getresgid((void *)8, &effective, &saved));
}

static void copies(void) {
  char buffer[20000] = {0};
  struct stat status;
  int from = open("s", O_RDWR | O_CREAT, 0644), to = open("t", O_RDWR | O_CREAT, 0644), ends[2];
  for (int i = 0; i < 10000; i++) buffer[i] = (char)(i * 7 >> 2);
  SAY(write(from, buffer, 10000));
  SAY(ftruncate(from, 15000));
  SAY(sendfile(to, from, 0, 100));
  SAY(lseek(from, 0, SEEK_SET));
  SAY(sendfile(to, from, 0, 1 << 20));
  SAY(lseek(from, 0, SEEK_CUR));
  SAY(fstat(to, &status));
  printf("%ld octets\n", (long)status.st_size);
  long sum = 0, read_again = pread(to, buffer, sizeof buffer, 0);
  for (int i = 0; i < read_again; i++) sum = sum * 31 + buffer[i];
  printf("%ld, %ld\n", read_again, sum);
  off_t offset = 9990;
  pipe(ends);
  SAY(sendfile(ends[1], from, &offset, 20));
  printf("%ld\n", (long)offset);
  SAY(lseek(from, 0, SEEK_CUR));
  SAY(read(ends[0], buffer, 100));
  printf("%d %d\n", buffer[9], buffer[10]);
  SAY(sendfile(from, ends[0], 0, 10));
  SAY(sendfile(ends[0], from, 0, 10));
  SAY(sendfile(to, 99, 0, 10));
  offset = -1;
  SAY(sendfile(to, from, &offset, 10));
  SAY(sendfile(to, from, (void *)8, 10));
  offset = 1 << 20;
  SAY(sendfile(to, from, &offset, 10));
  close(ends[0]);
  signal(SIGPIPE, SIG_IGN);
  offset = 0;
  SAY(sendfile(ends[1], from, &offset, 10));
  close(ends[1]);
  SAY(unlink("s"));
  SAY(unlink("t"));
}

// A folder that is read while its entries are removed, and one that is gone while it is worked in.
static void folders(void) {
  char name[64], buffer[256];
  SAY(mkdir("many", 0755));
  for (int i = 0; i < 50; i++) {
    sprintf(name, "many/a-file-with-a-longer-name-%d", i);
    close(open(name, O_RDWR | O_CREAT, 0644));
  }
  int folder = open("many", O_RDONLY | O_DIRECTORY), removed = 0;
  long size;
  while ((size = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0)
    for (long place = 0; place < size; place += *(unsigned short *)(buffer + place + 16))
      removed += unlinkat(folder, buffer + place + 19, 0) == 0;
  printf("removed %d\n", removed);
  SAY(chdir("many"));
  SAY(rmdir("../many"));
  SAY(syscall(SYS_getcwd, buffer, sizeof buffer));
  SAY(open("new", O_RDWR | O_CREAT, 0644));
  SAY(mkdir("new", 0755));
  SAY(rename("/tmp/swiftlet-test/a", "a"));
  SAY(syscall(SYS_getdents64, folder, buffer, sizeof buffer));
  SAY(chdir("/tmp/swiftlet-test"));
  close(folder);
}

static void devices(void) {
  char buffer[128] = {1};
  int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_RDWR);
  SAY(read(zero, buffer, 10));
  printf("%d\n", buffer[0]);
  SAY(write(null, "abc", 3));
  SAY(read(null, buffer, 3));
  lseek(null, 0x7FFFFFFFFFFFFFFF, SEEK_SET);
  SAY(write(null, "abc", 3));
  lseek(null, 0, SEEK_CUR);
  FILE *file = fopen("/tmp/swiftlet-file", "w+");
  fprintf(file, "line %d\n", 7);
  rewind(file);
  fputs(fgets(buffer, 99, file), stdout);
  fclose(file);
  SAY(remove("/tmp/swiftlet-file"));
}

int main(void) {
  SAY(mkdir("/tmp/swiftlet-test", 0755));
  SAY(mkdir("/tmp/swiftlet-test", 0755));
  SAY(chdir("/tmp/swiftlet-test"));
  contents(open("a", O_RDWR | O_CREAT | O_TRUNC, 0644));
  names();
  descriptors();
  copies();
  folders();
  SAY(unlink("a"));
  SAY(unlink("e"));
  SAY(unlink("v"));
  SAY(chdir("/"));
  SAY(rmdir("/tmp/swiftlet-test"));
  devices();
  return 3;
}
