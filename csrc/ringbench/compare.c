/* SPDX-License-Identifier: MIT */
/*
 * compare.c - the same exchange through ringbridge and through its peers, slice by slice in turn.
 *
 *   for each size   all pairs start; round trips, A B C A B C; one way, A B C A B C; all end
 *
 * Every peer has two processes of its own (pair.c), pinned to the same two CPUs, and carries messages
 * that are written once and read once (crossing.c), with the same room for what is under way. A peer
 * that fails or hangs gives a row with an error, and the others go on.
 */
#include "option_values.h"
#include "pair.h"
#include "process.h"
#include "progress.h"
#include "report.h"

#include "wake.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A batch that fills the room would let the two sides take turns instead of working at once. */
#define BATCH_PART 16
/* A record takes a quarter of the ring at the most. */
#define ROOM_MESSAGES 4
#define SIZE_MOST (UINT64_C(128) << 20)

enum { PAIRS = BENCH_PEERS + 1, OURS = 0, TRIES = 3 }; /* the floor is the last */

static const char *const kind_names[BENCH_CROSSINGS] = {"round trip", "one way"};

typedef struct comparison {
    const bench_options *options;
    bench_report *report;
    bench_pair pairs[PAIRS];
    size_t count;
    bool chosen[BENCH_PEERS];
    char missing[BENCH_PEERS][256]; /* "": it is here */
} comparison;

static uint32_t
room_for(const bench_options *options, uint32_t bytes)
{
    uint32_t room = options->ring_bytes;

    while (room / ROOM_MESSAGES < bytes + 1024)
        room *= 2;
    return room;
}

static uint32_t
batch_for(const bench_options *options, uint32_t room, uint32_t bytes)
{
    const uint32_t most = room / BATCH_PART / (bytes + 8);

    return options->batch < most ? options->batch : (most > 0 ? most : 1);
}

/* ----------------------------------------------------------------------------------- measuring */

static void
start_pairs(comparison *all, uint32_t bytes)
{
    const bench_options *options = all->options;
    size_t peer;

    all->count = 0;
    for (peer = 0; peer <= BENCH_PEERS; peer++) {
        const bool is_floor = peer == BENCH_PEERS;
        bench_pair *pair = &all->pairs[all->count];

        if (!is_floor && (!all->chosen[peer] || all->missing[peer][0] != '\0'))
            continue;
        memset(pair, 0, sizeof *pair);
        pair->room_bytes = room_for(options, bytes);
        pair->batch = batch_for(options, pair->room_bytes, bytes);
        bench_pair_start(pair, is_floor ? NULL : &bench_peers[peer], bytes, options);
        all->count++;
    }
    for (peer = 0; peer < all->count; peer++) /* who still starts would disturb the first tries */
        bench_pair_ready(&all->pairs[peer]);
}

/* The best of several: what displaced one of them says nothing of the slices to come. */
static void
try_pair(bench_pair *pair, enum bench_crossing_kind kind)
{
    bench_plan *plan = bench_pair_plan(pair, kind);
    double best_ns = INFINITY;
    int attempt;

    for (attempt = 0; attempt < TRIES; attempt++) {
        bench_pair_try(pair, kind);
        best_ns = plan->trip_ns < best_ns ? plan->trip_ns : best_ns;
    }
    plan->trip_ns = best_ns;
}

/* The others have something to be compared with, or there is nothing to be said. */
static void
demand_ours(const comparison *all)
{
    const bench_pair *ours = &all->pairs[OURS], *floor = &all->pairs[all->count - 1];

    if (ours->error[0] != '\0')
        bench_die(BENCH_EXIT_WRONG, "ringbridge with %u bytes: %s", ours->bytes, ours->error);
    if (floor->error[0] != '\0')
        bench_die(BENCH_EXIT_MACHINE, "the floor: %s", floor->error);
}

