/* SPDX-License-Identifier: MIT */
/*
 * progress.h - one line that says what is done now. See progress.c.
 */
#ifndef RBR_BENCH_PROGRESS_H
#define RBR_BENCH_PROGRESS_H

#include "bench.h"

/* On stderr, where that is a terminal and nobody wants quiet; a few times a second at the most. */
void bench_progress(const bench_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Removes the line: before anything else is written. */
void bench_progress_end(void);

#endif
