// Suspending and resuming a Swift task without the runtime's bookkeeping.
//
// A continuation costs some five hundred instructions a wait: the runtime marks the task suspended,
// links a record that tells a priority escalation what it waits for, enqueues it, and marks it
// running again. One processor with one queue needs none of that. Here a waiting task stays
// "running" as far as the runtime can see; only "the current task" changes.
//
// What is relied on: an async function gets its context in %r14 and returns by jumping to the
// context's second word with its own context in %r14 (swift/ABI/Task.h, AsyncContext); it returns
// to the executor by popping the eight octets of stack arguments that swifttailcc always has; and
// words 2 and 3 of a job belong to the executor while nothing else has it enqueued
// (swift/ABI/Task.h, Job::SchedulerPrivate); and a task's allocations are a stack in slabs
// (swift/Runtime/StackAllocator.h). `EventLoop` runs inside a job of the runtime's, so that
// the runtime knows of an executor while a task runs that was resumed here.

#include "executor.h"

#if defined(SWIFTLET_GUEST)

    .set SCHEDULER_CONTEXT, 24           // SchedulerPrivate[1]: the context to resume, or 0
    .set CONTEXT_RESUME, 8               // AsyncContext.ResumeParent
    .set TASK_RESUME, 56                 // AsyncTask.ResumeTask
    .set TASK_CONTEXT, 64                // AsyncTask.ResumeContext
    .set TASK_ALLOCATION, 112            // AsyncTask.Private.Allocator.lastAllocation
    .set ALLOCATION_SLAB, 8              // StackAllocator::Allocation.slab
    .set ALLOCATION_HEADER, 16
    .set SLAB_CAPACITY, 16               // StackAllocator::Slab.capacity
    .set SLAB_USED, 20                   // StackAllocator::Slab.currentOffset
    .set SLAB_HEADER, 32

// func suspendTask(_ place: UnsafeMutablePointer<UnsafeMutableRawPointer?>) async
// nonisolated(nonsending): the isolation comes first, in %rdi and %rsi; `place` is in %rdx.
    .section .text.swiftlet_task_suspend, "ax", @progbits
    .globl swiftlet_task_suspend
    .type swiftlet_task_suspend, @function
swiftlet_task_suspend:
    pushq %rdx
    callq _ZN5swift24_swift_task_clearCurrentEv
    popq %rdx
    movq %r14, SCHEDULER_CONTEXT(%rax)
    movq %rax, (%rdx)
    retq $8
    .size swiftlet_task_suspend, . - swiftlet_task_suspend

// Its async function pointer: where it is, and the size of its context, the header alone.
    .section .rodata.swiftlet_task_suspendTu, "a", @progbits
    .globl swiftlet_task_suspendTu
    .balign 4
swiftlet_task_suspendTu:
    .long swiftlet_task_suspend - .
    .long 16

// void swiftlet_task_resume(void *task): runs it until it suspends again or ends.
    .section .text.swiftlet_task_resume, "ax", @progbits
    .globl swiftlet_task_resume
    .type swiftlet_task_resume, @function
swiftlet_task_resume:
    pushq %r13
    pushq %r14
    subq $8, %rsp                        // the callee's stack arguments, which it pops
    movq SCHEDULER_CONTEXT(%rdi), %r14
    movq $0, SCHEDULER_CONTEXT(%rdi)
    callq _ZN5swift22_swift_task_setCurrentEPNS_9AsyncTaskE
    callq *CONTEXT_RESUME(%r14)
    popq %r14
    popq %r13
    retq
    .size swiftlet_task_resume, . - swiftlet_task_resume

// swift_task_switch(resume function, executor identity, executor implementation), for calls from
// Swift code (the linker's --wrap). A task that runs on no actor and is to run on none goes on at
// once; the runtime would find that out with two locked compare-and-exchanges. A task that was
// resumed here goes to an actor by way of its queue: to run on in place, as the runtime would do,
// takes a swift_job_run around it, which leaves the actor at its end.
    .section .text.__wrap_swift_task_switch, "ax", @progbits
    .globl __wrap_swift_task_switch
    .type __wrap_swift_task_switch, @function
