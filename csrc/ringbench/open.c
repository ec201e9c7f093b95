/* SPDX-License-Identifier: MIT */
/*
 * open.c - messages at a fixed rate, one way, whether the other side keeps up or not.
 *
 *   here    at each tick: `burst` records, each with the time at which it SHOULD be sent
 *   there   arrival - intended time (the latency), arrival - time really sent (the service)
 *
 * A sender that waits for the receiver sends late, and who then measures from the late sending leaves
 * out the waiting: coordinated omission (G. Tene). So the latency counts from the schedule; the row
 * "from the sending" stands beside it to show what would have been left out.
 *
 * Both sides read one clock, CLOCK_MONOTONIC, which is the same on all CPUs. The floor is half a round
 * trip of the machine, in turn with it, slice by slice.
 */
#include "floor_legs.h"
#include "measure.h"
#include "payload.h"
#include "process.h"
#include "progress.h"
#include "report.h"
#include "rings.h"
#include "sequence.h"
#include "trace.h"

#include "base.h"

#include <string.h>

enum leg { OPEN, FLOOR, LEGS };
enum { SLICES = 20, WARM = 20 };

struct record {
    uint64_t number, intended_ns, sent_ns;
};

struct open_shared {
    uint64_t count;
    _Atomic uint64_t sent; /* by the first side */
    _Atomic uint64_t received;
    bench_sequence sequence;
    bench_histogram latency, service;
};

typedef struct open_state {
    struct open_shared *shared;
    bench_rings rings;
    const bench_options *options;
    uint32_t bytes;
    uint64_t sequence;
    uint64_t late_sends; /* more than one tick behind the schedule */
    uint64_t busy_ns;    /* of all trips */
    uint8_t *payload;
} open_state;

/* ----------------------------------------------------------------------------------- both sides */

static void
wait_until(const open_state *state, uint64_t ns)
{
    while (rbr_now_ns() < ns)
        bench_pause(state->options->cpus[0] == state->options->cpus[1]);
}

static void
send_record(open_state *state, bench_end *to, uint64_t intended_ns)
{
    struct record head = {state->sequence, intended_ns, rbr_now_ns()};
    uint8_t *record;

    bench_trace(BENCH_EVENT_SEND, state->sequence);
    record = bench_end_claim(to, state->bytes);
    memcpy(record, &head, sizeof head);
    memcpy(record + sizeof head, state->payload, state->bytes - sizeof head);
    bench_end_commit(to);
    bench_trace(BENCH_EVENT_SENT, state->sequence++);
}

static void
open_trip(void *context)
{
    open_state *state = context;
    bench_end *to = &state->rings.ends[BENCH_HERE];
    const double tick_ns = 1e9 * state->options->burst / state->options->rate;
    const uint64_t start = rbr_now_ns(), end = state->sequence + state->shared->count;
    uint64_t tick;

    for (tick = 0; state->sequence < end; tick++) {
        const uint64_t intended = start + (uint64_t)(tick_ns * (double)tick);
        uint32_t i;

        wait_until(state, intended);
        if ((double)(rbr_now_ns() - intended) > tick_ns)
            state->late_sends++;
        for (i = 0; i < state->options->burst && state->sequence < end; i++)
            send_record(state, to, intended);
    }
    atomic_store_explicit(&state->shared->sent, end, memory_order_release);
    while (atomic_load_explicit(&state->shared->received, memory_order_acquire) < end)
        wait_until(state, rbr_now_ns() + 1000);
    state->busy_ns += rbr_now_ns() - start;
}

static void
check_limit(const open_state *state, uint64_t number, uint64_t ns)
{
    char why[96];

    if (state->options->break_above_ns == 0 || ns <= state->options->break_above_ns)
        return;
    snprintf(why, sizeof why, "record %llu took %.1f us", (unsigned long long)number,
             (double)ns / 1e3);
    bench_trace_dump(why);
    bench_die(BENCH_EXIT_LIMIT, "stopped by --break-above");
}

static void
open_answer(void *context)
{
    open_state *state = context;
    struct open_shared *shared = state->shared;
    bench_end *from = &state->rings.ends[BENCH_THERE];
    const uint64_t end = shared->sequence.next + shared->count;

    while (shared->sequence.next < end) {
        uint32_t size;
        const uint8_t *record = bench_end_next_of(from, &size, &shared->sent, end);
        const uint64_t now = rbr_now_ns();
        struct record head;

        if (record == NULL) {
            bench_sequence_end(&shared->sequence, end);
            break;
        }
        memcpy(&head, record, sizeof head);
        if (size == state->bytes &&
            memcmp(record + sizeof head, state->payload, size - sizeof head) == 0) {
            bench_trace(BENCH_EVENT_GOT, head.number);
            bench_sequence_take(&shared->sequence, head.number);
            bench_histogram_record(&shared->latency, now - head.intended_ns);
            bench_histogram_record(&shared->service, now - head.sent_ns);
            check_limit(state, head.number, now - head.intended_ns);
        } else {
            bench_sequence_corrupt(&shared->sequence);
        }
        bench_end_release(from);
    }
    atomic_store_explicit(&shared->received, end, memory_order_release);
}

static void
open_count(const void *context, bench_counts *out)
{
    const open_state *state = context;

    bench_end_count(&state->rings.ends[BENCH_HERE], out);
    bench_end_count(&state->rings.ends[BENCH_THERE], out);
}

