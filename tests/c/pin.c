/* SPDX-License-Identifier: MIT */
/*
 * pin.c - threads on processors of their own: see pin.h.
 */
#include "pin.h"

#include "check.h"

#include <sched.h>

static cpu_set_t
allowed(void)
{
    static cpu_set_t at_start; /* a thread that is pinned may use one */
    static int known;

    if (!known) {
        CHECK(sched_getaffinity(0, sizeof at_start, &at_start) == 0);
        known = 1;
    }
    return at_start;
}

int
pin_processors(void)
{
    const cpu_set_t set = allowed();

    return CPU_COUNT(&set);
}

void
pin_to(int nth)
{
    const cpu_set_t set = allowed();
    cpu_set_t one;
    int cpu;

    for (cpu = 0; !CPU_ISSET(cpu, &set) || nth-- > 0; cpu++)
        ;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}
