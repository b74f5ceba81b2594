// Threads, locks, threads that never wait, and signals. Linux and the library OS have to agree.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;
static __thread int own;
static const struct timespec moment = {0, 30000000};

static void *add(void *argument) {
  for (int i = 0; i < 20000; i++) {
    pthread_mutex_lock(&lock);
    counter++;
    pthread_mutex_unlock(&lock);
  }
  own = (int)(long)argument;
  return (void *)(long)own;
}

static void *alternate(void *argument) {
  for (int i = 0; i < 1000; i++) {
    pthread_mutex_lock(&lock);
    while (turn != (int)(long)argument) pthread_cond_wait(&changed, &lock);
    turn = 1 - turn;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
  }
  return 0;
}

static volatile int spins = 1;
static void *spin(void *argument) {
  double value = 1;
  while (spins) value = value * 1.0000001 + 1e-9;
  return value > 0 ? (void *)1 : 0;
}

// Asks what is answered without a call of its own, all the time.
static void *ask(void *argument) {
  long sum = 0;
  while (spins) sum += syscall(SYS_getpid) + syscall(SYS_getuid);
  return sum > 0 ? (void *)1 : 0;
}

static volatile sig_atomic_t signals;
static void count(int signal) { signals++; }

static sigjmp_buf back;
static void leave(int signal, siginfo_t *information, void *context) {
  printf("signal %d, code %d, at %p\n", signal, information->si_code, information->si_addr);
  siglongjmp(back, 1);
}

static void *sleeper(void *argument) {
  struct timespec time = {10, 0};
  return nanosleep(&time, &time) < 0 ? (void *)(long)errno : 0;
}

static void alarmed(int signal) { write(1, "alarm\n", 6); }

static void run_threads(void) {
  pthread_t threads[8];
  void *result;
  long sum = 0;
  for (long i = 0; i < 8; i++) pthread_create(&threads[i], 0, add, (void *)i);
  for (int i = 0; i < 8; i++) {
    pthread_join(threads[i], &result);
    sum += (long)result;
  }
  printf("%ld %ld %d\n", counter, sum, own);
  for (long i = 0; i < 2; i++) pthread_create(&threads[i], 0, alternate, (void *)i);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
  printf("turn %d\n", turn);
  // This one gives the processor to nobody of its own accord.
  pthread_create(&threads[0], 0, spin, 0);
  nanosleep(&moment, 0);
  spins = 0;
  pthread_join(threads[0], &result);
  printf("spun %ld\n", (long)result);
  spins = 1;
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, ask, 0);
  for (int i = 0; i < 4; i++) nanosleep(&moment, 0);
  spins = 0;
  for (int i = 0; i < 3; i++) pthread_join(threads[i], &result);
  printf("asked %ld\n", (long)result);
}

static int blocking;
static void *read_one(void *unused) {
  struct signalfd_siginfo found;
  return (void *)(read(blocking, &found, sizeof found) < 0 ? 0 : (long)found.ssi_signo);
}

// Signals that a file holds.
static void read_signals(void) {
  struct signalfd_siginfo found[3];
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, &old);
  int file = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  struct pollfd poller = {file, POLLIN, 0};
  int result = (int)read(file, found, sizeof found);
  printf("nothing %d, %d\n", result, errno);
  printf("ready %d\n", poll(&poller, 1, 0));
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR1);
  raise(SIGCHLD);
  printf("ready %d\n", poll(&poller, 1, -1));
  result = (int)read(file, found, 20);
  printf("too short %d, %d\n", result, errno);
  int count = (int)(read(file, found, sizeof found) / sizeof *found);
  printf("read %d\n", count);
  for (int i = 0; i < count; i++)
    printf("%d, %d, own %d\n", found[i].ssi_signo, found[i].ssi_code, found[i].ssi_pid == getpid());
  printf("ready %d\n", poll(&poller, 1, 0));
  sigdelset(&set, SIGCHLD);
  printf("changed %d\n", signalfd(file, &set, 0) == file);
  raise(SIGCHLD);
  printf("ready %d\n", poll(&poller, 1, 0));
  int refused = signalfd(-1, &set, 77);
  printf("refused %d, %d\n", refused, errno);
  refused = signalfd(0, &set, 0);
  printf("refused %d, %d\n", refused, errno);
  blocking = signalfd(-1, &set, 0);
  pthread_t thread;
  void *signal;
  pthread_create(&thread, 0, read_one, 0);
  struct timespec moment = {0, 2000000};
  nanosleep(&moment, 0);
  kill(getpid(), SIGUSR1);
  pthread_join(thread, &signal);
  printf("a thread has read %ld\n", (long)signal);
  close(file);
  close(blocking);
  sigprocmask(SIG_SETMASK, &old, 0);
}

static int ends[2];
static char octets[200000];
static void *write_all(void *unused) { return (void *)write(ends[1], octets, sizeof octets); }

