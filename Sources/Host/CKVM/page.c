// A page of memory that others find by its name, and can neither cut nor write.
#define _GNU_SOURCE

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "CSwiftletKVM.h"

// linux/fcntl.h, which does not go together with fcntl.h.
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

void *swiftlet_shared_page(const char *name, size_t size, int *file) {
  *file = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (*file < 0) return NULL;
  if (ftruncate(*file, (off_t)size) == 0) {
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *file, 0);
    // A page that is cut would end this process with SIGBUS.
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    if (page != MAP_FAILED && fcntl(*file, F_ADD_SEALS, seals) == 0) return page;
    if (page != MAP_FAILED) munmap(page, size);
  }
  close(*file);
  *file = -1;
  return NULL;
}
