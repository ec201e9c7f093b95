/* SPDX-License-Identifier: MIT */
/*
 * fault.c - the list of faults: which are chosen, how often each is done, what was counted.
 *
 * Each fault is a row. Hangs, leaks and wrong results must be 0; whatever else is counted says that the
 * fault was there.
 */
#include "fault.h"

#include "option_values.h"
#include "process.h"
#include "progress.h"
#include "report.h"
#include "wake.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Deaths wake. Where they are noticed later than this, it is a look every 100 ms that notices. */
#define NOTICED_NS (40 * UINT64_C(1000000))
enum { NOTICED_SAMPLES = 8, KINDS_MAX = 64, HANGS_MAX = 3, SHOWN_MAX = 5, COUNT_MAX = 100000000 };
#define RING_BYTES_MAX (16u << 20)

static const char *const keys[FAULT_COUNTS] = {
    [FAULT_MESSAGES] = "messages",   [FAULT_HANGS] = "hangs",
    [FAULT_LEAKS] = "leaks",         [FAULT_WRONG] = "wrong",
    [FAULT_LATE] = "late_looks",     [FAULT_KILLS] = "kills",
    [FAULT_EARLY] = "early",         [FAULT_STOPS] = "stops",
    [FAULT_SIGNALS] = "signals",     [FAULT_INTERRUPTED] = "interrupted",
    [FAULT_WRITES] = "writes",       [FAULT_INTACT] = "intact",
    [FAULT_CHANGED] = "changed",     [FAULT_REFUSED] = "refused",
    [FAULT_TIMED_OUT] = "timed_out", [FAULT_ENDED] = "peer_ended",
    [FAULT_FULL] = "full",           [FAULT_WRAPS] = "wraps",
};

typedef struct fault_list {
    bench_fault_kind kinds[KINDS_MAX];
    bool chosen[KINDS_MAX];
    size_t count;
} fault_list;

