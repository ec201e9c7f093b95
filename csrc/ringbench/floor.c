/* SPDX-License-Identifier: MIT */
/*
 * floor.c - what this machine can do, so that everything else can be a ratio to it.
 *
 *   between two processes   cache lines, semaphore, futex, eventfd, pipe; on two CPUs and on one
 *   in one process          the clock, a system call, a post that nobody waits for, memcpy
 */
#include "floor_legs.h"
#include "process.h"
#include "progress.h"
#include "report.h"

#include "ringbridge.h"

#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------- round trips */

static const struct {
    const char *name;
    enum bench_floor_kind kind;
    bool same_cpu;
} round_trips[] = {
    {"one cache line", BENCH_ONE_LINE, false},
    {"own cache lines", BENCH_OWN_LINE, false},
    {"own cache lines, yielding", BENCH_YIELD_LINE, false},
    {"sem_t", BENCH_SEM, false},
    {"futex", BENCH_FUTEX, false},
    {"eventfd + poll", BENCH_EVENTFD, false},
    {"pipe", BENCH_PIPE, false},
    {"yielding, one CPU", BENCH_YIELD_LINE, true},
    {"sem_t, one CPU", BENCH_SEM, true},
    {"futex, one CPU", BENCH_FUTEX, true},
    {"eventfd + poll, one CPU", BENCH_EVENTFD, true},
    {"pipe, one CPU", BENCH_PIPE, true},
};
enum { OWN_LINES = 1, ROUND_TRIPS = sizeof round_trips / sizeof round_trips[0] };

static void
measure_round_trips(const bench_options *options, bench_report *report)
{
    static bench_measure measures[ROUND_TRIPS];
    bench_floor_state states[ROUND_TRIPS];
    bench_leg legs[ROUND_TRIPS];
    bench_duo duo;
    size_t i;

    for (i = 0; i < ROUND_TRIPS; i++)
        bench_floor_leg(&legs[i], &states[i], round_trips[i].name, round_trips[i].kind,
                        round_trips[i].same_cpu);
    bench_duo_start(&duo, legs, ROUND_TRIPS, options, NULL);
    bench_measure_legs(&duo, ROUND_TRIPS, measures, options);
    bench_duo_end(&duo);
    for (i = 0; i < ROUND_TRIPS; i++) {
        bench_row *row = bench_report_row(report, "floor", round_trips[i].name);

        bench_row_measure(row, &measures[i], options, 1);
        if (round_trips[i].kind != BENCH_OWN_LINE)
            bench_row_ratio(row, "own cache lines",
                            bench_measure_ratio(&measures[i], &measures[OWN_LINES]), 0);
        bench_floor_close(&states[i]);
    }
}

/* -------------------------------------------------------------------------------- small costs */

enum { COST_TURNS = 2000, COST_SLICES = 101 };

static sem_t lonely;

static void
cost_clock(void)
{
    rbr_now_ns();
}

static void
cost_syscall(void)
{
    syscall(SYS_getppid);
}

static void
cost_post(void)
{
    sem_post(&lonely);
}

static void
measure_cost(bench_report *report, const char *name, void (*once)(void))
{
    double values[COST_SLICES];
    int slice, turn;

    for (slice = 0; slice < COST_SLICES; slice++) {
        const uint64_t start = rbr_now_ns();

        for (turn = 0; turn < COST_TURNS; turn++)
            once();
        values[slice] = (double)(rbr_now_ns() - start) / COST_TURNS;
    }
    bench_row_set(bench_report_row(report, "floor", name), "trip_ns",
                  bench_median(values, COST_SLICES));
}

/* -------------------------------------------------------------------------------------- memcpy */

enum { COPIES_MAX = 201 };

/* Private pages, not shared ones: what an application copies from and to. */
static void *
pages_new(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED)
        bench_die(BENCH_EXIT_MACHINE, "no %zu bytes of memory", bytes);
    return base;
}

/* Copies into pages that are there (warm), or that the copy itself must fault in (fresh). */
static double
copy_once(const void *from, void *warm, size_t bytes)
{
    void *to = warm != NULL ? warm : pages_new(bytes);
    const uint64_t start = rbr_now_ns();
    uint64_t ns;

    memcpy(to, from, bytes);
    __asm__ volatile("" ::"r"(to) : "memory"); /* somebody may read it: it must be done */
    ns = rbr_now_ns() - start;
    if (warm == NULL)
        munmap(to, bytes);
    return (double)ns;
}

static void
measure_memcpy(const bench_options *options, bench_report *report, size_t bytes, const char *size)
{
    const uint64_t budget_ns = options->duration_ns / 10 * options->runs;
    double values[COPIES_MAX];
    void *from = pages_new(bytes), *warm = pages_new(bytes);
    int fresh, copies;

    memset(from, 1, bytes);
    memset(warm, 2, bytes);
    for (fresh = 0; fresh < 2; fresh++) {
        const uint64_t start = rbr_now_ns();
        char name[48];
        bench_row *row;

        snprintf(name, sizeof name, "memcpy %s, %s", size, fresh ? "fresh" : "warm");
        bench_progress(options, "%s", name);
        for (copies = 0; copies < COPIES_MAX; copies++) {
            if (copies >= 3 && rbr_now_ns() - start > budget_ns)
                break;
            values[copies] = copy_once(from, fresh ? NULL : warm, bytes);
        }
        row = bench_report_row(report, "floor", name);
        bench_row_set(row, "trip_ns", bench_median(values, (size_t)copies));
        bench_row_set(row, "bytes", (double)bytes);
        bench_row_set(row, "bytes_per_s", (double)bytes * 1e9 / *bench_row_get(row, "trip_ns"));
    }
    munmap(from, bytes);
    munmap(warm, bytes);
}

void
bench_floor(const bench_options *options, bench_report *report)
{
    static const bench_column columns[] = {
        {"trip_ns", "trip"}, BENCH_PERCENTILE_COLUMNS,   {"max_ns", "max"},
        {"mean_ns", "mean"}, {"messages_per_s", "rate"}, {"bytes_per_s", "speed"},
    };

    measure_round_trips(options, report);
    bench_bound(120, "small costs and memcpy");
    sem_init(&lonely, 0, 0);
    measure_cost(report, "clock_gettime", cost_clock);
    measure_cost(report, "system call", cost_syscall);
    measure_cost(report, "sem_post, no waiter", cost_post);
    measure_memcpy(options, report, 64 << 10, "64 KiB");
    measure_memcpy(options, report, 8 << 20, "8 MiB");
    measure_memcpy(options, report, 100 * 1000 * 1000, "100 MB");
    bench_bound(0, "");
    bench_report_columns(report, columns, sizeof columns / sizeof columns[0]);
}
