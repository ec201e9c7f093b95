/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the user asked for, and the modes.
 *
 *   main.c           which mode; help.c what is told of it
 *   options.c        the command line
 *   process.c duo.c  two sides on two CPUs, in step; every wait bounded; counts.c syscalls.c
 *   measure.c        legs in turn, slice by slice; histogram.c
 *   floor_legs.c slots.c rings.c raw_leg.c channel_leg.c    what is measured
 *   floor.c call.c stream.c open.c large.c soak.c fault.c compare.c    one mode each
 *   pair.c runner.c crossing.c peers.c peer_*.c peers/    what compare.c compares
 *   report.c         what was found: table.c json.c hdr.c limits.c, machine.c
 *   page.c           the page made of JSON files
 */
#ifndef RBR_BENCH_H
#define RBR_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    BENCH_EXIT_WRONG = 1,   /* data was lost or changed, or a wake-up was lost */
    BENCH_EXIT_USAGE = 2,
    BENCH_EXIT_MACHINE = 3, /* the machine does not let us, or no end in time */
    BENCH_EXIT_LIMIT = 4,   /* --fail-above, --break-above */
};

enum bench_mode {
    BENCH_FLOOR = 1,
    BENCH_CALL = 2,
    BENCH_STREAM = 4,
    BENCH_OPEN = 8,
    BENCH_LARGE = 16,
    BENCH_SOAK = 32,
    BENCH_FAULT = 64,
    BENCH_COMPARE = 128,
};
enum bench_wait { BENCH_WAIT_SPIN, BENCH_WAIT_YIELD, BENCH_WAIT_BLOCK, BENCH_WAIT_ADAPTIVE };

#define BENCH_SIZES_MAX 16
#define BENCH_RUNS_MAX 100
#define BENCH_PERCENTILES_MAX 12
#define BENCH_LIMITS_MAX 12

/* A figure's key as in the JSON, with or without its unit. */
typedef struct bench_limit {
    char key[40];
    double value;
} bench_limit;

typedef struct bench_options {
    enum bench_mode mode;
    int cpus[2];          /* equal: both sides on one CPU */
    bool threads;         /* the other side is a thread of this process */
    uint64_t duration_ns; /* of one run; count 0 */
    uint64_t count;       /* trips or records of one run; 0: by duration */
    uint32_t runs;
    uint64_t sizes[BENCH_SIZES_MAX];
    size_t size_count;
    uint32_t batch;  /* records made visible at once */
    uint32_t window; /* calls sent before the first answer is waited for */
    uint32_t burst;  /* messages sent at once at each tick of the rate */
    double rate;     /* messages a second */
    enum bench_wait wait;
    uint32_t ring_bytes;
    uint64_t arena_bytes; /* the limit; 0: the core's default */
    uint64_t seed;
    struct {
        double percent;
        char key[24]; /* p99.9_ns */
    } percentiles[BENCH_PERCENTILES_MAX];
    size_t percentile_count;
    bench_limit limits[BENCH_LIMITS_MAX];
    size_t limit_count;
    uint64_t break_above_ns; /* 0: never */
    const char *chosen; /* fault: which; compare: which peers; soak: what traffic; NULL: all */
    const char *json_path, *hdr_path;
    FILE *json, *hdr; /* NULL: none */
    bool quiet;
} bench_options;

extern const char *const bench_mode_names[]; /* by mode */
extern const char *const bench_wait_names[];

/* Ends the program with 2 and a message that says what is allowed. */
void bench_options_parse(bench_options *out, int argc, char **argv);
void bench_help(FILE *to);

struct bench_report;
/* Each measures, fills the report and names its columns; main.c writes it. */
void bench_floor(const bench_options *options, struct bench_report *report);
void bench_call(const bench_options *options, struct bench_report *report);
void bench_stream(const bench_options *options, struct bench_report *report);
void bench_open(const bench_options *options, struct bench_report *report);
void bench_large(const bench_options *options, struct bench_report *report);
void bench_soak(const bench_options *options, struct bench_report *report);
void bench_fault(const bench_options *options, struct bench_report *report);
void bench_compare(const bench_options *options, struct bench_report *report);

#endif
