// memcpy, memmove, memset, memcmp: the four that compilers call by name. Sixteen octets an
// instruction with overlapping ends, so that no size needs an octet loop; baseline SSE2, which
// costs the same everywhere (string instructions cost one step an octet under emulation).

#if defined(SWIFTLET_GUEST)

    .text
    .globl memcpy
    .globl memmove
    .globl memset
    .globl memcmp
    .globl bcmp
    .globl strlen

    .balign 16
memcpy:
memmove:
    movq %rdi, %rax
    cmpq $16, %rdx
    jb .Lcopy_small
    cmpq $32, %rdx
    ja .Lcopy_large
    movups (%rsi), %xmm0                 // 16 to 32: two that overlap
    movups -16(%rsi,%rdx), %xmm1
    movups %xmm0, (%rdi)
    movups %xmm1, -16(%rdi,%rdx)
    ret
.Lcopy_small:
    cmpl $8, %edx
    jae 1f
    cmpl $4, %edx
    jae 2f
    testl %edx, %edx
    je 3f
    movq %rdx, %r10                      // 1 to 3: first, middle, last
    shrq $1, %r10
    movzbl (%rsi), %ecx
    movzbl (%rsi,%r10), %r9d
    movzbl -1(%rsi,%rdx), %r8d
    movb %r9b, (%rdi,%r10)
    movb %r8b, -1(%rdi,%rdx)
    movb %cl, (%rdi)
    ret
1:  movq (%rsi), %rcx
    movq -8(%rsi,%rdx), %r8
    movq %rcx, (%rdi)
    movq %r8, -8(%rdi,%rdx)
    ret
2:  movl (%rsi), %ecx
    movl -4(%rsi,%rdx), %r8d
    movl %ecx, (%rdi)
    movl %r8d, -4(%rdi,%rdx)
3:  ret
.Lcopy_large:
    movq %rdi, %rcx
    subq %rsi, %rcx
    cmpq %rdx, %rcx                      // destination inside the source: copy backwards
    jb .Lcopy_backward
    movups -16(%rsi,%rdx), %xmm4         // the tail, before it may be overwritten
    leaq -16(%rdi,%rdx), %r8
    subq $64, %rdx
    jbe 6f
5:  movups (%rsi), %xmm0
    movups 16(%rsi), %xmm1
    movups 32(%rsi), %xmm2
    movups 48(%rsi), %xmm3
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movups %xmm2, 32(%rdi)
    movups %xmm3, 48(%rdi)
    addq $64, %rsi
    addq $64, %rdi
    subq $64, %rdx
    ja 5b
6:  addl $32, %edx                       // 1 to 64 left, of which the tail is in %xmm4
    jle 7f
    movups (%rsi), %xmm0                 // 33 to 64: the first 32 and the 16 before the tail
    movups 16(%rsi), %xmm1
    movups (%rsi,%rdx), %xmm2
    movups %xmm0, (%rdi)
    movups %xmm1, 16(%rdi)
    movups %xmm2, (%rdi,%rdx)
    movups %xmm4, (%r8)
    ret
7:  cmpl $-16, %edx
    jle 8f
    movups (%rsi), %xmm0                 // 17 to 32
    movups %xmm0, (%rdi)
8:  movups %xmm4, (%r8)
    ret

.Lcopy_backward:
    movups (%rsi), %xmm4                 // the head
    movq %rdi, %r8
    leaq (%rsi,%rdx), %rsi
    leaq (%rdi,%rdx), %rdi
9:  cmpq $16, %rdx
    jbe 10f
    subq $16, %rsi
    subq $16, %rdi
    movups (%rsi), %xmm0
    movups %xmm0, (%rdi)
    subq $16, %rdx
    jmp 9b
10: movups %xmm4, (%r8)
    ret

    .balign 16
memset:
    movq %rdi, %rax
    movzbl %sil, %esi
    movabsq $0x0101010101010101, %rcx
    imulq %rcx, %rsi
    cmpq $16, %rdx
    jb 2f
    movq %rsi, %xmm0
    punpcklqdq %xmm0, %xmm0
    movups %xmm0, -16(%rdi,%rdx)
    subq $64, %rdx
    jb 4f
1:  movups %xmm0, (%rdi)
    movups %xmm0, 16(%rdi)
    movups %xmm0, 32(%rdi)
    movups %xmm0, 48(%rdi)
    addq $64, %rdi
    subq $64, %rdx
    jae 1b
4:  addq $64, %rdx
5:  cmpq $16, %rdx
    jb 6f
    movups %xmm0, (%rdi)
    addq $16, %rdi
    subq $16, %rdx
    jmp 5b
6:  ret
2:  cmpl $8, %edx
    jb 7f
    movq %rsi, (%rdi)
    movq %rsi, -8(%rdi,%rdx)
    ret
7:  cmpl $4, %edx
    jb 8f
    movl %esi, (%rdi)
    movl %esi, -4(%rdi,%rdx)
    ret
8:  testl %edx, %edx
    je 9f
    movb %sil, (%rdi)
    movb %sil, -1(%rdi,%rdx)
    shrl $1, %edx
    movb %sil, (%rdi,%rdx)
9:  ret

    .balign 16
memcmp:
bcmp:
    xorl %ecx, %ecx
1:  leaq 8(%rcx), %r8
    cmpq %rdx, %r8
    ja 3f
    movq (%rdi,%rcx), %r9
    movq (%rsi,%rcx), %r10
    cmpq %r10, %r9
    jne 2f
    movq %r8, %rcx
    jmp 1b
2:  bswapq %r9                           // the first differing octet decides
    bswapq %r10
    xorl %eax, %eax
    cmpq %r10, %r9
    sbbl %eax, %eax
    orl $1, %eax
    ret
3:  cmpq %rdx, %rcx
    jae 4f
    movzbl (%rdi,%rcx), %eax
    movzbl (%rsi,%rcx), %r9d
    incq %rcx
    subl %r9d, %eax
    je 3b
    ret
4:  xorl %eax, %eax
    ret

    .balign 16
strlen:
    xorl %eax, %eax
1:  cmpb $0, (%rdi,%rax)
    je 2f
    incq %rax
    jmp 1b
2:  ret

    .section .note.GNU-stack, "", @progbits
#endif
