/* SPDX-License-Identifier: MIT */
/*
 * stream.c - one way: records in batches, every byte read in place by the consumer.
 *
 *   parent                                     child
 *   claim, copy the payload in; x batch        next, add up all words, compare; x batch
 *   commit                             --->    release
 *   waits for the last                 <---    received = count
 *
 * Each record begins with its number, and the sum of its words is known: what is lost, duplicated, out
 * of order or torn is counted.
 *
 * Four things take turns with the stream, slice by slice: the same payloads through bare slots and
 * two counters (no records: what the two CPUs can do at best), reading alone what the other CPU has
 * written (how fast lines cross), the cache-line ping-pong (how far the two CPUs are apart just now;
 * a hypervisor moves them), and memcpy of the same size.
 */
#include "floor_legs.h"
#include "measure.h"
#include "payload.h"
#include "process.h"
#include "progress.h"
#include "report.h"
#include "rings.h"
#include "sequence.h"
#include "slots.h"

#include "base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET_RECORDS_PER_S 100e6 /* of 64 bytes */
#define BUDGET_BYTES_PER_S 20e9    /* of 64 KiB; or */
#define BUDGET_MEMCPY 0.9
/* A batch that fills the ring would let the two sides take turns instead of working at once. */
#define BATCH_PART 16
#define PILOT_BYTES (UINT64_C(4) << 20)

struct stream_shared {
    uint64_t count; /* records of the next trip; by the first side before it */
    _Atomic uint64_t sent; /* by the first side */
    alignas(
        RBR_LINE) _Atomic uint64_t received; /* the next number that is due; by the other side */
    bench_sequence sequence;                     /* what became of them; by the other side */
};

typedef struct stream {
    struct stream_shared *shared;
    bench_rings rings;
    bench_slots bare, crossing;
    bool one_cpu;
    uint32_t bytes, batch;
    uint64_t sequence; /* of the next record to send */
    uint64_t sum;        /* of the payload's words after the first */
    uint64_t *source, *copy;
} stream;

/* ----------------------------------------------------------------------------------- both sides */

static void
commit(bench_end *end, rbr_producer *producer)
{
    rbr_producer_commit(producer);
    if (bench_end_may_sleep(end))
        rbr_wake_peer(&end->wake, RBR_WAKE_DATA);
}

static void
stream_trip(void *context)
{
    stream *all = context;
    bench_end *to = &all->rings.ends[BENCH_HERE];
    rbr_producer producer = to->producer; /* in registers: nobody else uses it meanwhile */
    const uint64_t end = all->sequence + all->shared->count;
    uint32_t in_batch = 0;
    uint64_t sequence;
    void *record;

    for (sequence = all->sequence; sequence < end; sequence++) {
        if (rbr_producer_claim(&producer, &record, all->bytes) != RBR_OK) {
            to->producer = producer;
            record = bench_end_claim(to, all->bytes);
            producer = to->producer;
        }
        bench_copy_numbered(record, all->source, all->bytes, sequence);
        if (++in_batch == all->batch) {
            commit(to, &producer);
            in_batch = 0;
        }
    }
    commit(to, &producer);
    to->producer = producer;
    all->sequence = end;
    atomic_store_explicit(&all->shared->sent, end, memory_order_release);
    while (atomic_load_explicit(&all->shared->received, memory_order_acquire) < end)
        bench_pause(all->one_cpu);
}

static bool
is_whole(const stream *all, const uint64_t *words, uint32_t size)
{
    return size == all->bytes && bench_sum(words, size) == words[0] + all->sum;
}

/* Not what was due; the number that is due now. */
static uint64_t
take_wrong(const stream *all, uint64_t due, const uint64_t *words, uint32_t size)
{
    bench_sequence *sequence = &all->shared->sequence;

    sequence->received += due - sequence->next; /* those that came as they should */
    sequence->next = due;
    if (is_whole(all, words, size))
        bench_sequence_take(sequence, words[0]);
    else
        bench_sequence_corrupt(sequence);
    return sequence->next;
}

/* Nothing more comes; the number that is due now. */
static uint64_t
miss_rest(const stream *all, uint64_t due, uint64_t end)
{
    bench_sequence *sequence = &all->shared->sequence;

    sequence->received += due - sequence->next;
    sequence->next = due;
    bench_sequence_end(sequence, end);
    return end;
}

static void
release(bench_end *end, rbr_consumer *consumer)
{
    rbr_consumer_release(consumer);
    if (bench_end_may_sleep(end))
        rbr_wake_peer(&end->wake, RBR_WAKE_ROOM);
}