// A signal in the middle of a write: what was written is not written again.
static void interrupt_write(int flags) {
  struct sigaction action = {.sa_handler = count, .sa_flags = flags};
  sigaction(SIGUSR2, &action, 0);
  pipe(ends);
  pthread_t thread;
  void *written;
  pthread_create(&thread, 0, write_all, 0);
  nanosleep(&moment, 0);
  pthread_kill(thread, SIGUSR2);
  nanosleep(&moment, 0);
  long total = 0, part;
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  static char buffer[70000];
  while ((part = read(ends[0], buffer, sizeof buffer)) > 0) total += part;
  pthread_join(thread, &written);
  printf("written %ld, read %ld\n", (long)written, total);
  close(ends[0]);
  close(ends[1]);
}

static void *read_octet(void *unused) {
  char octet = 0;
  long result = read(ends[0], &octet, 1);
  return (void *)(result < 0 ? -(long)errno : octet);
}

static void twice(int signal) {
  signals++;
  // Comes when this handler returns.
  raise(SIGUSR1);
}

// Calls that are made again after a handler, or after two; and one that ends.
static void restart(void) {
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGUSR1);
  sigaddset(&both, SIGUSR2);
  struct sigaction again = {.sa_handler = twice, .sa_flags = SA_RESTART, .sa_mask = both};
  struct sigaction ends_it = {.sa_handler = count};
  sigaction(SIGUSR2, &again, 0);
  sigaction(SIGUSR1, &ends_it, 0);
  pthread_t thread;
  void *result;
  pipe(ends);
  signals = 0;
  pthread_create(&thread, 0, read_octet, 0);
  nanosleep(&moment, 0);
  pthread_kill(thread, SIGUSR2);
  nanosleep(&moment, 0);
  write(ends[1], "x", 1);
  pthread_join(thread, &result);
  printf("%d handlers, then %ld\n", signals, (long)result);
  pthread_create(&thread, 0, read_octet, 0);
  nanosleep(&moment, 0);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  printf("cancelled %d\n", result == PTHREAD_CANCELED);
  close(ends[0]);
  close(ends[1]);
}

static int word;
static void *wait_at_word(void *time) {
  return (void *)(syscall(SYS_futex, &word, 0, 0, time, 0, 0) < 0 ? -(long)errno : 0);
}

// A futex's wait with a time ends with a handler, one without goes on.
static void interrupt_futexes(void) {
  struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};
  sigaction(SIGUSR2, &action, 0);
  struct timespec time = {10, 0};
  pthread_t with_time, without;
  void *first, *second;
  pthread_create(&with_time, 0, wait_at_word, &time);
  pthread_create(&without, 0, wait_at_word, 0);
  nanosleep(&moment, 0);
  pthread_kill(with_time, SIGUSR2);
  pthread_kill(without, SIGUSR2);
  nanosleep(&moment, 0);
  printf("woken %ld\n", syscall(SYS_futex, &word, 1, 9, 0, 0, 0));
  pthread_join(with_time, &first);
  pthread_join(without, &second);
  printf("futexes %ld, %ld\n", (long)first, (long)second);
}

int main(void) {
  run_threads();
  read_signals();
  interrupt_write(0);
  interrupt_write(SA_RESTART);
  restart();
  interrupt_futexes();
  signals = 0;
  signal(SIGUSR1, count);
  raise(SIGUSR1);
  kill(getpid(), SIGUSR1);
  printf("got %d\n", signals);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, &old);
  raise(SIGUSR1);
  printf("held back %d\n", signals);
  sigprocmask(SIG_SETMASK, &old, 0);
  printf("let through %d\n", signals);

  stack_t stack = {malloc(65536), 0, 65536};
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGSEGV, &action, 0);
  if (!sigsetjmp(back, 1)) *(volatile int *)16 = 1;
  if (!sigsetjmp(back, 1)) (void)*(volatile int *)24;

  struct sigaction interrupt = {.sa_handler = count};
  sigaction(SIGUSR2, &interrupt, 0);
  pthread_t thread;
  void *result;
  pthread_create(&thread, 0, sleeper, 0);
  nanosleep(&moment, 0);
  pthread_kill(thread, SIGUSR2);
  pthread_join(thread, &result);
  printf("interrupted %d\n", (long)result == EINTR);
  fflush(stdout);

  signal(SIGALRM, alarmed);
  struct itimerval timer = {{0, 0}, {0, 10000}};
  setitimer(ITIMER_REAL, &timer, 0);
  pause();
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_nsec += 20000000;
  if (end.tv_nsec >= 1000000000) {
    end.tv_sec++;
    end.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&lock);
  printf("timed out %d\n", pthread_cond_timedwait(&changed, &lock, &end) == ETIMEDOUT);
  pthread_mutex_unlock(&lock);

  signal(SIGPIPE, SIG_IGN);
  pipe(ends);
  close(ends[0]);
  printf("broken pipe %d\n", write(ends[1], "x", 1) < 0 && errno == EPIPE);
  double sum = 0;
  for (int i = 1; i < 1000; i++) sum += 1.0 / i;
  printf("%.6f\n", sum);
  fflush(stdout);
  abort();
}
