// What Swift cannot say: single instructions, and the entry points that assembly offers.
#ifndef CSWIFTLET_MACHINE_H
#define CSWIFTLET_MACHINE_H

#include "boot.h"
#include "executor.h"
#include "instructions.h"
#include "linux.h"

#endif
