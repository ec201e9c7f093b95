/* SPDX-License-Identifier: MIT */
/*
 * exchange_legs.h - round trips over the real thing: records in rings, and calls over a channel.
 */
#ifndef RBR_BENCH_EXCHANGE_LEGS_H
#define RBR_BENCH_EXCHANGE_LEGS_H

#include "bench.h"
#include "processes.h"

#include "ring.h"
#include "segment.h"
#include "wake.h"

#include "ringbridge.h"

/* Two rings, as a channel has them, without a channel. */
typedef struct bench_raw {
    rbr_segment segment;
    rbr_producer producers[2]; /* by role; each process uses its own */
    rbr_consumer consumers[2];
    rbr_wake wakes[2];
    bool sleeps; /* both sides sleep each time; else both spin */
    uint32_t bytes;
    uint64_t sequence;
    uint8_t *source; /* the parent's record */
} bench_raw;

void bench_raw_open(bench_raw *raw, const bench_options *options, uint32_t bytes, bool sleeps);
void bench_raw_close(bench_raw *raw);
void bench_raw_leg(bench_leg *leg, bench_raw *raw, const char *name);

/* What the child's channel has counted; in memory that both share. */
typedef struct bench_worker_stats {
    rbr_stats stats;
} bench_worker_stats;

/* A host and a worker that answers every call with its argument. */
typedef struct bench_echo {
    rbr_channel *channel; /* this process's end */
    int sockets[2];
    uint32_t bytes; /* of the argument */
    uint64_t sequence;
    uint8_t *argument;
    uint8_t *frame; /* room to build in */
    uint32_t frame_room;
    bench_worker_stats *worker;
} bench_echo;

/* Before the duo starts; bench_echo_join and _leave are the duo's; connect after its start, close
 * after its end. */
void bench_echo_prepare(bench_echo *echo, uint32_t bytes);
void bench_echo_join(void *echo);
void bench_echo_leave(void *echo);
void bench_echo_connect(bench_echo *echo, const bench_options *options, int child);
void bench_echo_close(bench_echo *echo);
void bench_echo_leg(bench_leg *leg, bench_echo *echo);

#endif
