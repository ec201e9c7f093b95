/* SPDX-License-Identifier: MIT */
/*
 * fault_wrap.c - positions that begin shortly before 2^32, or 2^64, and go beyond it.
 *
 * Raw records of random sizes through both rings, each checked; after four rings' worth the positions
 * have wrapped.
 */
#include "fault_traffic.h"

#include "process.h"
#include "rings.h"
#include "sequence.h"

#include "base.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_NS (200 * RBR_MS)
enum { AT_32 = 32, AT_64 = 64, RINGS = 4, BURST = 8 };

static bench_rings rings; /* the worker inherits the mapping */

static uint32_t
size_of(const bench_fault_round *round, uint64_t number)
{
    const uint32_t most = round->options->ring_bytes / 32;
    uint64_t random = round->seed + number;

    return BENCH_SEQUENCE_BYTES_MIN + (uint32_t)(bench_random(&random) % most);
}

static void
send_records(bench_fault_round *round, bench_end *end, uint32_t count)
{
    for (; count > 0; count--) {
        const uint32_t size = size_of(round, round->next);

        bench_sequence_fill(bench_end_claim(end, size), size, round->next++,
                            round->seed + (uint64_t)round->role);
        if (size % 3 != 0) /* several records may share a commit */
            bench_end_commit(end);
    }
    bench_end_commit(end);
}

/* The other side may have ended: nobody tells of that here. */
static const void *
next_record(bench_fault_round *round, bench_end *end, uint32_t *size, uint64_t due)
{
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;
    const void *record;

    while ((record = bench_end_next_until(end, size, rbr_now_ns() + LOOK_NS)) == NULL)
        if (atomic_load(&round->board->failed) || rbr_now_ns() >= until)
            bench_fault_end(round, FAULT_HANGS, "record %llu did not come",
                            (unsigned long long)due);
    return record;
}

static void
take_records(bench_fault_round *round, bench_end *end, uint64_t *due, uint32_t count)
{
    for (; count > 0; count--, (*due)++) {
        uint32_t size;
        const void *record = next_record(round, end, &size, *due);
        uint64_t number;

        number = bench_sequence_check(record, size, round->seed + 1 - (uint64_t)round->role);
        if (number != *due || size != size_of(round, number))
            bench_fault_end(round, FAULT_WRONG, "record %llu came in the place of %llu",
                            (unsigned long long)number, (unsigned long long)*due);
        bench_fault_add(round, FAULT_MESSAGES, 1);
        if (size % 2 == 0)
            bench_end_release(end);
    }
    bench_end_release(end);
}

/* Both sides take turns, burst by burst; both know the sizes, so both end alike. */
static void
exchange_records(bench_fault_round *round, bench_end *end)
{
    const uint64_t start = end->producer.tail;
    uint64_t due = 0;

    while (end->producer.tail - start < RINGS * (uint64_t)round->options->ring_bytes) {
        if (round->role == RBR_ROLE_HOST)
            send_records(round, end, BURST);
        take_records(round, end, &due, BURST);
        if (round->role == RBR_ROLE_WORKER)
            send_records(round, end, BURST);
    }
    bench_fault_add(round, FAULT_LATE, atomic_load(&end->wake.late_looks));
}

static void
wrap_worker(bench_fault_round *round)
{
    exchange_records(round, &rings.ends[RBR_ROLE_WORKER]);
    bench_rings_close(&rings);
}

static void
wrap_host(bench_fault_round *round)
{
    const uint64_t wrap = round->kind->variant == AT_32 ? UINT64_C(1) << 32 : 0;
    const uint64_t before = 8 *
                            (1 + bench_random(&round->random) % (round->options->ring_bytes / 8));
    bench_end *end = &rings.ends[RBR_ROLE_HOST];
    int status = 0;
    pid_t worker;

    bench_rings_open(&rings, round->options->ring_bytes, BENCH_WAIT_ADAPTIVE, wrap - before);
    bench_fault_start_worker(round, -1, -1);
    worker = atomic_load(&round->board->pids[RBR_ROLE_WORKER]);
    exchange_records(round, end);
    if ((int64_t)(end->producer.tail - wrap) <= 0 || (int64_t)(end->consumer.head - wrap) <= 0)
        bench_fault_end(round, FAULT_WRONG, "the positions did not come to the wrap");
    bench_fault_add(round, FAULT_WRAPS, 2);
    if (!bench_reap(worker, &status) || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        bench_fault_end(round, FAULT_WRONG, "the worker ended with wait status %#x",
                        (unsigned)status);
    bench_rings_close(&rings);
}

size_t
bench_fault_wrap_kinds(bench_fault_kind *out)
{
    const bench_fault_kind both = {.rounds = 100,
                                   .shown = 1u << FAULT_WRAPS,
                                   .victim = -1,
                                   .host = wrap_host,
                                   .worker = wrap_worker};

    out[0] = out[1] = both;
    out[0].name = "wrap-32";
    out[0].what = "positions begin shortly before 2^32, records both ways: each comes, whole, in "
                  "order";
    out[0].variant = AT_32;
    out[1].name = "wrap-64";
    out[1].what = "the same at 2^64, where they begin anew at 0";
    out[1].variant = AT_64;
    return 2;
}
