/* SPDX-License-Identifier: MIT */
/*
 * raw_leg.c - 64-byte records through two rings: what the ring costs, without frames and without
 * threads that share a channel.
 *
 *   parent   ring 0: claim, write, commit  --->  next, copy
 *            next, copy, check             <---  ring 1: claim, write, commit     child
 */
#include "exchange_legs.h"
#include "payload.h"

#include "os.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARENT, CHILD };

void
bench_raw_open(bench_raw *raw, const bench_options *options, uint32_t bytes, bool sleeps)
{
    rbr_error error;
    int fd, role;

    *raw = (bench_raw){.bytes = bytes, .sleeps = sleeps, .source = calloc(1, bytes)};
    if (raw->source == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", bytes);
    if (rbr_segment_create(&raw->segment, &fd, options->ring_bytes, 1, RBR_MEMORY_AUTO, &error) !=
        RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "%s", error.text);
    close(fd); /* the child inherits the mapping */
    for (role = PARENT; role <= CHILD; role++) {
        const int peer = 1 - role;

        rbr_producer_init(&raw->producers[role], &raw->segment.shared->ring[role],
                          raw->segment.data[role], options->ring_bytes, 0);
        rbr_consumer_init(&raw->consumers[role], &raw->segment.shared->ring[peer],
                          raw->segment.data[peer], options->ring_bytes, 0);
        rbr_wake_init(&raw->wakes[role], raw->segment.shared, role, 0);
    }
}

void
bench_raw_close(bench_raw *raw)
{
    rbr_segment_detach(&raw->segment);
    free(raw->source);
}

/* Announces, looks again, sleeps: the channel's protocol (wake.c). */
static void
sleep_for_record(rbr_wake *wake, const rbr_consumer *consumer)
{
    rbr_wake_announce(wake, RBR_WAKE_DATA);
    if (atomic_load_explicit(&consumer->shared->tail, memory_order_relaxed) != consumer->head)
        rbr_wake_cancel(wake);
    else
        rbr_wake_sleep(wake, RBR_FOREVER);
}

static const void *
next_record(bench_raw *raw, int role)
{
    rbr_consumer *consumer = &raw->consumers[role];
    const void *record;
    rbr_status status;
    uint32_t size;

    while ((status = rbr_consumer_next(consumer, &record, &size)) == RBR_AGAIN) {
        if (raw->sleeps)
            sleep_for_record(&raw->wakes[role], consumer);
        else
            rbr_os_relax();
    }
    if (status != RBR_OK || size != raw->bytes)
        bench_die(BENCH_EXIT_WRONG, "a record of %u bytes came as %u (status %d)", raw->bytes, size,
                  (int)status);
    return record;
}

static void
put_record(bench_raw *raw, int role, const void *from)
{
    void *record;

    if (rbr_producer_claim(&raw->producers[role], &record, raw->bytes) != RBR_OK)
        bench_die(BENCH_EXIT_WRONG, "no room in a ring that holds one record");
    bench_copy(record, from, raw->bytes);
    rbr_producer_commit(&raw->producers[role]);
    if (raw->sleeps)
        rbr_wake_peer(&raw->wakes[role], RBR_WAKE_DATA);
}

static void
raw_trip(void *context)
{
    bench_raw *raw = context;
    uint64_t back;

    raw->sequence++;
    memcpy(raw->source, &raw->sequence, sizeof raw->sequence);
    put_record(raw, PARENT, raw->source);
    bench_copy(raw->source, next_record(raw, PARENT), raw->bytes);
    rbr_consumer_release(&raw->consumers[PARENT]);
    memcpy(&back, raw->source, sizeof back);
    if (back != raw->sequence)
        bench_die(BENCH_EXIT_WRONG, "record %llu came back as %llu",
                  (unsigned long long)raw->sequence, (unsigned long long)back);
}

static void
raw_answer(void *context)
{
    bench_raw *raw = context;

    put_record(raw, CHILD, next_record(raw, CHILD));
    rbr_consumer_release(&raw->consumers[CHILD]);
}

void
bench_raw_leg(bench_leg *leg, bench_raw *raw, const char *name)
{
    *leg = (bench_leg){name, false, raw_trip, raw_answer, raw};
}
