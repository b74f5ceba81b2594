// C in a guest: what nobody checks, and what the built-in monitor has to withstand.

#pragma once

#include <stdint.h>

/// A divisor of zero raises the CPU's divide error.
int fixture_divide(int dividend, int divisor);

/// One of 22 things that ring 3 must not do; returns if it was done.
void fixture_privileged(int way);
/// Calls to print what is not the guest's, or is not there.
void fixture_console_ranges(uint64_t stack_address);
/// Changes of pages that the monitor must refuse, and handlers of faults that it must not take; how
/// many changes were made. `memory` is 12 KiB of the heap, page aligned, as for the next.
int fixture_refused_pages(void *memory);
/// Maps a page, and uses it after the right to do so was taken, in one of four ways: faults.
void fixture_lose_page(void *memory, int way);
/// Accesses of all sizes to registers of devices, at odd offsets too.
void fixture_poke_registers(void);
/// Starts the device whose registers lie at physical address `device` and breaks one of nine rules
/// of virtio's; the device's status afterwards. `memory` is 16 KiB of the heap, page aligned.
uint32_t fixture_break_rule(uint32_t device, int rule, void *memory);
/// Writes noise into the rings of all devices, and gives them their turns.
void fixture_scribble(void *memory, uint32_t rounds, int has_console);
