/* SPDX-License-Identifier: MIT */
/*
 * soak.c - for minutes or days: is every message there, once, whole, in order, and does nothing grow?
 *
 * The two kinds of traffic take turns, some trips each. Every second both processes look at their own
 * memory and descriptors. The first tenth warms up: what has grown after it counts.
 */
#include "option_values.h"
#include "process.h"
#include "progress.h"
#include "report.h"
#include "soak_legs.h"

#include "base.h"

#include <string.h>

enum leg { RINGS, CALLS, LOOK, LEGS };
enum { TRIPS = 50 };

#define LOOK_EVERY_NS RBR_SECOND
/* What malloc and the page tables may take without a leak. */
#define RSS_GROWTH_MAX (UINT64_C(8) << 20)

struct watch {
    bench_soak_side *sides; /* of both processes; of theirs only memory and descriptors */
    uint64_t warm_rss[BENCH_SIDES], warm_fds[BENCH_SIDES];
    uint64_t rss_growth, fds_growth;
    bool warm;
};

static void
look_here(void *context)
{
    const struct watch *watch = context;

    bench_soak_look(&watch->sides[BENCH_HERE]);
}

static void
look_there(void *context)
{
    const struct watch *watch = context;

    bench_soak_look(&watch->sides[BENCH_THERE]);
}

static uint64_t
grown(uint64_t most, uint64_t now, uint64_t before)
{
    return now > before && now - before > most ? now - before : most;
}

static void
watch_both(bench_duo *duo, struct watch *watch, bool warm)
{
    int side;

    bench_duo_run(duo, LOOK, 0, 1, NULL);
    for (side = 0; side < BENCH_SIDES; side++) {
        const bench_soak_side *now = &watch->sides[side];

        if (!watch->warm) {
            watch->warm_rss[side] = now->rss_bytes;
            watch->warm_fds[side] = now->fds;
        }
        watch->rss_growth = grown(watch->rss_growth, now->rss_bytes, watch->warm_rss[side]);
        watch->fds_growth = grown(watch->fds_growth, now->fds, watch->warm_fds[side]);
    }
    watch->warm = watch->warm || warm;
}

static uint64_t
wrong_of(const bench_sequence *sequence)
{
    return sequence->lost + sequence->duplicated + sequence->reordered + sequence->corrupt;
}

static void
show_progress(const bench_options *options, const bench_traffic *soaks, const struct watch *watch,
              uint64_t left_ns)
{
    uint64_t messages = 0, wrong = 0;
    int leg, side;

    for (leg = RINGS; leg <= CALLS; leg++)
        for (side = 0; side < BENCH_SIDES; side++) {
            messages += soaks[leg].sides[side].messages.received;
            wrong += wrong_of(&soaks[leg].sides[side].messages);
        }
    bench_progress(options, "%.0f s left; %.1f M messages, %llu wrong; RSS +%llu KiB, fds +%llu",
                   (double)left_ns / 1e9, (double)messages / 1e6, (unsigned long long)wrong,
                   (unsigned long long)(watch->rss_growth >> 10),
                   (unsigned long long)watch->fds_growth);
}

static bool
is_chosen(const bench_options *options, int leg)
{
    static const char *const words[] = {[RINGS] = "rings", [CALLS] = "calls"};

    return options->chosen == NULL || strcmp(options->chosen, "all") == 0 ||
           strcmp(options->chosen, words[leg]) == 0;
}

static void
run(bench_duo *duo, const bench_options *options, const bench_traffic *soaks, struct watch *watch,
    bench_counts counts[CALLS + 1][BENCH_SIDES])
{
    const uint64_t start = rbr_now_ns(), end = start + options->duration_ns;
    uint64_t now, next_look = start;
    int leg, side;

    while ((now = rbr_now_ns()) < end) {
        if (now >= next_look) {
            watch_both(duo, watch, now - start > options->duration_ns / 10);
            next_look = now + LOOK_EVERY_NS;
        }
        for (leg = RINGS; leg <= CALLS; leg++) {
            if (!is_chosen(options, leg))
                continue;
            bench_duo_run(duo, (size_t)leg, 0, TRIPS, NULL);
            for (side = 0; side < BENCH_SIDES; side++)
                bench_counts_add(&counts[leg][side], &duo->counts[side]);
        }
        show_progress(options, soaks, watch, end - now);
    }
    watch_both(duo, watch, true);
}

