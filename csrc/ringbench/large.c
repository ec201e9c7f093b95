/* SPDX-License-Identifier: MIT */
/*
 * large.c - arrays over a channel: copied into the arena, or made there and sent in place.
 *
 *   row                  here                                there              floor
 *   copied               memcpy into a new block, call       look at 16 words   memcpy
 *   in place             call with a block that is there     look at 16 words   in place, 1 KiB
 *   in place, all read   the same                            add up all words   read
 *
 * "look at": the words change with every call and come back as a sum that is compared, so a block that
 * is stale, or another one, ends the program with 1. What is in place costs the same for any size;
 * reading it costs what reading costs.
 */
#include "call_legs.h"
#include "measure.h"
#include "messages.h"
#include "payload.h"
#include "process.h"
#include "report.h"

#include "os.h"

#include <stdlib.h>
#include <string.h>

enum leg { MEMCPY, READ, COPIED, SMALL, IN_PLACE, IN_PLACE_READ, LEGS };
enum { PROBES = 16, SMALL_BYTES = 1024 };

#define BUDGET_COPIED 1.15
#define BUDGET_FLAT 1.2
#define BUDGET_BYTES (UINT64_C(64) << 20) /* what the budget of the copy is about: from here on */
#define ALIGN 4096

typedef struct large {
    bench_echo echo;
    uint64_t bytes;
    uint64_t sequence;
    uint64_t rest; /* the sum of the source's words that are no probes */
    uint64_t *source, *copy;
} large;

/* What distinguishes the legs; both sides have it. */
typedef struct large_leg {
    large *all;
    uint64_t bytes;
    bool copies, reads;
    rbr_block *block; /* of the first side, where nothing is copied */
} large_leg;

static uint64_t
probe_at(uint64_t bytes, int probe)
{
    return (bytes / 8 - 1) * (uint64_t)probe / (PROBES - 1);
}

/* Marks the words with this call's number; returns what the other side has to find in them. */
static uint64_t
set_probes(uint64_t *words, uint64_t bytes, uint64_t sequence)
{
    uint64_t sum = 0;
    int probe;

    for (probe = 0; probe < PROBES; probe++) {
        words[probe_at(bytes, probe)] = sequence * PROBES + (uint64_t)probe;
        sum += (sequence * PROBES + (uint64_t)probe) * (uint64_t)(probe + 1);
    }
    return sum;
}

static uint64_t
sum_probes(const uint64_t *words, uint64_t bytes)
{
    uint64_t sum = 0;
    int probe;

    for (probe = 0; probe < PROBES; probe++)
        sum += words[probe_at(bytes, probe)] * (uint64_t)(probe + 1);
    return sum;
}

/* --------------------------------------------------------------------------------------- floors */

static void
memcpy_trip(void *context)
{
    const large_leg *leg = context;

    memcpy(leg->all->copy, leg->all->source, leg->bytes);
    __asm__ volatile("" ::"r"(leg->all->copy) : "memory"); /* somebody may read it */
}

static void
read_trip(void *context)
{
    const large_leg *leg = context;
    volatile uint64_t sum = bench_sum(leg->all->source, leg->bytes);

    (void)sum;
}

static void
answer_nothing(void *context)
{
    (void)context;
}

/* ------------------------------------------------------------------------------------- channel */

static void
need(rbr_status status, const rbr_error *error)
{
    if (status != RBR_OK)
        bench_die(status == RBR_ARENA_FULL || status == RBR_NO_MEMORY ? BENCH_EXIT_MACHINE
                                                                      : BENCH_EXIT_WRONG,
                  "large: status %d %s", (int)status, error->text);
}

static rbr_block *
new_block(large *all, uint64_t bytes)
{
    rbr_error error = {.text = ""};
    rbr_block *block = NULL;

    need(rbr_block_allocate(&block, all->echo.channel, bytes, RBR_FOREVER, &error), &error);
    return block;
}