static void
measure_kind(comparison *all, enum bench_crossing_kind kind)
{
    const bench_options *options = all->options;
    uint32_t run, slice, slices;
    bench_plan plans[PAIRS];
    size_t i, tried = 0;

    for (i = 0; i < all->count; i++) {
        bench_progress(options, "%s, %s, a first try", kind_names[kind], all->pairs[i].name);
        try_pair(&all->pairs[i], kind);
        if (all->pairs[i].error[0] == '\0')
            plans[tried++] = *bench_pair_plan(&all->pairs[i], kind);
    }
    demand_ours(all);
    slices = bench_measure_plan(plans, tried, options);
    for (i = 0, tried = 0; i < all->count; i++) /* those that failed have none */
        if (all->pairs[i].error[0] == '\0')
            *bench_pair_plan(&all->pairs[i], kind) = plans[tried++];
    for (run = 0; run < options->runs; run++)
        for (slice = 0; slice < slices; slice++)
            for (i = 0; i < all->count; i++) {
                bench_pair *pair = &all->pairs[i];

                bench_progress(options, "%u bytes, %s, %s, run %u of %u, slice %u of %u",
                               pair->bytes, kind_names[kind], pair->name, run + 1, options->runs,
                               slice + 1, slices);
                bench_pair_slice(pair, kind);
            }
    for (i = 0; i < all->count; i++)
        bench_pair_syscalls(&all->pairs[i], kind);
}

/* ----------------------------------------------------------------------------------- reporting */

/* Of one way there are only slices. */
static void
report_speed(bench_row *row, const bench_measure *measure, const bench_pair *pair)
{
    double values[BENCH_SLICES * BENCH_RUNS_MAX], median_ns;

    memcpy(values, measure->slice_ns, measure->slices * sizeof values[0]);
    median_ns = bench_median(values, measure->slices);
    bench_row_set(row, "trip_ns", median_ns);
    bench_row_set(row, "best_ns", values[0]); /* bench_median has sorted them */
    bench_row_set(row, "worst_ns", values[measure->slices - 1]);
    bench_row_set(row, "samples", (double)measure->trips);
    bench_row_set(row, "messages_per_s", 1e9 / median_ns);
    bench_row_set(row, "bytes_per_s", pair->bytes * 1e9 / median_ns);
    bench_row_counts(row, measure->counts, (double)measure->trips);
    bench_row_set(row, "syscalls", measure->syscalls[BENCH_HERE] + measure->syscalls[BENCH_THERE]);
}

static bench_row *
report_pair(comparison *all, const bench_pair *pair, enum bench_crossing_kind kind)
{
    const bench_measure *measure = bench_pair_measure(pair, kind);
    const bench_pair *floor = &all->pairs[all->count - 1];
    const bool is_floor = pair == floor;
    bench_row *row = bench_report_row(all->report, is_floor ? "floor" : kind_names[kind],
                                      is_floor ? bench_pair_floor_name(pair, kind) : pair->name);
    bench_sequence sequence;

    bench_row_set(row, "bytes", pair->bytes);
    if (!bench_pair_has(pair, kind) || kind == BENCH_ONE_WAY)
        snprintf(row->error, sizeof row->error, "%s", pair->error);
    if (!bench_pair_has(pair, kind))
        return row;
    if (kind == BENCH_ROUND_TRIP)
        bench_row_measure(row, measure, all->options, 1);
    else
        report_speed(row, measure, pair);
    if (is_floor)
        return row;
    if (kind == BENCH_ONE_WAY)
        bench_row_set(row, "batch", bench_pair_batch(pair));
    bench_row_set(row, "room_bytes", pair->room_bytes);
    bench_pair_sequence(pair, kind, &sequence);
    bench_row_sequence(row, &sequence);
    bench_row_ratio(row, bench_pair_floor_name(floor, kind),
                    bench_measure_ratio(measure, bench_pair_measure(floor, kind)), 0);
    bench_row_set(row, "ours_ratio",
                  bench_measure_ratio(measure, bench_pair_measure(&all->pairs[OURS], kind)));
    return row;
}

/* What ringbridge is not ahead of is said in its own row, so that --fail-above can see it. */
static void
report_kind(comparison *all, enum bench_crossing_kind kind)
{
    bench_row *ours = NULL;
    uint32_t behind = 0;
    size_t i;

    for (i = 0; i < all->count; i++) {
        const bench_row *row = report_pair(all, &all->pairs[i], kind);
        const double *ratio = bench_row_get(row, "ours_ratio");

        if (i == OURS)
            ours = (bench_row *)row;
        else if (ratio != NULL && !(*ratio > 1))
            behind++;
    }
    bench_row_set(ours, "behind", behind);
}

