/* SPDX-License-Identifier: MIT */
/*
 * call_legs.h - round trips over the real thing: records in two rings (raw_leg.c), and whole calls
 * over a channel (channel_leg.c).
 */
#ifndef RBR_BENCH_CALL_LEGS_H
#define RBR_BENCH_CALL_LEGS_H

#include "bench.h"
#include "duo.h"
#include "rings.h"

#include "ringbridge.h"

/* Records there, the same records back. */
typedef struct bench_raw {
    bench_rings rings;
    uint32_t bytes, window;
    uint64_t sequence;
    uint8_t *source; /* the first side's record */
} bench_raw;

void bench_raw_open(bench_raw *raw, const bench_options *options, uint32_t bytes);
void bench_raw_close(bench_raw *raw);
void bench_raw_leg(bench_leg *leg, bench_raw *raw);

/* A host, and a worker that answers every call with its argument. Two processes only. */
typedef struct bench_echo {
    rbr_channel *channel; /* this process's end */
    int sockets[2];
    enum bench_wait wait;
    uint32_t bytes; /* of the argument */
    uint32_t window;
    uint64_t sequence;
    uint8_t *argument;
    uint8_t *frame; /* room to build in */
    uint32_t frame_room;
    rbr_pending *pending; /* `window` of them */
} bench_echo;

/* prepare, then the hooks go to bench_duo_start; connect after it, close after the duo's end. */
void bench_echo_prepare(bench_echo *echo, bench_duo_hooks *hooks, const bench_options *options,
                        uint32_t bytes);
void bench_echo_connect(bench_echo *echo, const bench_options *options, int child);
void bench_echo_close(bench_echo *echo);
void bench_echo_leg(bench_leg *leg, bench_echo *echo);

/* For legs of other calls over the same channel: they wait as the options say, and end the program when
 * the channel does not work. */
void bench_echo_wait(bench_echo *echo, rbr_pending *pending, rbr_message **out);
void bench_echo_receive(bench_echo *echo, rbr_message **out);
void bench_echo_count(const bench_echo *echo, bench_counts *out);

#endif