/* What one side has sent and the other has not got by now. */
static void
settle(bench_traffic *soak)
{
    int side;

    for (side = 0; side < BENCH_SIDES; side++)
        bench_sequence_end(&soak->sides[side].messages,
                           atomic_load_explicit(&soak->sides[1 - side].sent, memory_order_acquire));
}

static void
report_leg(bench_report *report, const char *name, const bench_traffic *soak,
           const bench_counts counts[BENCH_SIDES], double seconds)
{
    bench_row *row = bench_report_row(report, "soak", name);
    bench_sequence both = soak->sides[BENCH_HERE].messages;
    const bench_sequence *theirs = &soak->sides[BENCH_THERE].messages;
    const uint64_t bytes = soak->sides[BENCH_HERE].bytes + soak->sides[BENCH_THERE].bytes;

    both.received += theirs->received;
    both.lost += theirs->lost;
    both.duplicated += theirs->duplicated;
    both.reordered += theirs->reordered;
    both.corrupt += theirs->corrupt;
    bench_row_set(row, "samples", (double)both.received);
    bench_row_set(row, "total_bytes", (double)bytes);
    bench_row_set(row, "messages_per_s", (double)both.received / seconds);
    bench_row_set(row, "bytes_per_s", (double)bytes / seconds);
    bench_row_counts(row, counts, (double)both.received + 1e-9);
    bench_row_sequence(row, &both);
}

static void
report_watch(bench_report *report, const struct watch *watch)
{
    bench_row *row = bench_report_row(report, "soak", "both processes");

    bench_row_set(row, "rss_growth_bytes", (double)watch->rss_growth);
    bench_row_set(row, "fds_growth", (double)watch->fds_growth);
    bench_row_set(row, "leaks",
                  (double)watch->fds_growth + (watch->rss_growth > RSS_GROWTH_MAX ? 1 : 0));
}

void
bench_soak(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"samples", "messages"},  {"total_bytes", "payload"},       {"messages_per_s", "rate"},
        {"bytes_per_s", "speed"}, {"rss_growth_bytes", "RSS grew"}, {"fds_growth", "fds grew"},
        {"leaks", "leaks"},
    };
    bench_counts counts[CALLS + 1][BENCH_SIDES];
    bench_traffic soaks[CALLS + 1];
    bench_duo_hooks hooks;
    bench_leg legs[LEGS];
    struct watch watch = {.warm = false};
    bench_duo duo;
    uint64_t start;
    int leg;

    if (!is_chosen(options, RINGS) && !is_chosen(options, CALLS))
        bench_usage("--traffic", options->chosen, "rings, calls or all are allowed");
    memset(counts, 0, sizeof counts);
    watch.sides = bench_shared_new(BENCH_SIDES * sizeof *watch.sides);
    bench_soak_rings_open(&soaks[RINGS], &legs[RINGS], options);
    bench_soak_calls_open(&soaks[CALLS], &legs[CALLS], &hooks, options);
    legs[LOOK] =
        (bench_leg){.name = "look", .trip = look_here, .answer = look_there, .context = &watch};
    bench_duo_start(&duo, legs, LEGS, options, &hooks);
    bench_echo_connect(&soaks[CALLS].echo, options, duo.child);
    start = rbr_now_ns();
    run(&duo, options, soaks, &watch, counts);
    bench_duo_end(&duo);
    for (leg = RINGS; leg <= CALLS; leg++)
        if (is_chosen(options, leg)) {
            settle(&soaks[leg]);
            report_leg(report, legs[leg].name, &soaks[leg], counts[leg],
                       (double)(rbr_now_ns() - start) / 1e9);
        }
    report_watch(report, &watch);
    bench_soak_calls_close(&soaks[CALLS]);
    bench_soak_rings_close(&soaks[RINGS]);
    bench_shared_free(watch.sides, BENCH_SIDES * sizeof *watch.sides);
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
