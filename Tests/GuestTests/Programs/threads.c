// Threads, locks, threads that never wait, and signals. Linux and the library OS have to agree.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
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

int main(void) {
  run_threads();
  read_signals();
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
  int ends[2];
  pipe(ends);
  close(ends[0]);
  printf("broken pipe %d\n", write(ends[1], "x", 1) < 0 && errno == EPIPE);
  double sum = 0;
  for (int i = 1; i < 1000; i++) sum += 1.0 / i;
  printf("%.6f\n", sum);
  fflush(stdout);
  abort();
}
