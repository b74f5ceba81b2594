// The one call into the Swift concurrency runtime that has no Swift spelling
// (swift/ExecutorImpl.h: swift_job_run).
#ifndef CSWIFTLET_EXECUTOR_H
#define CSWIFTLET_EXECUTOR_H

#include <stdint.h>

// The executor reference is a struct of two words, passed in two registers.
void _swift_job_run_c(void *job, uintptr_t executor_identity, uintptr_t executor_implementation);

#endif