static void
call_with_block(large *all, rbr_block *block, uint64_t probes, uint64_t words)
{
    bench_echo *echo = &all->echo;
    rbr_pending *pending = &echo->pending[0];
    const uint64_t id = rbr_pending_begin(pending, echo->channel);
    const uint32_t size = bench_build_block_call(echo->frame, echo->frame_room, id, block);
    rbr_error error = {.text = ""};
    rbr_message *message = NULL;
    const uint8_t *answer;
    uint64_t sums[2];
    uint32_t answered = 0;

    need(rbr_channel_send(echo->channel, echo->frame, size, &block, 1, RBR_FOREVER, &error),
         &error);
    bench_echo_wait(echo, pending, &message);
    answer = bench_result_bytes(message, &answered);
    if (answer == NULL || answered != sizeof sums)
        bench_die(BENCH_EXIT_WRONG, "large: an answer of %u bytes", answered);
    memcpy(sums, answer, sizeof sums);
    if (sums[0] != probes || (sums[1] != 0 && sums[1] != words))
        bench_die(BENCH_EXIT_WRONG, "large: %llu bytes arrived changed",
                  (unsigned long long)rbr_block_bytes(block));
    rbr_message_free(message);
    rbr_pending_end(pending);
}

static uint64_t
probe_words(uint64_t sequence)
{
    return sequence * PROBES * PROBES + PROBES * (PROBES - 1) / 2;
}

static void
channel_trip(void *context)
{
    large_leg *leg = context;
    large *all = leg->all;
    rbr_block *block = leg->copies ? new_block(all, leg->bytes) : leg->block;
    uint64_t *words = leg->copies ? all->source : rbr_block_data(block);
    const uint64_t probes = set_probes(words, leg->bytes, ++all->sequence);

    if (leg->copies)
        memcpy(rbr_block_data(block), all->source, leg->bytes);
    call_with_block(all, block, probes, all->rest + probe_words(all->sequence));
    if (leg->copies)
        rbr_block_release(block);
}

static void
channel_answer(void *context)
{
    const large_leg *leg = context;
    bench_echo *echo = &leg->all->echo;
    rbr_error error = {.text = ""};
    rbr_message *message = NULL;
    const uint64_t *words;
    uint64_t sums[2], id;
    rbr_block *block;
    uint32_t size;

    bench_echo_receive(echo, &message);
    block = bench_call_block(message);
    if (block == NULL || rbr_block_bytes(block) != leg->bytes)
        bench_die(BENCH_EXIT_WRONG, "large: a call without its block");
    words = rbr_block_data(block);
    sums[0] = sum_probes(words, leg->bytes);
    sums[1] = leg->reads ? bench_sum(words, leg->bytes) : 0;
    id = rbr_message_id(message);
    rbr_block_release(block);
    rbr_message_free(message); /* the block goes back before the answer: the next trip wants it */
    size = bench_build_result(echo->frame, echo->frame_room, id, sums, sizeof sums);
    need(rbr_channel_send(echo->channel, echo->frame, size, NULL, 0, RBR_FOREVER, &error), &error);
}

static void
channel_count(const void *context, bench_counts *out)
{
    const large_leg *leg = context;

    bench_echo_count(&leg->all->echo, out);
}

/* ------------------------------------------------------------------------------------ measuring */

