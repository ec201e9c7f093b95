/* SPDX-License-Identifier: MIT */
/* fuzz.c - see fuzz.h. A CHECK that fails ends the process, as libFuzzer wants it. */
#include "fuzz.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void
check_fail(const char *file, int line, const char *expression)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, expression);
    abort();
}
