// What Swift checks before it happens, and C does not.

#include "CFixture.h"

int fixture_divide(int dividend, int divisor) { return dividend / divisor; }
