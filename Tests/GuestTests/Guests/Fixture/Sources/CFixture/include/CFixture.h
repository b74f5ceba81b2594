// C in a guest: a division that nobody checks.

#pragma once

/// A divisor of zero raises the CPU's divide error.
int fixture_divide(int dividend, int divisor);
