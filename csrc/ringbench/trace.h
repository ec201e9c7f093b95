/* SPDX-License-Identifier: MIT */
/*
 * trace.h - the last events of both sides, for --break-above. See trace.c.
 */
#ifndef RBR_BENCH_TRACE_H
#define RBR_BENCH_TRACE_H

#include <stdbool.h>
#include <stdint.h>

enum bench_event {
    BENCH_EVENT_TRIP,    /* a round trip begins; its number */
    BENCH_EVENT_SEND,    /* before a message is written; its number */
    BENCH_EVENT_SENT,    /* it is visible, and the other side is woken if it slept */
    BENCH_EVENT_SLEEP,   /* nothing there: going to sleep */
    BENCH_EVENT_WOKE,    /* awake again; 0, or 3 when a timer ended the sleep */
    BENCH_EVENT_GOT,     /* a message was found; its number */
    BENCH_EVENT_ANSWERED /* the round trip is over; its number */
};

struct bench_trace_log;
extern struct bench_trace_log *bench_trace_log; /* NULL: nobody asked for events */

/* Before the other side starts. */
void bench_trace_open(void);
/* Which side the calling thread is; events of threads that have not said so are the first one's. */
void bench_trace_side(int side);
void bench_trace_record(enum bench_event event, uint64_t number);
/* The last events of both, oldest first, on stderr. */
void bench_trace_dump(const char *why);

/* Costs a look at a pointer where nobody asked. */
static inline void
bench_trace(enum bench_event event, uint64_t number)
{
    if (bench_trace_log != 0)
        bench_trace_record(event, number);
}

#endif
