/* SPDX-License-Identifier: MIT */
/*
 * soak.h - how long a random test runs, from which seed, and what it counted.
 */
#ifndef RBR_TESTS_SOAK_H
#define RBR_TESTS_SOAK_H

#include <stdint.h>

/* RBR_ROUNDS, or else `usual`. */
uint64_t soak_rounds(uint64_t usual);
/* RBR_SEED, or else a fresh one; printed, so that the run can be repeated. */
uint64_t soak_seed(void);
/* The next of a sequence of numbers; `state` is not 0. */
uint64_t soak_random(uint64_t *state);
/* Prints it, and adds a line to the file that RBR_COUNTS names, where it is set. */
void soak_count(const char *what, uint64_t number);

#endif
