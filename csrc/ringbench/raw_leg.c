/* SPDX-License-Identifier: MIT */
/*
 * raw_leg.c - records through two rings: what the ring costs, without frames and without threads
 * that share a channel.
 *
 *   here   claim, write, commit; x window  --->  next, copy; x window        there
 *          next, check; x window           <---  claim, write, commit
 */
#include "call_legs.h"
#include "payload.h"
#include "process.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

void
bench_raw_open(bench_raw *raw, const bench_options *options, uint32_t bytes)
{
    *raw = (bench_raw){.bytes = bytes, .window = options->window, .source = calloc(1, bytes)};
    if (raw->source == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", bytes);
    bench_rings_open(&raw->rings, options->ring_bytes, options->wait, 0);
}

void
bench_raw_close(bench_raw *raw)
{
    bench_rings_close(&raw->rings);
    free(raw->source);
}

static const void *
next_record(bench_raw *raw, bench_end *end)
{
    uint32_t size;
    const void *record = bench_end_next(end, &size);

    if (size != raw->bytes)
        bench_die(BENCH_EXIT_WRONG, "a record of %u bytes came as %u", raw->bytes, size);
    return record;
}

static void
raw_trip(void *context)
{
    bench_raw *raw = context;
    bench_end *end = &raw->rings.ends[BENCH_HERE];
    const uint64_t first = raw->sequence;
    uint64_t back;

    while (raw->sequence < first + raw->window) {
        bench_trace(BENCH_EVENT_SEND, raw->sequence);
        bench_copy_numbered(bench_end_claim(end, raw->bytes), raw->source, raw->bytes,
                            raw->sequence);
        bench_end_commit(end);
        bench_trace(BENCH_EVENT_SENT, raw->sequence++);
    }
    for (raw->sequence = first; raw->sequence < first + raw->window; raw->sequence++) {
        bench_copy(raw->source, next_record(raw, end), raw->bytes);
        bench_trace(BENCH_EVENT_GOT, raw->sequence);
        bench_end_release(end);
        memcpy(&back, raw->source, sizeof back);
        if (back != raw->sequence)
            bench_die(BENCH_EXIT_WRONG, "record %llu came back as %llu",
                      (unsigned long long)raw->sequence, (unsigned long long)back);
    }
}

static void
raw_answer(void *context)
{
    bench_raw *raw = context;
    bench_end *end = &raw->rings.ends[BENCH_THERE];
    uint32_t i;

    for (i = 0; i < raw->window; i++) {
        const void *record = next_record(raw, end);

        bench_trace(BENCH_EVENT_GOT, raw->sequence);
        bench_copy(bench_end_claim(end, raw->bytes), record, raw->bytes);
        bench_end_commit(end);
        bench_trace(BENCH_EVENT_SENT, raw->sequence++);
        bench_end_release(end);
    }
}

static void
raw_count(const void *context, bench_counts *out)
{
    const bench_raw *raw = context;

    bench_end_count(&raw->rings.ends[BENCH_HERE], out);
    bench_end_count(&raw->rings.ends[BENCH_THERE], out); /* the other side's is idle in this copy */
}

void
bench_raw_leg(bench_leg *leg, bench_raw *raw)
{
    *leg = (bench_leg){.name = "raw records",
                       .kind = "round trip",
                       .trip = raw_trip,
                       .answer = raw_answer,
                       .count = raw_count,
                       .context = raw,
                       .context_bytes = sizeof *raw};
}
