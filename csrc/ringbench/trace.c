/* SPDX-License-Identifier: MIT */
/*
 * trace.c - a round buffer of events for each side, in memory that both share.
 *
 * Written by its own side alone; read when the first side stops the measurement. The other side may
 * write on meanwhile: an event that it overwrites while it is read would show, since its time does
 * not fit between its neighbours.
 */
#include "trace.h"

#include "process.h"

#include "base.h"

#include <stdio.h>
#include <stdlib.h>

enum { SIDES = 2, EVENTS = 4096, SHOWN = 16 };

struct event {
    uint64_t ns;
    uint64_t number;
    uint32_t event;
    uint32_t side;
};

struct bench_trace_log {
    struct {
        _Atomic uint64_t written;
        struct event events[EVENTS];
    } sides[SIDES];
};

struct bench_trace_log *bench_trace_log;
static _Thread_local int own_side;

void
bench_trace_open(void)
{
    bench_trace_log = bench_shared_new(sizeof *bench_trace_log);
}

void
bench_trace_side(int side)
{
    own_side = side;
}

void
bench_trace_record(enum bench_event event, uint64_t number)
{
    _Atomic uint64_t *written = &bench_trace_log->sides[own_side].written;
    const uint64_t at = atomic_load_explicit(written, memory_order_relaxed);

    bench_trace_log->sides[own_side].events[at % EVENTS] =
        (struct event){rbr_now_ns(), number, event, (uint32_t)own_side};
    atomic_store_explicit(written, at + 1, memory_order_release);
}

static int
by_time(const void *a, const void *b)
{
    const struct event *left = a, *right = b;

    return (left->ns > right->ns) - (left->ns < right->ns);
}

void
bench_trace_dump(const char *why)
{
    static const char *const names[] = {
        [BENCH_EVENT_TRIP] = "trip",        [BENCH_EVENT_SEND] = "send",
        [BENCH_EVENT_SENT] = "sent",        [BENCH_EVENT_SLEEP] = "sleep",
        [BENCH_EVENT_WOKE] = "woke",        [BENCH_EVENT_GOT] = "got",
        [BENCH_EVENT_ANSWERED] = "answered"};
    struct event last[SIDES * SHOWN];
    size_t count = 0, i;
    int side;

    for (side = 0; side < SIDES; side++) {
        const uint64_t written = atomic_load_explicit(&bench_trace_log->sides[side].written,
                                                      memory_order_acquire);
        uint64_t at = written > SHOWN ? written - SHOWN : 0;

        for (; at < written; at++)
            last[count++] = bench_trace_log->sides[side].events[at % EVENTS];
    }
    qsort(last, count, sizeof last[0], by_time);
    fprintf(stderr, "%s; the last events, times in us before the end:\n", why);
    fprintf(stderr, "%12s  %-24s%-24s\n", "", "this side", "the other side");
    for (i = 0; i < count; i++)
        fprintf(stderr, "%12.3f  %*s%-10s %llu\n", (double)(last[count - 1].ns - last[i].ns) / -1e3,
                last[i].side == 0 ? 0 : 24, "", names[last[i].event],
                (unsigned long long)last[i].number);
}