static void
fill_list(fault_list *list)
{
    static size_t (*const rooms[])(bench_fault_kind *) = {
        bench_fault_kill_kinds,     bench_fault_point_kinds,  bench_fault_corrupt_kinds,
        bench_fault_pressure_kinds, bench_fault_memory_kinds, bench_fault_wrap_kinds,
    };
    size_t i;

    list->count = 0;
    for (i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        list->count += rooms[i](list->kinds + list->count);
}

static _Noreturn void
print_list(const fault_list *list)
{
    size_t i;

    for (i = 0; i < list->count; i++)
        printf("%-29s %s\n", list->kinds[i].name, list->kinds[i].what);
    puts(
        "\nAfter kill-...@... the same must hold as after kill-worker and kill-host. Several names "
        "are\nseparated by commas; * and ? stand for any letters, as in 'kill-worker@*'.");
    exit(fflush(stdout) == 0 ? 0 : BENCH_EXIT_MACHINE);
}

static _Noreturn void
refuse(const fault_list *list, const char *given)
{
    char allowed[2048] = "none of the faults, which are";
    size_t i, used = strlen(allowed);

    for (i = 0; i < list->count && used < sizeof allowed; i++)
        used += (size_t)snprintf(allowed + used, sizeof allowed - used, " %s", list->kinds[i].name);
    bench_usage("--faults", given, allowed);
}

static void
choose(fault_list *list, const char *names)
{
    char copy[1024], *rest = copy, *name;
    size_t i;

    if (names == NULL)
        names = "*";
    snprintf(copy, sizeof copy, "%s", names);
    while ((name = strsep(&rest, ",")) != NULL) {
        bool any = false;

        for (i = 0; i < list->count; i++)
            if (fnmatch(name, list->kinds[i].name, 0) == 0)
                any = list->chosen[i] = true;
        if (!any)
            refuse(list, name);
    }
}

/* ---------------------------------------------------------------------------------------- running */

static void
judge_noticed(bench_row *row, const bench_fault_round *round, const bench_histogram *noticed)
{
    const uint64_t quarter_ns = bench_histogram_percentile(noticed,
                                                           25); /* other load delays, too */

    if (noticed->total < NOTICED_SAMPLES || quarter_ns < NOTICED_NS)
        return;
    atomic_fetch_add(&round->board->counts[FAULT_WRONG], 1);
    snprintf(row->error, sizeof row->error,
             "three of four deaths were noticed after %llu ms or later: they woke nobody",
             (unsigned long long)(quarter_ns / 1000000));
}

static void
report_kind(bench_row *row, const bench_fault_round *round, uint64_t rounds,
            const bench_histogram *noticed)
{
    const bench_fault_kind *kind = round->kind;
    int count;

    bench_row_set(row, "rounds", (double)rounds);
    for (count = 0; count < FAULT_COUNTS; count++)
        if (count == FAULT_LATE ? kind->victim < 0
                                : count < FAULT_ROUND_COUNTS || (kind->shown >> count & 1) != 0)
            bench_row_set(row, keys[count], (double)atomic_load(&round->board->counts[count]));
    if (kind->victim < 0 || noticed->total == 0)
        return;
    bench_row_set(row, "noticed_p50_ns", (double)bench_histogram_percentile(noticed, 50));
    bench_row_set(row, "noticed_p99_ns", (double)bench_histogram_percentile(noticed, 99));
    bench_row_set(row, "noticed_max_ns", (double)noticed->max);
    bench_row_histogram(row, noticed, round->options);
}

/* The seed and the round's number repeat it, as far as the kernel allows. */
static void
show_failure(bench_row *row, const bench_fault_round *round, int shown)
{
    const unsigned long long seed = round->options->seed, number = round->number;

    if (row->error[0] == '\0')
        snprintf(row->error, sizeof row->error, "seed %llu, round %llu: %.80s", seed, number,
                 round->board->reason);
    bench_progress_end();
    if (shown < SHOWN_MAX)
        fprintf(stderr, "ringbench: %s, seed %llu, round %llu: %s\n", round->kind->name, seed,
                number, round->board->reason);
    else if (shown == SHOWN_MAX)
        fprintf(stderr, "ringbench: %s: more such rounds are counted, and not shown\n",
                round->kind->name);
}

static void
run_kind(const bench_options *options, bench_row *row, const bench_fault_kind *kind,
         bench_fault_board *board)
{
    const uint64_t rounds = options->count != 0 ? options->count : kind->rounds;
    bench_fault_round round = {.options = options, .kind = kind, .board = board};
    static bench_histogram noticed;
    int failures = 0;
    char why[96];

    memset(board, 0, sizeof *board);
    bench_histogram_clear(&noticed);
    if (kind->allowed != NULL && !kind->allowed(why, sizeof why)) {
        snprintf(row->error, sizeof row->error, "skipped: %s", why);
        bench_row_set(row, "rounds", 0);
        return;
    }
    while (round.number < rounds && atomic_load(&board->counts[FAULT_HANGS]) < HANGS_MAX) {
        bench_fault_round each = round; /* what a round changes is its own */

        bench_progress(options, "%s, round %llu of %llu: %llu messages right", kind->name,
                       (unsigned long long)round.number, (unsigned long long)rounds,
                       (unsigned long long)atomic_load(&board->counts[FAULT_MESSAGES]));
        bench_fault_run_round(&each, &noticed);
        if (atomic_load(&board->failed))
            show_failure(row, &round, failures++);
        round.number++;
    }
    judge_noticed(row, &round, &noticed);
    report_kind(row, &round, round.number, &noticed);
}

/* What all rows say together. */
static void
report_sum(bench_report *report)
{
    static const char *const summed[] = {"rounds", "messages", "hangs",     "leaks",
                                         "wrong",  "kills",    "late_looks"};
    const size_t rows = report->count;
    bench_row *all = bench_report_row(report, "sum", "all");
    size_t key, i;

    for (key = 0; key < sizeof summed / sizeof summed[0]; key++) {
        double sum = 0;

        for (i = 0; i < rows; i++) {
            const double *value = bench_row_get(&report->rows[i], summed[key]);

            sum += value != NULL ? *value : 0;
        }
        bench_row_set(all, summed[key], sum);
    }
}

void
bench_fault(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"rounds", "rounds"},
        {"messages", "messages"},
        {"hangs", "hangs"},
        {"leaks", "leaks"},
        {"wrong", "wrong"},
        {"kills", "kills"},
        {"noticed_p50_ns", "noticed"},
        {"noticed_p99_ns", "p99"},
        {"noticed_max_ns", "longest"},
    };
    bench_fault_board *board = bench_shared_new(sizeof *board);
    static fault_list list;
    size_t i;

    fill_list(&list);
    if (options->chosen != NULL && strcmp(options->chosen, "list") == 0)
        print_list(&list);
    choose(&list, options->chosen);
    if (options->ring_bytes > RING_BYTES_MAX || options->count > COUNT_MAX)
        bench_usage("a fault", options->ring_bytes > RING_BYTES_MAX ? "--ring" : "--count",
                    "rings from 64K to 16M and counts up to 100M are allowed");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_TIMERSLACK, 1); /* the moments of the kills */
    rbr_wake_calibrate();        /* once: the hosts inherit it */
    fflush(NULL);                /* or each of them says it again */
    for (i = 0; i < list.count; i++)
        if (list.chosen[i])
            run_kind(options, bench_report_row(report, "fault", list.kinds[i].name), &list.kinds[i],
                     board);
    report_sum(report);
    report->by_kind = true;
    bench_shared_free(board, sizeof *board);
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
