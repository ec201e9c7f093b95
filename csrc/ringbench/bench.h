/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the user asked for, and the modes.
 *
 *   main.c        help, and which mode
 *   options.c     the command line
 *   processes.c   two pinned processes in step; every wait bounded
 *   legs.c        the round trips of the machine itself; measuring legs in turn
 *   floor.c call.c stream.c    one mode each
 *   histogram.c report.c       what was seen; table and JSON
 *
 * Exit codes: 0, 1 wrong data, 2 a bad option, 3 the machine does not let us (or no end in time).
 */
#ifndef RBR_BENCH_H
#define RBR_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { BENCH_EXIT_WRONG = 1, BENCH_EXIT_USAGE = 2, BENCH_EXIT_MACHINE = 3 };
enum bench_mode { BENCH_FLOOR = 1, BENCH_CALL = 2, BENCH_STREAM = 4 };
enum bench_wait { BENCH_WAIT_SPIN, BENCH_WAIT_BLOCK, BENCH_WAIT_ADAPTIVE };

#define BENCH_SIZES_MAX 16

typedef struct bench_options {
    enum bench_mode mode;
    int cpus[2];
    uint64_t duration_ns; /* of one run; count 0 */
    uint64_t count;       /* round trips or records of one run; 0: by duration */
    uint32_t runs;
    uint64_t sizes[BENCH_SIZES_MAX];
    size_t size_count;
    uint32_t batch;
    uint32_t ring_bytes;
    enum bench_wait wait;
    const char *json_path;
    FILE *json; /* NULL: none */
    bool quiet;
} bench_options;

extern const char *const bench_mode_names[]; /* by mode */
extern const char *const bench_wait_names[];

/* Ends the program with 2 and a message that says what is allowed. */
void bench_options_parse(bench_options *out, int argc, char **argv);
void bench_help(FILE *to);

struct bench_report;
/* Return the exit code. */
int bench_floor(const bench_options *options, struct bench_report *report);
int bench_call(const bench_options *options, struct bench_report *report);
int bench_stream(const bench_options *options, struct bench_report *report);

#endif
