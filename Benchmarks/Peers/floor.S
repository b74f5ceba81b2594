// QEMU's own floor: the smallest machine image that outputs a byte and ends. What it takes from
// QEMU's start to that byte is QEMU, its firmware and the loading of an ELF; nothing of a guest's.
// Booted through the PVH note in 32-bit protected mode; it needs no stack and no memory.

        .section .note.Xen, "a", @note
        .long 4, 4, 18                  // name size, description size, XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long _start

        .section .text, "ax", @progbits
        .code32
        .global _start
_start: mov     $0x3f8, %edx            // COM1's data register
        mov     $'.', %al
output: out     %al, (%dx)
        // A memory area for the self-test of the counting plugin: 1 000 repetitions.
        mov     $0x100000, %edi
        mov     $1000, %ecx
repeat: rep stosb
        // An empty interrupt table and an exception: a triple fault, which `-no-reboot` makes
        // QEMU's exit.
        lidt    no_interrupts
exit:   ud2

        .balign 8
no_interrupts:
        .word 0
        .long 0
