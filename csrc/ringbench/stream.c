/* SPDX-License-Identifier: MIT */
/*
 * stream.c - one way: records in batches, every byte read in place by the consumer.
 *
 *   parent                                     child
 *   claim, copy the payload in; x batch        next, add up all words, compare; x batch
 *   commit                             --->    release
 *   waits for the last                 <---    received = count
 *
 * Each record begins with its number, and the sum of its words is known: a record that is lost,
 * repeated, out of order or torn ends the program with 1.
 *
 * Three things take turns with the stream, slice by slice: the same payloads through bare slots and
 * two counters (no records: what the two CPUs can do at best), the cache-line ping-pong (how far
 * the two CPUs are apart just now; a hypervisor moves them), and memcpy of the same size.
 */
#include "legs.h"
#include "payload.h"
#include "report.h"

#include "os.h"
#include "ring.h"
#include "segment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUDGET_RECORDS_PER_S 100e6 /* of 64 bytes */
#define BUDGET_BYTES_PER_S 20e9    /* of 64 KiB; or */
#define BUDGET_MEMCPY 0.9
/* A batch that fills the ring would let the two sides take turns instead of working at once. */
#define BATCH_PART 16
#define PILOT_BYTES (UINT64_C(4) << 20)

struct stream_shared {
    uint64_t count; /* records of the next trip; by the parent before it */
    alignas(RBR_LINE) _Atomic uint64_t received; /* ever; by the child */
    struct rbr_ring_shared bare;
};

typedef struct stream {
    struct stream_shared *shared;
    rbr_segment segment;
    rbr_producer producer;
    rbr_consumer consumer;
    uint32_t bytes, batch;
    uint64_t sequence; /* of the next record */
    uint64_t bare_sequence;
    uint64_t bare_slots; /* a power of two */
    uint64_t sum;      /* of the payload's words after the first */
    uint64_t *source, *copy;
} stream;

/* ----------------------------------------------------------------------------------- both sides */

static void
stream_trip(void *context)
{
    stream *all = context;
    rbr_producer producer = all->producer; /* in registers: nobody else uses it meanwhile */
    const uint64_t end = all->sequence + all->shared->count;
    uint32_t in_batch = 0;
    uint64_t sequence;
    rbr_status status;
    void *record;

    for (sequence = all->sequence; sequence < end; sequence++) {
        while ((status = rbr_producer_claim(&producer, &record, all->bytes)) == RBR_AGAIN) {
            rbr_producer_commit(&producer); /* the consumer must see what it shall make room of */
            rbr_os_relax();
        }
        if (status != RBR_OK)
            bench_die(BENCH_EXIT_WRONG, "cannot write a record: status %d", (int)status);
        all->source[0] = sequence;
        bench_copy(record, all->source, all->bytes);
        if (++in_batch == all->batch) {
            rbr_producer_commit(&producer);
            in_batch = 0;
        }
    }
    rbr_producer_commit(&producer);
    all->producer = producer;
    all->sequence = end;
    while (atomic_load_explicit(&all->shared->received, memory_order_acquire) != end)
        rbr_os_relax();
}

static void
check_record(const stream *all, uint64_t sequence, const void *record, uint32_t size)
{
    const uint64_t *words = record;

    if (size == all->bytes && words[0] == sequence &&
        bench_sum(words, size / sizeof *words) == sequence + all->sum)
        return;
    bench_die(BENCH_EXIT_WRONG, "record %llu came as %llu, %u bytes, or torn",
              (unsigned long long)sequence, (unsigned long long)words[0], size);
}

static void
stream_answer(void *context)
{
    stream *all = context;
    rbr_consumer consumer = all->consumer;
    const uint64_t end = all->sequence + all->shared->count;
    uint64_t sequence = all->sequence;
    uint32_t in_batch = 0, size;
    const void *record;
    rbr_status status;

    while (sequence < end) {
        status = rbr_consumer_next(&consumer, &record, &size);
        if (status == RBR_OK) {
            check_record(all, sequence++, record, size);
            if (++in_batch < all->batch)
                continue;
        } else if (status != RBR_AGAIN) {
            bench_die(BENCH_EXIT_WRONG, "cannot read a record: status %d", (int)status);
        }
        if (in_batch > 0)
            rbr_consumer_release(&consumer);
        else
            rbr_os_relax();
        in_batch = 0;
    }
    rbr_consumer_release(&consumer);
    all->consumer = consumer;
    all->sequence = end;
    atomic_store_explicit(&all->shared->received, end, memory_order_release);
}

/* --------------------------------------------------------------------------------- bare slots */

static uint8_t *
bare_slot(const stream *all, uint64_t sequence)
{
    return all->segment.data[1] + (sequence & (all->bare_slots - 1)) * rbr_round_up(all->bytes, 8);
}

