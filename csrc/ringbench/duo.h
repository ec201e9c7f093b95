/* SPDX-License-Identifier: MIT */
/*
 * duo.h - two sides, each pinned to a CPU, that work in step: this process, and a child or a second
 * thread.
 *
 * A leg is one kind of exchange: the first side makes a trip, the other answers it. See duo.c.
 */
#ifndef RBR_BENCH_DUO_H
#define RBR_BENCH_DUO_H

#include "bench.h"
#include "counts.h"
#include "histogram.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum bench_side { BENCH_HERE, BENCH_THERE, BENCH_SIDES };

typedef struct bench_leg {
    const char *name;
    const char *kind; /* of its row: "floor", "round trip", "one way" */
    bool same_cpu;    /* the other side answers on the CPU of the first */
    void (*trip)(void *context);   /* here: one round trip */
    void (*answer)(void *context); /* there: one answer */
    /* Adds what the calling side's context has counted since it was made; NULL: it counts nothing. */
    void (*count)(const void *context, bench_counts *out);
    /* Each side has its own copy, but for what it points to. context_bytes 0: the leg cannot run
     * between threads. */
    void *context;
    size_t context_bytes;
} bench_leg;

typedef struct bench_duo {
    struct bench_duo_shared *shared;
    const bench_leg *legs;
    int cpus[BENCH_SIDES];
    uint64_t break_above_ns;
    bool traced; /* somebody stops us at each system call */
    uint64_t switches; /* involuntary ones of both sides up to the last run */
    pid_t child; /* 0: a thread */
    pthread_t thread;
    bench_leg *thread_legs; /* with the thread's own contexts */
    bench_counts counts[BENCH_SIDES]; /* of the last run */
} bench_duo;

/* What the other side does beside its answers; any may be NULL. Processes only. */
typedef struct bench_duo_hooks {
    void (*join)(void *context);
    void (*leave)(void *context);
    void *context;
} bench_duo_hooks;

/* Starts the other side. The `count` legs and what they point to must stand before. */
void bench_duo_start(bench_duo *duo, const bench_leg *legs, size_t count,
                     const bench_options *options, const bench_duo_hooks *hooks);
/* `warm` trips of a leg that are not measured, then `count`; returns nanoseconds of those. With a
 * histogram every trip is timed by itself, without one only the whole. duo->counts are then those of
 * all trips, on each side. */
uint64_t bench_duo_run(bench_duo *duo, size_t leg, uint64_t warm, uint64_t count,
                       bench_histogram *histogram);
/* System calls of one trip, by side, the mean of that many; false: they cannot be counted here (ptrace
 * is not allowed). */
bool bench_duo_syscalls(bench_duo *duo, size_t leg, uint64_t trips, double per_trip[BENCH_SIDES]);
/* Lets the other side go and waits for its end. */
void bench_duo_end(bench_duo *duo);

#endif
