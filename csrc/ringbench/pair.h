/* SPDX-License-Identifier: MIT */
/*
 * pair.h - one peer's two processes, which do as they are told and may fail without us. See pair.c.
 */
#ifndef RBR_BENCH_PAIR_H
#define RBR_BENCH_PAIR_H

#include "crossing.h"
#include "measure.h"
#include "peers.h"

#include <sys/types.h>

typedef struct bench_pair {
    const char *name;
    const bench_peer_entry *entry; /* NULL: the machine's floor, and memcpy */
    uint32_t bytes, room_bytes, batch;
    struct bench_pair_shared *shared;
    pid_t runner;
    int told, log; /* descriptors: a socket to the runner, a file with what it says */
    char error[128];                  /* "": it works */
    enum bench_crossing_kind failed;  /* in which; BENCH_CROSSINGS: at its end */
} bench_pair;

/* What a message took; lives until bench_pair_free. */
bench_measure *bench_pair_measure(const bench_pair *pair, enum bench_crossing_kind kind);
/* Of the slices: after a try its time, before the first slice all of it. */
bench_plan *bench_pair_plan(const bench_pair *pair, enum bench_crossing_kind kind);
/* What became of the messages of both directions. */
void bench_pair_sequence(const bench_pair *pair, enum bench_crossing_kind kind,
                         bench_sequence *out);
/* Messages between two flushes, as the peer has it. */
uint32_t bench_pair_batch(const bench_pair *pair);
/* The name of the floor's row, of the pair that measures it. */
const char *bench_pair_floor_name(const bench_pair *pair, enum bench_crossing_kind kind);

/* Starts a peer's processes for messages of so many bytes. */
void bench_pair_start(bench_pair *pair, const bench_peer_entry *entry, uint32_t bytes,
                      const bench_options *options);
/* Each waits until it is done. A pair that has failed does nothing; pair->error says why. */
void bench_pair_ready(bench_pair *pair);
void bench_pair_try(bench_pair *pair, enum bench_crossing_kind kind);
void bench_pair_slice(bench_pair *pair, enum bench_crossing_kind kind);
void bench_pair_syscalls(bench_pair *pair, enum bench_crossing_kind kind);
/* Its processes end, and whatever they left goes. */
void bench_pair_end(bench_pair *pair);
/* Whether its figures of that kind are whole. */
bool bench_pair_has(const bench_pair *pair, enum bench_crossing_kind kind);
void bench_pair_free(bench_pair *pair);

#endif