static void
bare_trip(void *context)
{
    stream *all = context;
    struct rbr_ring_shared *shared = &all->shared->bare;
    const uint64_t end = all->bare_sequence + all->shared->count;
    uint64_t sequence = all->bare_sequence, seen = sequence, until;

    while (sequence < end) {
        while (sequence - seen == all->bare_slots) {
            seen = atomic_load_explicit(&shared->head, memory_order_acquire);
            rbr_os_relax();
        }
        until = sequence + all->batch < end ? sequence + all->batch : end;
        until = until - seen > all->bare_slots ? seen + all->bare_slots : until;
        for (; sequence < until; sequence++) {
            all->source[0] = sequence;
            bench_copy(bare_slot(all, sequence), all->source, all->bytes);
        }
        atomic_store_explicit(&shared->tail, sequence, memory_order_release);
    }
    all->bare_sequence = end;
    while (atomic_load_explicit(&shared->head, memory_order_acquire) != end)
        rbr_os_relax();
}

static void
bare_answer(void *context)
{
    stream *all = context;
    struct rbr_ring_shared *shared = &all->shared->bare;
    const uint64_t end = all->bare_sequence + all->shared->count;
    uint64_t sequence = all->bare_sequence, seen = sequence, until;

    while (sequence < end) {
        while (seen == sequence) {
            seen = atomic_load_explicit(&shared->tail, memory_order_acquire);
            rbr_os_relax();
        }
        until = seen - sequence > all->batch ? sequence + all->batch : seen;
        for (; sequence < until; sequence++)
            check_record(all, sequence, bare_slot(all, sequence), all->bytes);
        atomic_store_explicit(&shared->head, sequence, memory_order_release);
    }
    all->bare_sequence = end;
}

/* ------------------------------------------------------------------------------------ measuring */

static uint32_t
batch_of(const bench_options *options, uint32_t bytes)
{
    const uint32_t most = options->ring_bytes / BATCH_PART / (bytes + 8);

    return options->batch < most ? options->batch : (most > 0 ? most : 1);
}

