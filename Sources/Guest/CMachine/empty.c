// The header-only parts need one translation unit.
#include "CSwiftletMachine.h"