static void
stream_answer(void *context)
{
    stream *all = context;
    bench_end *from = &all->rings.ends[BENCH_THERE];
    rbr_consumer consumer = from->consumer;
    const uint64_t end = all->sequence + all->shared->count;
    uint64_t due = all->sequence;
    uint32_t in_batch = 0, size;
    const void *record;

    while (due < end) {
        if (rbr_consumer_next(&consumer, &record, &size) != RBR_OK) {
            from->consumer = consumer;
            record = bench_end_next_of(from, &size, &all->shared->sent, end);
            consumer = from->consumer;
            in_batch = 0;
            if (record == NULL) {
                due = miss_rest(all, due, end);
                break;
            }
        }
        if (*(const uint64_t *)record == due && is_whole(all, record, size))
            due++;
        else
            due = take_wrong(all, due, record, size);
        if (++in_batch < all->batch)
            continue;
        release(from, &consumer);
        in_batch = 0;
    }
    release(from, &consumer);
    from->consumer = consumer;
    all->sequence = end;
    all->shared->sequence.received += due - all->shared->sequence.next;
    all->shared->sequence.next = due;
    atomic_store_explicit(&all->shared->received, due, memory_order_release);
}

static void
stream_count(const void *context, bench_counts *out)
{
    const stream *all = context;

    bench_end_count(&all->rings.ends[BENCH_HERE], out);
    bench_end_count(&all->rings.ends[BENCH_THERE], out);
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
    *all = (stream){.bytes = bytes,
                    .batch = batch_of(options, bytes),
                    .one_cpu = options->cpus[0] == options->cpus[1]};
    all->shared = bench_shared_new(sizeof *all->shared);
    all->source = aligned_alloc(64, rbr_round_up(bytes, 64));
    all->copy = aligned_alloc(64, rbr_round_up(bytes, 64));
    if (all->source == NULL || all->copy == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", bytes);
    bench_fill(all->source, bytes);
    memset(all->copy, 1, bytes);
    all->sum = bench_sum(all->source, bytes) - all->source[0];
    bench_sequence_begin(&all->shared->sequence, 0);
    bench_rings_open(&all->rings, options->ring_bytes, options->wait, 0);
    bench_slots_open(&all->bare, all->rings.segment.data[1], options->ring_bytes, bytes, all->batch,
                     all->source, all->one_cpu);
    bench_slots_open(&all->crossing, all->rings.segment.data[1], options->ring_bytes, bytes,
                     all->batch, all->source, all->one_cpu);
}

static void
stream_close(stream *all)
{
    bench_slots_close(&all->bare);
    bench_slots_close(&all->crossing);
    bench_rings_close(&all->rings);
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
        bench_copy_numbered(all->copy, all->source, all->bytes, i);
        __asm__ volatile("" ::"r"(all->copy) : "memory"); /* somebody may read it */
    }
    return rbr_now_ns() - start;
}

enum leg { STREAM, BARE, CROSSING, LINE, LEGS };
enum { LINE_WARM = 100, LINE_TRIPS = 2000, CROSSING_TRIPS = 32, SYSCALL_RECORDS = 10000 };

