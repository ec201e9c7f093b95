/* SPDX-License-Identifier: MIT */
/*
 * runner.h - the process that works for a pair. See runner.c.
 */
#ifndef RBR_BENCH_RUNNER_H
#define RBR_BENCH_RUNNER_H

#include "pair.h"

/* What it is told, a byte each; it answers all but the last with the same byte. */
enum bench_tell {
    BENCH_TELL_READY = 'r', /* all is open, and touched once */
    BENCH_TELL_TRY = 't',
    BENCH_TELL_SLICE = 's',
    BENCH_TELL_SYSCALLS = 'c',
    BENCH_TELL_END = 'e',
};

struct bench_pair_shared {
    enum bench_crossing_kind kind; /* of what it is told next */
    bench_plan plans[BENCH_CROSSINGS];
    bench_measure measures[BENCH_CROSSINGS];
    bench_crossing_shared crossing;
    uint32_t batch; /* messages between two flushes: 1 where the peer has no batches */
    const char *floor_name; /* a constant of the program: the same in all its processes */
};

/* Until it is told to end. `told` is its end of the socket. */
_Noreturn void bench_runner_main(const bench_pair *pair, const bench_options *options, int told);

#endif