static uint64_t
switches_of_children(void)
{
    struct rusage usage;

    getrusage(RUSAGE_CHILDREN, &usage);
    return (uint64_t)usage.ru_nivcsw;
}

/* A library's own threads displace its sides, and so does a tracer: that is no noise. What is, shows in
 * the slices of ringbridge and of the floor, which have two parts of the time. */
static void
excuse_switches(const comparison *all, uint64_t before)
{
    const bench_pair *quiet[] = {&all->pairs[OURS], &all->pairs[all->count - 1]};
    const uint64_t all_switches = switches_of_children() - before;
    uint64_t noise = 0;
    size_t pair;
    int kind, side;

    for (pair = 0; pair < 2; pair++)
        for (kind = 0; kind < BENCH_CROSSINGS; kind++)
            for (side = 0; side < BENCH_SIDES; side++)
                noise += bench_pair_measure(quiet[pair], (enum bench_crossing_kind)kind)
                             ->counts[side]
                             .involuntary_switches;
    noise = all->options->cpus[0] == all->options->cpus[1] ? 0 : noise * all->count / 2;
    bench_run_excuse(all_switches > noise ? all_switches - noise : 0);
}

static void
measure_size(comparison *all, uint32_t bytes)
{
    const uint64_t switches = switches_of_children();
    size_t i;

    start_pairs(all, bytes);
    measure_kind(all, BENCH_ROUND_TRIP);
    measure_kind(all, BENCH_ONE_WAY);
    for (i = 0; i < all->count; i++)
        bench_pair_end(&all->pairs[i]);
    demand_ours(all);
    excuse_switches(all, switches);
    report_kind(all, BENCH_ROUND_TRIP);
    report_kind(all, BENCH_ONE_WAY);
    for (i = 0; i < all->count; i++)
        bench_pair_free(&all->pairs[i]);
}

/* ------------------------------------------------------------------------------------ the mode */

static void
report_missing(const comparison *all)
{
    size_t i;

    for (i = 0; i < BENCH_PEERS; i++) {
        bench_row *row;

        if (!all->chosen[i] || all->missing[i][0] == '\0')
            continue;
        row = bench_report_row(all->report, kind_names[BENCH_ROUND_TRIP], bench_peers[i].name);
        snprintf(row->error, sizeof row->error, "%.*s", (int)sizeof row->error - 1,
                 all->missing[i]);
    }
}

static void
check_sizes(const bench_options *options)
{
    char given[32];
    size_t i;

    for (i = 0; i < options->size_count; i++) {
        if (options->sizes[i] <= SIZE_MOST)
            continue;
        snprintf(given, sizeof given, "%llu", (unsigned long long)options->sizes[i]);
        bench_usage("--size", given, "compare takes sizes up to 128M");
    }
}

void
bench_compare(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"bytes", "bytes"},   {"trip_ns", "trip"},        BENCH_PERCENTILE_COLUMNS,
        {"best_ns", "best"},  {"worst_ns", "worst"},      {"max_ns", "max"},
        {"mean_ns", "mean"},  {"messages_per_s", "rate"}, {"bytes_per_s", "speed"},
        {"ratio", "x floor"}, {"ours_ratio", "x ours"},   {"behind", "behind"},
    };
    static comparison all;
    size_t i;

    if (options->chosen != NULL && strcmp(options->chosen, "list") == 0) {
        bench_peers_list();
        exit(0);
    }
    check_sizes(options);
    all.options = options;
    all.report = report;
    bench_peers_choose(all.chosen, options->chosen);
    for (i = 0; i < BENCH_PEERS; i++)
        if (all.chosen[i])
            bench_peer_load(&bench_peers[i], all.missing[i], sizeof all.missing[i]);
    if (options->wait == BENCH_WAIT_ADAPTIVE)
        rbr_wake_calibrate(); /* once and in peace: all that are forked inherit it */
    for (i = 0; i < options->size_count; i++)
        measure_size(&all, (uint32_t)options->sizes[i]);
    report_missing(&all);
    report->by_kind = true;
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
