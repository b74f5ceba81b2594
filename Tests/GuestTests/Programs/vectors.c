// Vector registers belong to their threads, however those are interrupted, and to whom a handler of
// signals interrupts. Linux and the library OS have to agree.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static volatile int goes_on = 1;
static volatile sig_atomic_t interruptions;

// Whether the widest registers that there are keep a value through a long loop.
__attribute__((target("avx"))) static long keep_wide(uint64_t value) {
  uint64_t in[4] = {value, ~value, value * 3, value + 5}, out[4];
  long wrong = 0;
  do {
    __asm__ volatile(
        "vmovups %1, %%ymm5\n vmovups %1, %%ymm13\n movl $20000, %%ecx\n"
        "1: decl %%ecx\n jnz 1b\n vmovups %%ymm13, %0\n"
        : "=m"(out) : "m"(in) : "ecx", "xmm5", "xmm13", "cc");
    wrong += memcmp(in, out, sizeof(in)) != 0;
    __asm__ volatile("vmovups %%ymm5, %0" : "=m"(out) : : "xmm5");
    wrong += memcmp(in, out, sizeof(in)) != 0;
  } while (goes_on);
  return wrong;
}

static long keep_narrow(uint64_t value) {
  uint64_t in[2] = {value, ~value}, out[2];
  long wrong = 0;
  do {
    __asm__ volatile(
        "movups %1, %%xmm5\n movl $20000, %%ecx\n 1: decl %%ecx\n jnz 1b\n movups %%xmm5, %0\n"
        : "=m"(out) : "m"(in) : "ecx", "xmm5", "cc");
    wrong += memcmp(in, out, sizeof(in)) != 0;
  } while (goes_on);
  return wrong;
}

static void *keep(void *argument) {
  uint64_t value = (uint64_t)argument * 0x123456789ABCDEF;
  return (void *)(__builtin_cpu_supports("avx") ? keep_wide(value) : keep_narrow(value));
}

__attribute__((target("avx"))) static void spoil_wide(void) {
  __asm__ volatile("vpxor %%xmm5, %%xmm5, %%xmm5\n vpxor %%xmm13, %%xmm13, %%xmm13" : : : "xmm5", "xmm13");
}

static void spoil(int signal) {
  if (__builtin_cpu_supports("avx")) spoil_wide();
  interruptions++;
}

static unsigned control_of_handler;
static void look(int signal) { control_of_handler = __builtin_ia32_stmxcsr(); }

// A handler begins with the control word of a new program, and leaves the program its own: denormals
// are zeros, and results are flushed.
static void control(void) {
  signal(SIGUSR1, look);
  __builtin_ia32_ldmxcsr(0x9FC0);
  raise(SIGUSR1);
  unsigned kept = __builtin_ia32_stmxcsr() & 0xFFC0;
  __builtin_ia32_ldmxcsr(0x1F80);
  printf("%x in a handler, then %x\n", control_of_handler, kept);
}

int main(void) {
  control();
  pthread_t threads[3];
  void *wrong;
  signal(SIGALRM, spoil);
  struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
  for (long i = 0; i < 3; i++) pthread_create(&threads[i], 0, keep, (void *)(i + 1));
  setitimer(ITIMER_REAL, &often, 0);
  struct timespec moment = {0, 1000000};
  while (interruptions < 40) nanosleep(&moment, 0);
  setitimer(ITIMER_REAL, &never, 0);
  goes_on = 0;
  for (int i = 0; i < 3; i++) {
    pthread_join(threads[i], &wrong);
    printf("thread %d: %ld wrong\n", i, (long)wrong);
  }
  return 0;
}
