// Calls into the Swift concurrency runtime that have no Swift spelling, and what tasks.S and the
// executor in Swift share.
#ifndef CSWIFTLET_EXECUTOR_H
#define CSWIFTLET_EXECUTOR_H

// What the current task runs on: nothing but our own queue, having been resumed by tasks.S or run by
// the runtime, or an actor (also while the runtime works through an actor's queue).
#define EXECUTOR_RESUMED 0
#define EXECUTOR_JOB 1
#define EXECUTOR_ACTOR 2

#ifndef __ASSEMBLER__
#include <stdint.h>

// Runs a job (swift/ExecutorImpl.h: swift_job_run). The executor reference is a struct of two words,
// passed in two registers.
void _swift_job_run_c(void *job, uintptr_t executor_identity, uintptr_t executor_implementation);

// Resumes a task that `suspendTask` suspended (tasks.S).
void swiftlet_task_resume(void *task);

extern uint8_t swiftlet_executor;

static inline __attribute__((always_inline)) uint8_t swiftlet_get_executor(void) {
  return swiftlet_executor;
}

static inline __attribute__((always_inline)) void swiftlet_set_executor(uint8_t executor) {
  swiftlet_executor = executor;
}
#endif

#endif
