/* SPDX-License-Identifier: MIT */
/*
 * processes.h - a duo: this process and a child, each pinned to a CPU, that work in step.
 *
 * A leg is one kind of exchange: the parent makes a trip, the child answers it. See processes.c.
 */
#ifndef RBR_BENCH_PROCESSES_H
#define RBR_BENCH_PROCESSES_H

#include "histogram.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct bench_leg {
    const char *name;
    bool same_cpu;          /* the child answers on the parent's CPU */
    void (*trip)(void *context);   /* in the parent: one round trip */
    void (*answer)(void *context); /* in the child: one answer */
    void *context;          /* each process has its own copy, but for what it points to */
} bench_leg;

typedef struct bench_duo {
    struct bench_duo_shared *shared;
    const bench_leg *legs;
    int cpus[2]; /* parent, child */
    pid_t child;
} bench_duo;

/* Memory that a later child shares, in zeros and touched; nothing of it has a name. Both end the
 * program when there is none. */
void *bench_shared_new(size_t bytes);
void bench_shared_free(void *base, size_t bytes);

/* The CPUs that this process may use, in order; returns how many (at most `most` are stored). */
int bench_cpus_allowed(int *cpus, int most);
void bench_pin(int cpu);

/* Forks the child, which runs join(context) (may be NULL) and then answers; leave(context) at the
 * end. The legs and what they point to must stand before. */
void bench_duo_start(bench_duo *duo, const bench_leg *legs, const int cpus[2], void (*join)(void *),
                     void (*leave)(void *), void *context);
/* `warm` trips of a leg that are not measured, then `count`; returns nanoseconds of those. With a
 * histogram every trip is timed by itself, without one only the whole. */
uint64_t bench_duo_run(bench_duo *duo, size_t leg, uint64_t warm, uint64_t count,
                       bench_histogram *histogram);
/* Lets the child go and waits for its end. */
void bench_duo_end(bench_duo *duo);

/* How long one step may take at the most: 30 s, and what was asked for. */
void bench_step_limit(uint64_t duration_ns, uint64_t count);
/* From now on the program may take this long at the most; then it ends, and the child with it. */
void bench_bound(unsigned seconds, const char *what);

/* Ends both processes with a message. */
_Noreturn void bench_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
