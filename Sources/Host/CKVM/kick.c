// A signal that ends KVM_RUN at a time, for guests that share the processor out among threads.
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

#include "CSwiftletKVM.h"

static struct kvm_run *run;

// Between two runs no signal may be lost: the next one returns at once (immediate_exit,
// Documentation/virt/kvm/api.rst).
static void kick(int signal) {
  (void)signal;
  run->immediate_exit = 1;
}

int swiftlet_prepare_kicks(struct kvm_run *area) {
  run = area;
  // KVM_RUN ends in any case; all else goes on.
  struct sigaction action = {.sa_handler = kick, .sa_flags = SA_RESTART};
  sigset_t signals;
  if (sigemptyset(&signals) != 0 || sigaddset(&signals, SIGALRM) != 0) return -1;
  if (sigaction(SIGALRM, &action, NULL) != 0) return -1;
  return sigprocmask(SIG_UNBLOCK, &signals, NULL);
}

void swiftlet_kick_after(uint64_t nanoseconds) {
  uint64_t microseconds = nanoseconds / 1000 + 1;
  struct itimerval time = {
      .it_value = {(time_t)(microseconds / 1000000), (suseconds_t)(microseconds % 1000000)}};
  setitimer(ITIMER_REAL, &time, NULL);
}