__wrap_swift_task_switch:
    testq %rsi, %rsi
    jne 1f
    cmpb $EXECUTOR_ACTOR, swiftlet_executor(%rip)
    je 3f
    jmpq *%rdi
1:  cmpb $EXECUTOR_RESUMED, swiftlet_executor(%rip)
    jne 2f
    pushq %rsi
    pushq %rdx
    pushq %rdi
    callq _ZN5swift24_swift_task_clearCurrentEv
    popq TASK_RESUME(%rax)
    popq %rdx
    popq %rsi
    movq %r14, TASK_CONTEXT(%rax)
    movq %rax, %rdi
    pushq %rax                           // for the alignment
    callq _ZN5swift9AsyncTask26flagAsAndEnqueueOnExecutorENS_17SerialExecutorRefE
    popq %rax
    retq $8
2:  movb $EXECUTOR_ACTOR, swiftlet_executor(%rip)
3:  jmp __real_swift_task_switch
    .size __wrap_swift_task_switch, . - __wrap_swift_task_switch

// void *swift_task_alloc(size_t size), for calls from Swift code (the linker's --wrap): each call of
// an asynchronous function takes its frame here. The usual case of the runtime's own, where the
// last slab has room, without its two calls and their saved registers; all others go there.
    .section .text.__wrap_swift_task_alloc, "ax", @progbits
    .globl __wrap_swift_task_alloc
    .type __wrap_swift_task_alloc, @function
__wrap_swift_task_alloc:
    callq swift_task_getCurrent
    testq %rax, %rax
    je 1f
    movq TASK_ALLOCATION(%rax), %rdx
    testq %rdx, %rdx
    je 1f
    movq ALLOCATION_SLAB(%rdx), %rcx
    leaq ALLOCATION_HEADER + 15(%rdi), %rsi
    andq $-16, %rsi
    movl SLAB_USED(%rcx), %r8d
    movl SLAB_CAPACITY(%rcx), %r9d
    addq %r8, %rsi
    cmpq %r9, %rsi
    ja 1f
    movl %esi, SLAB_USED(%rcx)
    leaq SLAB_HEADER(%rcx, %r8), %r8
    movq %rdx, (%r8)                     // the allocation before it
    movq %rcx, ALLOCATION_SLAB(%r8)
    movq %r8, TASK_ALLOCATION(%rax)
    leaq ALLOCATION_HEADER(%r8), %rax
    retq
1:  jmp __real_swift_task_alloc
    .size __wrap_swift_task_alloc, . - __wrap_swift_task_alloc

// void swift_task_dealloc(void *allocation), likewise: what was allocated last goes first.
    .section .text.__wrap_swift_task_dealloc, "ax", @progbits
    .globl __wrap_swift_task_dealloc
    .type __wrap_swift_task_dealloc, @function
__wrap_swift_task_dealloc:
    callq swift_task_getCurrent
    testq %rax, %rax
    je 1f
    movq TASK_ALLOCATION(%rax), %rcx
    leaq ALLOCATION_HEADER(%rcx), %rdx
    cmpq %rdi, %rdx
    jne 1f
    movq (%rcx), %rdx                    // the allocation before it
    movq %rdx, TASK_ALLOCATION(%rax)
    movq ALLOCATION_SLAB(%rcx), %rsi
    leaq -SLAB_HEADER(%rcx), %rcx
    subl %esi, %ecx
    movl %ecx, SLAB_USED(%rsi)
    retq
1:  jmp __real_swift_task_dealloc
    .size __wrap_swift_task_dealloc, . - __wrap_swift_task_dealloc

    .section .bss.swiftlet_executor, "aw", @nobits
    .globl swiftlet_executor
swiftlet_executor:
    .zero 1

#endif

    .section .note.GNU-stack, "", @progbits
