/* SPDX-License-Identifier: MIT */
/*
 * runner.c - the process that works for a pair: it opens the peer, and makes the trips that it is
 * told to make.
 *
 * It works as ringbench does in every other mode, with a duo and an alarm of its own; what ends it
 * ends nobody else. Its stderr is a file that becomes the error of its row.
 */
#include "runner.h"

#include "floor_legs.h"
#include "payload.h"
#include "process.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The first messages one way: a few, then more until they take TRY_NS. */
enum {
    WARM_TRIPS = 64,
    FIRST_MESSAGES = 16,
    MOST_MESSAGES = 1 << 20,
    TRY_FACTOR = 4,
    SYSCALL_MESSAGES = 1000
};
#define TRY_NS UINT64_C(1000000)
#define SYSCALL_NS 100e6

struct copying {
    const uint64_t *count; /* how many the next trip makes */
    uint8_t *from, *to;
    uint32_t bytes;
};

struct runner {
    struct bench_pair_shared *shared;
    const bench_pair *pair;
    bench_crossing crossing;
    bench_floor_state floor;
    struct copying copying;
    bench_leg legs[BENCH_CROSSINGS];
    bench_duo duo;
    int cpus[BENCH_SIDES];
};

/* ------------------------------------------------------------------------------------ its legs */

static void
copy_trip(void *context)
{
    struct copying *copying = context;
    uint64_t i;

    for (i = 0; i < *copying->count; i++) {
        bench_copy(copying->to, copying->from, copying->bytes);
        __asm__ volatile("" ::"r"(copying->to) : "memory"); /* somebody may read it */
    }
}

static void
copy_answer(void *context)
{
    (void)context;
}