static uint64_t *
pages(uint64_t bytes, int fill)
{
    uint64_t *base = aligned_alloc(ALIGN, rbr_round_up(bytes, ALIGN));

    if (base == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %llu bytes of memory", (unsigned long long)bytes);
    memset(base, fill, bytes);
    return base;
}

static void
large_open(large *all, uint64_t bytes)
{
    /* Source, copy, two blocks; the other side maps the same pages. */
    const uint64_t wanted = 4 * bytes, available = rbr_os_memory_available();

    if (wanted > available)
        bench_die(BENCH_EXIT_MACHINE,
                  "%llu MiB of memory are wanted for arrays of that size, and "
                  "%llu are available: smaller sizes are allowed",
                  (unsigned long long)(wanted >> 20), (unsigned long long)(available >> 20));
    all->bytes = bytes;
    all->source = pages(bytes, 1);
    all->copy = pages(bytes, 2);
    set_probes(all->source, bytes, 0);
    all->rest = bench_sum(all->source, bytes) - probe_words(0);
}

static void
make_legs(bench_leg *legs, large_leg *contexts, large *all)
{
    static const struct {
        const char *name, *kind;
        bool channel, copies, reads;
    } known[LEGS] = {
        [MEMCPY] = {"memcpy", "floor", false, false, false},
        [READ] = {"read", "floor", false, false, false},
        [COPIED] = {"copied", "copy", true, true, false},
        [SMALL] = {"in place, 1 KiB", "floor", true, false, false},
        [IN_PLACE] = {"in place", "in place", true, false, false},
        [IN_PLACE_READ] = {"in place, all read", "copy", true, false, true},
    };
    int leg;

    for (leg = 0; leg < LEGS; leg++) {
        contexts[leg] = (large_leg){.all = all,
                                    .bytes = leg == SMALL ? SMALL_BYTES : all->bytes,
                                    .copies = known[leg].copies,
                                    .reads = known[leg].reads};
        legs[leg] = (bench_leg){.name = known[leg].name,
                                .kind = known[leg].kind,
                                .trip = known[leg].channel ? channel_trip
                                        : leg == MEMCPY    ? memcpy_trip
                                                           : read_trip,
                                .answer = known[leg].channel ? channel_answer : answer_nothing,
                                .count = known[leg].channel ? channel_count : NULL,
                                .context = &contexts[leg]};
    }
}

static void
fill_block(large_leg *leg)
{
    leg->block = new_block(leg->all, leg->bytes);
    memcpy(rbr_block_data(leg->block), leg->all->source, leg->bytes);
}

static void
report_legs(bench_report *report, const bench_leg *legs, const large_leg *contexts,
            const bench_measure *measures)
{
    static const struct {
        enum leg floor;
        double budget;
    } ratios[LEGS] = {[COPIED] = {MEMCPY, BUDGET_COPIED},
                      [IN_PLACE] = {SMALL, BUDGET_FLAT},
                      [IN_PLACE_READ] = {READ, 0}};
    int leg;

    for (leg = 0; leg < LEGS; leg++) {
        bench_row *row = bench_report_row(report, legs[leg].kind, legs[leg].name);
        const bool budget = ratios[leg].budget > 0 &&
                            (leg != COPIED || contexts[leg].bytes >= BUDGET_BYTES);

        bench_row_set(row, "bytes", (double)contexts[COPIED].bytes);
        bench_row_measure(row, &measures[leg], report->options, 1);
        if (leg != SMALL && leg != IN_PLACE) /* what is in place does not move */
            bench_row_set(row, "bytes_per_s",
                          (double)contexts[leg].bytes * 1e9 /
                              bench_measure_trip_ns(&measures[leg]));
        if (leg >= COPIED && leg != SMALL)
            bench_row_ratio(row, legs[ratios[leg].floor].name,
                            bench_measure_ratio(&measures[leg], &measures[ratios[leg].floor]),
                            budget ? ratios[leg].budget : 0);
    }
}

static void
measure_size(const bench_options *options, bench_report *report, uint64_t bytes)
{
    static bench_measure measures[LEGS];
    large_leg contexts[LEGS];
    bench_duo_hooks hooks;
    bench_leg legs[LEGS];
    bench_duo duo;
    large all = {.bytes = 0};

    large_open(&all, bytes);
    bench_echo_prepare(&all.echo, &hooks, options, SMALL_BYTES);
    make_legs(legs, contexts, &all);
    bench_duo_start(&duo, legs, LEGS, options, &hooks);
    bench_echo_connect(&all.echo, options, duo.child);
    fill_block(&contexts[SMALL]);
    fill_block(&contexts[IN_PLACE]);
    contexts[IN_PLACE_READ].block = contexts[IN_PLACE].block;
    bench_measure_legs(&duo, LEGS, measures, options);
    rbr_block_release(contexts[SMALL].block);
    rbr_block_release(contexts[IN_PLACE].block);
    bench_duo_end(&duo);
    report_legs(report, legs, contexts, measures);
    bench_echo_close(&all.echo);
    free(all.source);
    free(all.copy);
}

void
bench_large(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"bytes", "bytes"}, {"trip_ns", "trip"},  BENCH_PERCENTILE_COLUMNS,
        {"max_ns", "max"},  {"mean_ns", "mean"},  {"bytes_per_s", "speed"},
        {"ratio", "ratio"}, {"budget", "budget"},
    };
    size_t i;

    for (i = 0; i < options->size_count; i++) {
        if (options->sizes[i] < SMALL_BYTES)
            bench_die(BENCH_EXIT_USAGE, "large: sizes from 1K on are allowed");
        measure_size(options, report, options->sizes[i] & ~UINT64_C(7));
    }
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
