/* SPDX-License-Identifier: MIT */
/* soak.c - see soak.h. */
#include "soak.h"

#include "ringbridge.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t
number_in_environment(const char *name, uint64_t otherwise)
{
    const char *given = getenv(name);

    return given != NULL && given[0] != '\0' ? strtoull(given, NULL, 10) : otherwise;
}

uint64_t
soak_rounds(uint64_t usual)
{
    return number_in_environment("RBR_ROUNDS", usual);
}

uint64_t
soak_seed(void)
{
    const uint64_t seed = number_in_environment("RBR_SEED", rbr_now_ns() % 1000000);

    printf("     RBR_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

uint64_t
soak_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void
soak_count(const char *what, uint64_t number)
{
    const char *path = getenv("RBR_COUNTS");
    FILE *counts = path != NULL && path[0] != '\0' ? fopen(path, "a") : NULL;

    printf("     %s: %llu\n", what, (unsigned long long)number);
    fflush(stdout);
    if (counts == NULL)
        return;
    fprintf(counts, "%s\t%llu\n", what, (unsigned long long)number);
    fclose(counts);
}