static void
open_floor(struct runner *runner, const bench_options *options)
{
    struct copying *copying = &runner->copying;

    bench_floor_of_wait(&runner->legs[BENCH_ROUND_TRIP], &runner->floor, options);
    runner->shared->floor_name = runner->legs[BENCH_ROUND_TRIP].name;
    *copying = (struct copying){.count = &runner->shared->crossing.count,
                                .from = malloc(runner->pair->bytes),
                                .to = malloc(runner->pair->bytes),
                                .bytes = runner->pair->bytes};
    if (copying->from == NULL || copying->to == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no %u bytes of memory", copying->bytes);
    memset(copying->from, 1, copying->bytes);
    memset(copying->to, 2, copying->bytes);
    runner->legs[BENCH_ONE_WAY] = (bench_leg){.name = "memcpy",
                                              .kind = "floor",
                                              .trip = copy_trip,
                                              .answer = copy_answer,
                                              .context = copying};
}

static void fail_runner(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void
fail_runner(const char *format, ...)
{
    va_list arguments;
    char text[256];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bench_die(BENCH_EXIT_MACHINE, "%s", text);
}

static void
open_peer(struct runner *runner, const bench_options *options)
{
    const bench_pair *pair = runner->pair;
    bench_peer_setup setup = {.bytes = pair->bytes,
                              .room_bytes = pair->room_bytes,
                              .batch = pair->batch,
                              .wait = options->wait,
                              .fail = fail_runner};
    const bench_peer *peer;
    char why[256];

    snprintf(setup.unique, sizeof setup.unique, "%d", (int)getpid());
    peer = bench_peer_load(pair->entry, why, sizeof why);
    if (peer == NULL)
        bench_die(BENCH_EXIT_MACHINE, "%s", why);
    bench_crossing_open(&runner->crossing, &runner->shared->crossing, peer, &setup,
                        runner->cpus[0] == runner->cpus[1]);
    runner->shared->batch = runner->crossing.batch;
    bench_crossing_legs(runner->legs, &runner->crossing, pair->name);
}

/* A library's own threads may run on both CPUs, and on no other. */
static void
attach(struct runner *runner, enum bench_side side)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(runner->cpus[BENCH_HERE], &set);
    CPU_SET(runner->cpus[BENCH_THERE], &set);
    sched_setaffinity(0, sizeof set, &set);
    runner->crossing.peer->attach(runner->crossing.state, (int)side);
    bench_pin(runner->cpus[side]);
}

static void
join(void *context)
{
    attach(context, BENCH_THERE);
}

static void
leave(void *context)
{
    struct runner *runner = context;

    runner->crossing.peer->detach(runner->crossing.state);
    exit(0); /* not _exit: some libraries say goodbye there */
}

static void
open_all(struct runner *runner, const bench_options *options)
{
    const bench_duo_hooks hooks = {join, leave, runner};
    const bool is_floor = runner->pair->entry == NULL;

    bench_bound(bench_step_seconds(), runner->pair->name);
    if (is_floor)
        open_floor(runner, options);
    else
        open_peer(runner, options);
    bench_duo_start(&runner->duo, runner->legs, BENCH_CROSSINGS, options, is_floor ? NULL : &hooks);
    bench_bound(bench_step_seconds(), runner->pair->name);
    if (!is_floor)
        attach(runner, BENCH_HERE);
    bench_bound(0, "");
}

static _Noreturn void
end_all(struct runner *runner)
{
    const bool is_floor = runner->pair->entry == NULL;

    if (!is_floor)
        bench_crossing_settle(&runner->crossing);
    bench_duo_end(&runner->duo);
    bench_bound(bench_step_seconds(), runner->pair->name);
    if (!is_floor) {
        runner->crossing.peer->detach(runner->crossing.state);
        bench_crossing_close(&runner->crossing);
    }
    exit(0); /* as in leave */
}

/* ---------------------------------------------------------------------------- what it is told */

/* Nanoseconds of `count` messages one way. */
static uint64_t
send_many(struct runner *runner, uint64_t count)
{
    runner->shared->crossing.count = count;
    return bench_duo_run(&runner->duo, BENCH_ONE_WAY, 0, 1, NULL);
}

static double
try_one_way(struct runner *runner)
{
    uint64_t count = FIRST_MESSAGES, ns;

    send_many(runner, 1); /* new memory, a connection that is just made */
    while ((ns = send_many(runner, count)) < TRY_NS && count < MOST_MESSAGES)
        count *= TRY_FACTOR;
    return (double)ns / (double)count + 1e-3;
}

static void
slice_one_way(struct runner *runner)
{
    bench_measure *measure = &runner->shared->measures[BENCH_ONE_WAY];
    bench_plan *plan = &runner->shared->plans[BENCH_ONE_WAY];
    const uint64_t count = 2 * plan->trips; /* nothing is timed twice */
    const uint64_t ns = send_many(runner, count);
    int side;

    measure->slice_ns[measure->slices++] = (double)ns / (double)count;
    measure->trips += count;
    for (side = 0; side < BENCH_SIDES; side++)
        bench_counts_add(&measure->counts[side], &runner->duo.counts[side]);
    bench_measure_shorten(plan, ns / 2);
}

static void
syscalls_one_way(struct runner *runner)
{
    bench_measure *measure = &runner->shared->measures[BENCH_ONE_WAY];
    const double fit = SYSCALL_NS / (bench_measure_trip_ns(measure) + 1);
    const double count = fit > SYSCALL_MESSAGES ? SYSCALL_MESSAGES : floor(fit) + 1;
    int side;

    runner->shared->crossing.count = (uint64_t)count;
    if (!bench_duo_syscalls(&runner->duo, BENCH_ONE_WAY, 1, measure->syscalls))
        measure->syscalls[BENCH_HERE] = measure->syscalls[BENCH_THERE] = NAN;
    for (side = 0; side < BENCH_SIDES; side++)
        measure->syscalls[side] /= count;
}

/* The first messages meet memory that nobody has touched, all around the room. */
static void
warm_up(struct runner *runner)
{
    const uint32_t room = runner->pair->room_bytes / runner->pair->bytes;

    bench_duo_run(&runner->duo, BENCH_ROUND_TRIP, 0, room < WARM_TRIPS ? room : WARM_TRIPS, NULL);
}

static void
obey(struct runner *runner, enum bench_tell command)
{
    const enum bench_crossing_kind kind = runner->shared->kind;
    bench_plan *plan = &runner->shared->plans[kind];
    bench_measure *measure = &runner->shared->measures[kind];
    const bool round = kind == BENCH_ROUND_TRIP;

    if (command == BENCH_TELL_READY)
        warm_up(runner);
    else if (command == BENCH_TELL_TRY)
        plan->trip_ns = round ? bench_measure_try(&runner->duo, kind) : try_one_way(runner);
    else if (command == BENCH_TELL_SLICE && round)
        bench_measure_slice(&runner->duo, kind, plan, measure);
    else if (command == BENCH_TELL_SLICE)
        slice_one_way(runner);
    else if (round)
        bench_measure_syscalls(&runner->duo, kind, measure);
    else
        syscalls_one_way(runner);
    bench_bound(0, ""); /* the others' time is not ours */
}

_Noreturn void
bench_runner_main(const bench_pair *pair, const bench_options *options, int told)
{
    static struct runner runner;
    char name[16], command;

    snprintf(name, sizeof name, "rb %s", pair->entry != NULL ? pair->entry->key : "floor");
    prctl(PR_SET_NAME, name);
    dup2(pair->log, STDERR_FILENO);
    runner.shared = pair->shared;
    runner.pair = pair;
    memcpy(runner.cpus, options->cpus, sizeof runner.cpus);
    open_all(&runner, options);
    for (;;) {
        ssize_t got;

        while ((got = read(told, &command, 1)) < 0 && errno == EINTR)
            ;
        if (got != 1)
            _exit(BENCH_EXIT_MACHINE);
        if (command == BENCH_TELL_END)
            end_all(&runner);
        obey(&runner, (enum bench_tell)command);
        if (write(told, &command, 1) != 1)
            _exit(BENCH_EXIT_MACHINE);
    }
}