/* By slice: nanoseconds of a record; of the line, of a round trip. */
struct slices {
    double ns[LEGS][BENCH_SLICES * BENCH_RUNS_MAX];
    double memcpy_ns[BENCH_SLICES * BENCH_RUNS_MAX];
    size_t count;
    bench_counts counts[BENCH_SIDES];
    double syscalls[BENCH_SIDES];
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

/* Nanoseconds of a payload, of its reading alone. */
static double
crossing_ns(stream *all, bench_duo *duo)
{
    all->crossing.read_ns = all->crossing.reads = 0;
    bench_duo_run(duo, CROSSING, 1, CROSSING_TRIPS, NULL);
    return (double)all->crossing.read_ns / (double)all->crossing.reads;
}

static void
measure_slices(stream *all, bench_duo *duo, const bench_options *options, struct slices *out)
{
    uint64_t count = slice_records(all, duo, options);
    int side;

    memset(out, 0, sizeof *out);
    for (; out->count < BENCH_SLICES * options->runs; out->count++) {
        const size_t i = out->count;

        bench_progress(options, "%u bytes in batches of %u, slice %zu of %u", all->bytes,
                       all->batch, i + 1, BENCH_SLICES * options->runs);
        all->shared->count = count;
        bench_slots_trips(&all->bare, count);
        out->ns[STREAM][i] = (double)bench_duo_run(duo, STREAM, 0, 1, NULL) / (double)count;
        for (side = 0; side < BENCH_SIDES; side++)
            bench_counts_add(&out->counts[side], &duo->counts[side]);
        out->ns[BARE][i] = (double)bench_duo_run(duo, BARE, 0, 1, NULL) / (double)count;
        out->ns[CROSSING][i] = crossing_ns(all, duo);
        out->memcpy_ns[i] = (double)copy_same(all, count) / (double)count;
        out->ns[LINE][i] = (double)bench_duo_run(duo, LINE, LINE_WARM, LINE_TRIPS, NULL) /
                           LINE_TRIPS;
    }
    all->shared->count = SYSCALL_RECORDS;
    if (!bench_duo_syscalls(duo, STREAM, 1, out->syscalls))
        out->syscalls[BENCH_HERE] = out->syscalls[BENCH_THERE] = NAN;
}

/* What part of the other's speed the first has: the median over neighbours. */
static double
speed_ratio(const double *ns, const double *other_ns, size_t count)
{
    double values[BENCH_SLICES * BENCH_RUNS_MAX];
    size_t i;

    for (i = 0; i < count; i++)
        values[i] = other_ns[i] / ns[i];
    return bench_median(values, count);
}

static bench_row *
report_speed(bench_report *report, const char *kind, const char *name, uint32_t bytes,
             const double *ns, size_t count)
{
    bench_row *row = bench_report_row(report, kind, name);
    double values[BENCH_SLICES * BENCH_RUNS_MAX], median_ns;

    memcpy(values, ns, count * sizeof values[0]);
    median_ns = bench_median(values, count);
    bench_row_set(row, "bytes", bytes);
    bench_row_set(row, "trip_ns", median_ns);
    bench_row_set(row, "best_ns", values[0]); /* bench_median has sorted them */
    bench_row_set(row, "p10_ns", values[count / 10]); /* little other load */
    bench_row_set(row, "worst_ns", values[count - 1]);
    bench_row_set(row, "messages_per_s", 1e9 / median_ns);
    bench_row_set(row, "bytes_per_s", bytes * 1e9 / median_ns);
    return row;
}

static void
report_stream(bench_report *report, const stream *all, const struct slices *slices)
{
    bench_row *row = report_speed(report, "one way", "stream", all->bytes, slices->ns[STREAM],
                                  slices->count);
    const bench_sequence *sequence = &all->shared->sequence;

    bench_row_set(row, "batch", all->batch);
    bench_row_set(row, "samples", (double)sequence->received);
    bench_row_set(row, "line_ns", bench_median((double *)slices->ns[LINE], slices->count));
    bench_row_counts(row, slices->counts, (double)sequence->received);
    bench_row_set(row, "syscalls",
                  (slices->syscalls[BENCH_HERE] + slices->syscalls[BENCH_THERE]) / SYSCALL_RECORDS);
    bench_row_sequence(row, sequence);
    row->floor = "bare slots";
    bench_row_set(row, "bare_ratio",
                  speed_ratio(slices->ns[STREAM], slices->ns[BARE], slices->count));
    bench_row_set(row, "crossing_ratio",
                  speed_ratio(slices->ns[STREAM], slices->ns[CROSSING], slices->count));
    bench_row_set(row, "memcpy_ratio",
                  speed_ratio(slices->ns[STREAM], slices->memcpy_ns, slices->count));
    if (all->bytes == BENCH_SMALL)
        bench_row_set(row, "budget_messages_per_s", BUDGET_RECORDS_PER_S);
    if (all->bytes == 64 << 10) {
        bench_row_set(row, "budget_bytes_per_s", BUDGET_BYTES_PER_S);
        bench_row_set(row, "budget_memcpy_ratio", BUDGET_MEMCPY);
    }
}

static void
measure_size(const bench_options *options, bench_report *report, uint32_t bytes)
{
    static struct slices slices;
    bench_floor_state line;
    bench_leg legs[LEGS];
    bench_duo duo;
    stream all;

    stream_open(&all, options, bytes);
    legs[STREAM] = (bench_leg){.name = "stream",
                               .trip = stream_trip,
                               .answer = stream_answer,
                               .count = stream_count,
                               .context = &all,
                               .context_bytes = sizeof all};
    bench_slots_stream_leg(&legs[BARE], &all.bare);
    bench_slots_crossing_leg(&legs[CROSSING], &all.crossing);
    bench_floor_leg(&legs[LINE], &line, "own cache lines",
                    all.one_cpu ? BENCH_YIELD_LINE : BENCH_OWN_LINE, false);
    bench_duo_start(&duo, legs, LEGS, options, NULL);
    measure_slices(&all, &duo, options, &slices);
    bench_duo_end(&duo);
    bench_sequence_end(&all.shared->sequence, all.sequence);
    report_stream(report, &all, &slices);
    report_speed(report, "floor", "bare slots", bytes, slices.ns[BARE], slices.count);
    report_speed(report, "floor", "crossing", bytes, slices.ns[CROSSING], slices.count);
    report_speed(report, "floor", "memcpy", bytes, slices.memcpy_ns, slices.count);
    bench_floor_close(&line);
    stream_close(&all);
}

void
bench_stream(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"bytes", "bytes"},           {"trip_ns", "record"},
        {"best_ns", "best"},          {"worst_ns", "worst"},
        {"messages_per_s", "rate"},   {"budget_messages_per_s", "budget"},
        {"bytes_per_s", "speed"},     {"budget_bytes_per_s", "budget"},
        {"bare_ratio", "/ bare"},     {"crossing_ratio", "/ crossing"},
        {"memcpy_ratio", "/ memcpy"}, {"budget_memcpy_ratio", "or"},
        {"line_ns", "line"},
    };
    size_t i;

    for (i = 0; i < options->size_count; i++)
        measure_size(options, report, (uint32_t)options->sizes[i]);
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
