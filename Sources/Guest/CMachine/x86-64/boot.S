// Where a monitor enters the image.
//
// PVH (the ELF note): 32-bit protected mode, paging off, %ebx = hvm_start_info
// (xen/include/public/arch-x86/hvm/start_info.h describes the protocol). Builds the first page
// tables, switches to long mode and calls Swift. Position-independent in physical memory: the
// builder decides where the image lies.
//
// The built-in monitor (the ELF's entry address): ring 3, long mode, everything mapped
// (Sources/Shared/BootProtocol/MonitorCall.swift).

#if defined(SWIFTLET_GUEST)

#define START_INFO_MAGIC 0x336ec578
#define PAGE_PRESENT_WRITABLE 0x3
#define PAGE_LARGE_PRESENT_WRITABLE 0x83
#define DIRECT_MAP_SLOT 128              // DirectMap.base >> 39
#define BOOT_STACK_SIZE 16384

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18                       // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad swiftlet_pvh_entry

    .section .text.boot, "ax", @progbits
    .code64
    .globl swiftlet_entry
swiftlet_entry:
    movq %rcx, swiftlet_monitor_frequency(%rip)
    movq %rsp, %rcx
    xorl %ebp, %ebp                      // end of the frame chain
    call swiftlet_start_unprivileged
    ud2

    .code32
    .globl swiftlet_pvh_entry
swiftlet_pvh_entry:
    cli
    cld
    cmpl $START_INFO_MAGIC, (%ebx)
    jne .Lhalt
    // No stack yet, and no idea where we are: the magic's four octets serve as one.
    leal 4(%ebx), %esp
    call .Lhere
.Lhere:
    popl %ebp
    movl $START_INFO_MAGIC, (%ebx)
    subl $.Lhere, %ebp                   // %ebp = physical - virtual: 0 or -2 MiB

    // Direct map of the first GiB in 2 MiB pages.
    leal swiftlet_boot_direct_pd(%ebp), %edi
    movl $PAGE_LARGE_PRESENT_WRITABLE, %eax
    movl $512, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b

    // The image where it was linked, in 2 MiB pages; and the first 2 MiB as they are, for the
    // instructions around the switch (when the image lies higher, its own pages are identical).
    leal swiftlet_boot_image_pd(%ebp), %edi
    movl $PAGE_LARGE_PRESENT_WRITABLE, (%edi)
    movl $0x200000 + PAGE_LARGE_PRESENT_WRITABLE, %eax
    addl %ebp, %eax
    movl $swiftlet_image_end - 1, %ecx
    shrl $21, %ecx                       // 2 MiB pages from address 0x200000 to the end
2:  addl $8, %edi
    movl %eax, (%edi)
    addl $0x200000, %eax
    decl %ecx
    jnz 2b

    leal swiftlet_boot_pml4(%ebp), %edi
    leal swiftlet_boot_image_pdpt + PAGE_PRESENT_WRITABLE(%ebp), %eax
    movl %eax, (%edi)
    leal swiftlet_boot_direct_pdpt + PAGE_PRESENT_WRITABLE(%ebp), %eax
    movl %eax, DIRECT_MAP_SLOT * 8(%edi)
    leal swiftlet_boot_image_pd + PAGE_PRESENT_WRITABLE(%ebp), %eax
    movl %eax, swiftlet_boot_image_pdpt(%ebp)
    leal swiftlet_boot_direct_pd + PAGE_PRESENT_WRITABLE(%ebp), %eax
    movl %eax, swiftlet_boot_direct_pdpt(%ebp)
    movl %edi, %cr3

    movl $0x620, %eax                    // CR4: PAE, OSFXSR, OSXMMEXCPT
    movl %eax, %cr4
    movl $0xc0000080, %ecx               // EFER: LME, NXE
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010033, %eax               // CR0: PG, WP, NE, ET, MP, PE
    movl %eax, %cr0

    // The descriptor table's address is known only now; a far return needs a stack, and takes
    // us to 64-bit code at its linked address.
    leal swiftlet_boot_stack_top(%ebp), %esp
    leal swiftlet_gdt(%ebp), %eax
    subl $8, %esp
    movw $swiftlet_gdt_end - swiftlet_gdt - 1, 2(%esp)
    movl %eax, 4(%esp)
    lgdt 2(%esp)
    pushl $8
    leal .Llong_mode(%ebp), %eax
    pushl %eax
    lret

.Lhalt:
    hlt
    jmp .Lhalt

    .code64
.Llong_mode:
    movabsq $.Lhigh, %rax
    jmpq *%rax
.Lhigh:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    leaq swiftlet_boot_stack_top(%rip), %rsp
    leaq swiftlet_gdt(%rip), %rax        // again, at its virtual address
    subq $16, %rsp
    movw $swiftlet_gdt_end - swiftlet_gdt - 1, 6(%rsp)
    movq %rax, 8(%rsp)
    lgdt 6(%rsp)
    addq $16, %rsp
    movl %ebx, %edi                      // hvm_start_info, physical
    movslq %ebp, %rsi                    // physical minus virtual address of the image
    xorl %ebp, %ebp                      // end of the frame chain
    call swiftlet_start
    ud2

// Continues on another stack, from which there is no return: (top of stack, function).
    .text
    .globl swiftlet_switch_stack
swiftlet_switch_stack:
    movq %rdi, %rsp
    xorl %ebp, %ebp
    call *%rsi
    ud2

    .data
    .balign 16
    .globl swiftlet_gdt
    .globl swiftlet_gdt_tss
swiftlet_gdt:
    .quad 0
    .quad 0x00af9a000000ffff             // 0x08: 64-bit code, ring 0
    .quad 0x00cf92000000ffff             // 0x10: data, ring 0
swiftlet_gdt_tss:
    .quad 0, 0                           // 0x18: the TSS, filled in by Swift
swiftlet_gdt_end:

    .bss
    .balign 8
    .globl swiftlet_monitor_frequency
swiftlet_monitor_frequency: .skip 8

    .section .swiftlet.header, "aw", @progbits
    .globl swiftlet_image_header
    .balign 8
swiftlet_image_header:
    .ascii "SWIFTLET"
    .long 2                              // bootProtocolVersion
    .long 2                              // flags: MainEnd stands behind
    .quad 0                              // virtual address of the packed files
    .quad 0                              // their size
    .quad 0                              // end of the image, 0 if no builder touched it
    .quad 0                              // physical base
    .quad swiftlet_after_main_start
    .quad swiftlet_after_main_end
    .quad swiftlet_end_of_throwing_main

    .section .boot_only, "aw", @nobits
    .balign 4096
swiftlet_boot_pml4: .skip 4096
swiftlet_boot_image_pdpt: .skip 4096
swiftlet_boot_image_pd: .skip 4096
swiftlet_boot_direct_pdpt: .skip 4096
swiftlet_boot_direct_pd: .skip 4096
    .skip BOOT_STACK_SIZE
swiftlet_boot_stack_top:

    .section .note.GNU-stack, "", @progbits
#endif
