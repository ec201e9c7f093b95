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

void
fuzz_count(const char *what, unsigned long long number)
{
    const char *path = getenv("RBR_COUNTS");
    FILE *counts = path != NULL && path[0] != '\0' ? fopen(path, "a") : NULL;

    if (counts == NULL)
        return;
    fprintf(counts, "%s\t%llu\n", what, number);
    fclose(counts);
}