static void
stream_open(stream *all, const bench_options *options, uint32_t bytes)
{
    rbr_error error;
    uint32_t i;
    int fd;

    *all = (stream){.bytes = bytes, .batch = batch_of(options, bytes)};
    all->shared = bench_shared_new(sizeof *all->shared);
    all->source = aligned_alloc(64, rbr_round_up(bytes, 64));
    all->copy = aligned_alloc(64, rbr_round_up(bytes, 64));
    if (all->source == NULL || all->copy == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", bytes);
    for (i = 0; i < bytes; i++)
        ((uint8_t *)all->source)[i] = (uint8_t)(i * 37 + 11);
    memset(all->copy, 1, bytes);
    all->sum = bench_sum(all->source, bytes / 8) - all->source[0];
    if (rbr_segment_create(&all->segment, &fd, options->ring_bytes, 1, RBR_MEMORY_AUTO, &error) !=
        RBR_OK)
        bench_die(BENCH_EXIT_MACHINE, "%s", error.text);
    close(fd); /* the child inherits the mapping */
    all->bare_slots = 1;
    while (2 * all->bare_slots * rbr_round_up(bytes, 8) <= options->ring_bytes)
        all->bare_slots *= 2;
    rbr_producer_init(&all->producer, &all->segment.shared->ring[0], all->segment.data[0],
                      options->ring_bytes, 0);
    rbr_consumer_init(&all->consumer, &all->segment.shared->ring[0], all->segment.data[0],
                      options->ring_bytes, 0);
}

static void
stream_close(stream *all)
{
    rbr_segment_detach(&all->segment);
    bench_shared_free(all->shared, sizeof *all->shared);
    free(all->source);
    free(all->copy);
}

static uint64_t
copy_same(stream *all, uint64_t count)
{
    const uint64_t start = rbr_now_ns();
    uint64_t i;

    for (i = 0; i < count; i++) {
        all->source[0] = i;
        bench_copy(all->copy, all->source, all->bytes);
        __asm__ volatile("" ::"r"(all->copy) : "memory"); /* somebody may read it */
    }
    return rbr_now_ns() - start;
}

enum leg { STREAM, BARE, LINE, LEGS };
enum { LINE_WARM = 100, LINE_TRIPS = 2000 };

/* By slice. bare and memcpy: what part of their speed the stream has. */
struct slices {
    double record_ns[BENCH_SLICES * BENCH_RUNS_MAX], bare[BENCH_SLICES * BENCH_RUNS_MAX];
    double memcpy[BENCH_SLICES * BENCH_RUNS_MAX], line_ns[BENCH_SLICES * BENCH_RUNS_MAX];
};

/* Records in a slice, so that stream and bare slots share its duration. */
static uint64_t
slice_records(stream *all, bench_duo *duo, const bench_options *options)
{
    uint64_t pilot_ns;

    if (options->count != 0)
        return options->count / BENCH_SLICES > 0 ? options->count / BENCH_SLICES : 1;
    all->shared->count = PILOT_BYTES / all->bytes + 1;
    pilot_ns = bench_duo_run(duo, STREAM, 1, 1, NULL);
    return all->shared->count * (options->duration_ns / BENCH_SLICES / 2) / (pilot_ns + 1) + 1;
}

static void
report_size(bench_row *row, const stream *all, struct slices *slices, size_t count)
{
    const double median_ns = bench_median(slices->record_ns, count);

    bench_row_set(row, "bytes", all->bytes);
    bench_row_set(row, "batch", all->batch);
    bench_row_set(row, "record_ns", median_ns);
    bench_row_set(row, "best_ns", slices->record_ns[0]); /* bench_median has sorted them */
    bench_row_set(row, "p10_ns", slices->record_ns[count / 10]); /* little other load */
    bench_row_set(row, "worst_ns", slices->record_ns[count - 1]);
    bench_row_set(row, "records", (double)all->sequence);
    bench_row_set(row, "records_per_s", 1e9 / median_ns);
    bench_row_set(row, "bytes_per_s", (double)all->bytes * 1e9 / median_ns);
    bench_row_set(row, "line_ns", bench_median(slices->line_ns, count));
    bench_row_set(row, "bare_ratio", bench_median(slices->bare, count));
    bench_row_set(row, "memcpy_ratio", bench_median(slices->memcpy, count));
    if (all->bytes == BENCH_SMALL)
        bench_row_set(row, "budget_records_per_s", BUDGET_RECORDS_PER_S);
    if (all->bytes == 64 << 10) {
        bench_row_set(row, "budget_bytes_per_s", BUDGET_BYTES_PER_S);
        bench_row_set(row, "budget", BUDGET_MEMCPY);
    }
}

static void
measure_size(const bench_options *options, bench_report *report, uint32_t bytes)
{
    static struct slices slices;
    const size_t slice_count = BENCH_SLICES * options->runs;
    bench_floor_state line;
    bench_leg legs[LEGS];
    bench_duo duo;
    stream all;
    uint64_t count;
    size_t i;

    stream_open(&all, options, bytes);
    legs[STREAM] = (bench_leg){"stream", false, stream_trip, stream_answer, &all};
    legs[BARE] = (bench_leg){"bare slots", false, bare_trip, bare_answer, &all};
    bench_floor_leg(&legs[LINE], &line, "own cache lines", BENCH_OWN_LINE, false);
    bench_duo_start(&duo, legs, options->cpus, NULL, NULL, NULL);
    count = slice_records(&all, &duo, options);
    for (i = 0; i < slice_count; i++) {
        double bare_ns, record_ns;

        all.shared->count = count;
        record_ns = (double)bench_duo_run(&duo, STREAM, 0, 1, NULL) / (double)count;
        bare_ns = (double)bench_duo_run(&duo, BARE, 0, 1, NULL) / (double)count;
        slices.record_ns[i] = record_ns;
        slices.bare[i] = bare_ns / record_ns;
        slices.memcpy[i] = (double)copy_same(&all, count) / (double)count / record_ns;
        slices.line_ns[i] = (double)bench_duo_run(&duo, LINE, LINE_WARM, LINE_TRIPS, NULL) /
                            LINE_TRIPS;
    }
    bench_duo_end(&duo);
    report_size(bench_report_row(report, "stream"), &all, &slices, slice_count);
    bench_floor_close(&line);
    stream_close(&all);
}

int
bench_stream(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"bytes", "bytes", 1, 0},
        {"batch", "batch", 1, 0},
        {"record_ns", "ns/record", 1, 2},
        {"best_ns", "best", 1, 2},
        {"worst_ns", "worst", 1, 2},
        {"records_per_s", "M/s", 1e6, 3},
        {"budget_records_per_s", "budget", 1e6, 0},
        {"bytes_per_s", "GB/s", 1e9, 2},
        {"budget_bytes_per_s", "budget", 1e9, 0},
        {"bare_ratio", "/ bare", 1, 2},
        {"memcpy_ratio", "/ memcpy", 1, 2},
        {"budget", "or", 1, 2},
        {"line_ns", "line us", 1e3, 3},
    };
    char what[64];
    size_t i;

    for (i = 0; i < options->size_count; i++) {
        snprintf(what, sizeof what, "%llu bytes in batches of %u",
                 (unsigned long long)options->sizes[i], options->batch);
        bench_report_progress(report, what);
        measure_size(options, report, (uint32_t)options->sizes[i]);
    }
    bench_report_print(report, columns, sizeof columns / sizeof columns[0]);
    return 0;
}