/* ------------------------------------------------------------------------------------ measuring */

static uint64_t
slice_records(const bench_options *options)
{
    const double seconds = (double)options->duration_ns / 1e9 / SLICES;
    const uint64_t count = options->count != 0 ? options->count / SLICES
                                               : (uint64_t)(options->rate * seconds);

    return count > options->burst ? count : options->burst;
}

struct seen {
    bench_histogram floor, floor_one_way;
    bench_counts counts[BENCH_SIDES];
};

static void
measure_slices(open_state *state, bench_duo *duo, struct seen *seen)
{
    const bench_options *options = state->options;
    uint32_t slice, side;

    state->shared->count = slice_records(options);
    for (slice = 0; slice < SLICES * options->runs; slice++) {
        bench_progress(options, "%u bytes, %.0f a second, slice %u of %u", state->bytes,
                       options->rate, slice + 1, SLICES * options->runs);
        bench_duo_run(duo, OPEN, 0, 1, NULL);
        for (side = 0; side < BENCH_SIDES; side++)
            bench_counts_add(&seen->counts[side], &duo->counts[side]);
        bench_duo_run(duo, FLOOR, WARM, options->wait == BENCH_WAIT_BLOCK ? 100 : 2000,
                      &seen->floor);
    }
}

/* A round trip is two ways. */
static void
halve(bench_histogram *to, const bench_histogram *from)
{
    size_t bucket;

    bench_histogram_clear(to);
    for (bucket = 0; bucket < BENCH_BUCKETS; bucket++)
        if (from->counts[bucket] != 0)
            bench_histogram_record_many(to, bench_histogram_bucket_top(bucket) / 2,
                                        from->counts[bucket]);
}

static void
report_size(bench_report *report, const open_state *state, struct seen *seen, const char *floor)
{
    const struct open_shared *shared = state->shared;
    const bench_options *options = report->options;
    char name[48];
    bench_row *row;

    snprintf(name, sizeof name, "half of %s", floor);
    halve(&seen->floor_one_way, &seen->floor);
    row = bench_report_row(report, "floor", name);
    bench_row_histogram(row, &seen->floor_one_way, options);
    floor = row->name;

    row = bench_report_row(report, "open", "from the schedule");
    bench_row_set(row, "bytes", state->bytes);
    bench_row_histogram(row, &shared->latency, options);
    bench_row_ratio(row, floor,
                    (double)bench_histogram_percentile(&shared->latency, 50) /
                        (double)bench_histogram_percentile(&seen->floor_one_way, 50),
                    0);
    bench_row_set(row, "wanted_per_s", options->rate);
    bench_row_set(row, "messages_per_s",
                  (double)shared->sequence.received * 1e9 / (double)state->busy_ns);
    bench_row_set(row, "late_sends", (double)state->late_sends);
    bench_row_counts(row, seen->counts, (double)shared->sequence.received);
    bench_row_sequence(row, &shared->sequence);

    row = bench_report_row(report, "open", "from the sending");
    bench_row_set(row, "bytes", state->bytes);
    bench_row_histogram(row, &shared->service, options);
    bench_row_ratio(row, floor,
                    (double)bench_histogram_percentile(&shared->service, 50) /
                        (double)bench_histogram_percentile(&seen->floor_one_way, 50),
                    0);
}

static void
measure_size(const bench_options *options, bench_report *report, uint32_t bytes)
{
    static uint8_t payload[RBR_RING_BYTES_MAX / 4];
    static struct seen seen;
    open_state state = {.options = options, .bytes = bytes, .payload = payload};
    bench_floor_state floor;
    bench_leg legs[LEGS];
    bench_duo duo;

    memset(&seen, 0, sizeof seen);
    bench_fill(payload, bytes);
    state.shared = bench_shared_new(sizeof *state.shared);
    bench_sequence_begin(&state.shared->sequence, 0);
    bench_rings_open(&state.rings, options->ring_bytes, options->wait, 0);
    legs[OPEN] = (bench_leg){.name = "open",
                             .kind = "open",
                             .trip = open_trip,
                             .answer = open_answer,
                             .count = open_count,
                             .context = &state,
                             .context_bytes = sizeof state};
    bench_floor_of_wait(&legs[FLOOR], &floor, options);
    bench_duo_start(&duo, legs, LEGS, options, NULL);
    measure_slices(&state, &duo, &seen);
    bench_duo_end(&duo);
    bench_sequence_end(&state.shared->sequence, state.sequence);
    report_size(report, &state, &seen, legs[FLOOR].name);
    bench_floor_close(&floor);
    bench_rings_close(&state.rings);
    bench_shared_free(state.shared, sizeof *state.shared);
}

void
bench_open(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"bytes", "bytes"},         {"min_ns", "min"},           BENCH_PERCENTILE_COLUMNS,
        {"max_ns", "max"},          {"mean_ns", "mean"},         {"wanted_per_s", "wanted"},
        {"messages_per_s", "rate"}, {"late_sends", "sent late"}, {"ratio", "ratio"},
    };
    size_t i;

    for (i = 0; i < options->size_count; i++) {
        if (options->sizes[i] < sizeof(struct record))
            bench_die(BENCH_EXIT_USAGE,
                      "open: a record has its number and two times: sizes from %zu "
                      "bytes on are allowed",
                      sizeof(struct record));
        measure_size(options, report, (uint32_t)options->sizes[i]);
    }
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
