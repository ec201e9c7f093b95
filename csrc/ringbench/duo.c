/* SPDX-License-Identifier: MIT */
/*
 * duo.c - two sides in step.
 *
 *   here, CPU A                          there, CPU B (a child, or a thread)
 *   leg, count; post go          --->    pin; post ready; answers
 *   wait ready; trips            <-->    answer, warm + count times
 *   wait done                    <---    counts; post done
 *   ...                                  waits for the next go
 *
 * Invariant
 *   D1  both do the same number of trips, so no leg needs a stop flag in its loop.
 */
#include "duo.h"

#include "base.h"
#include "machine.h"
#include "process.h"
#include "syscalls.h"
#include "trace.h"

#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NO_LEG = -1 };

struct bench_duo_shared {
    sem_t go, ready, done;
    long leg;
    uint64_t count;
    bench_counts counts; /* of the other side's last run; by it before done */
    uint64_t switches;   /* its involuntary ones, ever */
    pid_t thread;        /* the other side's */
};

static void
counts_now(const bench_leg *leg, bench_counts *out)
{
    bench_counts_of_thread(out);
    if (leg->count != NULL)
        leg->count(leg->context, out);
}

/* ------------------------------------------------------------------------------ the other side */

static void
answer_one_run(bench_duo *duo, const bench_leg *leg)
{
    struct bench_duo_shared *shared = duo->shared;
    const uint64_t count = shared->count;
    bench_counts before, after;
    uint64_t i;

    bench_pin(duo->cpus[leg->same_cpu ? BENCH_HERE : BENCH_THERE]);
    counts_now(leg, &before);
    sem_post(&shared->ready);
    for (i = 0; i < count; i++)
        leg->answer(leg->context);
    counts_now(leg, &after);
    shared->counts = bench_counts_since(&after, &before);
    shared->switches = after.involuntary_switches;
    sem_post(&shared->done);
}

static void
answer_until_told(bench_duo *duo, const bench_leg *legs)
{
    duo->shared->thread = bench_thread_id();
    bench_trace_side(BENCH_THERE);
    for (;;) {
        bench_sem_wait(&duo->shared->go);
        if (duo->shared->leg == NO_LEG)
            return;
        answer_one_run(duo, &legs[duo->shared->leg]);
    }
}

static _Noreturn void
child_main(bench_duo *duo, const bench_duo_hooks *hooks)
{
    bench_bound(0, "the child"); /* it dies with its parent, who has a bound */
    prctl(PR_SET_PTRACER, (unsigned long)getppid(), 0, 0, 0); /* and who counts system calls */
    bench_pin(duo->cpus[BENCH_THERE]);
    if (hooks != NULL && hooks->join != NULL)
        hooks->join(hooks->context);
    answer_until_told(duo, duo->legs);
    if (hooks != NULL && hooks->leave != NULL)
        hooks->leave(hooks->context);
    _exit(0);
}

static void *
thread_main(void *argument)
{
    bench_duo *duo = argument;

    answer_until_told(duo, duo->thread_legs);
    return NULL;
}

static void
start_thread(bench_duo *duo, size_t count)
{
    size_t i;

    duo->thread_legs = calloc(count + 1, sizeof *duo->thread_legs); /* a sentinel: no context */
    if (duo->thread_legs == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no memory");
    for (i = 0; i < count; i++) {
        duo->thread_legs[i] = duo->legs[i];
        duo->thread_legs[i].context = malloc(duo->legs[i].context_bytes);
        if (duo->thread_legs[i].context == NULL)
            bench_die(BENCH_EXIT_MACHINE, "no memory");
        memcpy(duo->thread_legs[i].context, duo->legs[i].context, duo->legs[i].context_bytes);
    }
    if (pthread_create(&duo->thread, NULL, thread_main, duo) != 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot start a thread");
}

static void
end_thread(bench_duo *duo)
{
    const bench_leg *leg;

    pthread_join(duo->thread, NULL);
    for (leg = duo->thread_legs; leg->context != NULL; leg++)
        free(leg->context);
    free(duo->thread_legs);
}

/* --------------------------------------------------------------------------------------- here */

void
bench_duo_start(bench_duo *duo, const bench_leg *legs, size_t count, const bench_options *options,
                const bench_duo_hooks *hooks)
{
    bench_counts now;

    *duo = (bench_duo){.shared = bench_shared_new(sizeof *duo->shared),
                       .legs = legs,
                       .cpus = {options->cpus[BENCH_HERE], options->cpus[BENCH_THERE]},
                       .break_above_ns = options->break_above_ns != 0 ? options->break_above_ns
                                                                      : UINT64_MAX};
    sem_init(&duo->shared->go, 1, 0);
    sem_init(&duo->shared->ready, 1, 0);
    sem_init(&duo->shared->done, 1, 0);
    bench_bound(bench_step_seconds(), "starting the other side");
    bench_pin(duo->cpus[BENCH_HERE]);
    bench_counts_of_thread(&now);
    duo->switches = now.involuntary_switches; /* those of other duos are not this one's */
    if (options->threads) {
        start_thread(duo, count);
        return;
    }
    duo->child = bench_fork();
    if (duo->child == 0)
        child_main(duo, hooks);
}

static void
stop_above(const bench_duo *duo, const bench_leg *leg, uint64_t ns)
{
    char why[96];

    snprintf(why, sizeof why, "a round trip of '%s' took %.1f us", leg->name, (double)ns / 1e3);
    bench_trace_dump(why);
    bench_die(BENCH_EXIT_LIMIT, "stopped by --break-above %llu",
              (unsigned long long)(duo->break_above_ns / 1000));
}

static uint64_t
trips_timed(const bench_duo *duo, const bench_leg *leg, uint64_t count, bench_histogram *histogram)
{
    const uint64_t start = rbr_now_ns();
    uint64_t before = start, after = start, i;

    for (i = 0; i < count; i++) {
        leg->trip(leg->context);
        after = rbr_now_ns();
        bench_histogram_record(histogram, after - before);
        if (after - before > duo->break_above_ns && strcmp(leg->kind, "floor") != 0)
            stop_above(duo, leg, after - before);
        before = rbr_now_ns(); /* not `after`: recording is no part of a trip */
    }
    return after - start;
}

static uint64_t
trips_untimed(const bench_leg *leg, uint64_t count)
{
    const uint64_t start = rbr_now_ns();
    uint64_t i;

    for (i = 0; i < count; i++)
        leg->trip(leg->context);
    return rbr_now_ns() - start;
}

/* `switches`: of both sides, ever. Where they share a CPU they displace each other, and a tracer
 * displaces both; so does the one who waits for the other between two runs. */
static void
excuse_switches(bench_duo *duo, const bench_leg *leg, uint64_t switches)
{
    if (duo->traced || leg->same_cpu || duo->cpus[BENCH_HERE] == duo->cpus[BENCH_THERE])
        bench_run_excuse(switches - duo->switches);
    duo->switches = switches;
}

uint64_t
bench_duo_run(bench_duo *duo, size_t leg_index, uint64_t warm, uint64_t count,
              bench_histogram *histogram)
{
    const bench_leg *leg = &duo->legs[leg_index];
    bench_counts before, after;
    uint64_t i, ns;

    bench_bound(bench_step_seconds(), leg->name);
    duo->shared->leg = (long)leg_index;
    duo->shared->count = warm + count; /* D1 */
    sem_post(&duo->shared->go);
    bench_sem_wait(&duo->shared->ready);
    counts_now(leg, &before);
    for (i = 0; i < warm; i++)
        leg->trip(leg->context);
    ns = histogram != NULL ? trips_timed(duo, leg, count, histogram) : trips_untimed(leg, count);
    counts_now(leg, &after);
    bench_sem_wait(&duo->shared->done);
    duo->counts[BENCH_HERE] = bench_counts_since(&after, &before);
    duo->counts[BENCH_THERE] = duo->shared->counts;
    excuse_switches(duo, leg, after.involuntary_switches + duo->shared->switches);
    return ns;
}

/* A run has system calls of its own, whatever its length: the difference of two runs has not. */
bool
bench_duo_syscalls(bench_duo *duo, size_t leg, uint64_t trips, double per_trip[BENCH_SIDES])
{
    const pid_t others = duo->child != 0 ? duo->child : duo->shared->thread;
    uint64_t counted[2][BENCH_SIDES];
    bench_tracer tracer;
    int run, side;

    if (!bench_tracer_start(&tracer, bench_thread_id(), others))
        return false;
    duo->traced = true;
    for (run = 0; run < 2; run++) {
        uint64_t before[BENCH_SIDES];

        bench_tracer_read(&tracer, before);
        bench_duo_run(duo, leg, 0, run == 0 ? 1 : 1 + trips, NULL);
        bench_tracer_read(&tracer, counted[run]);
        for (side = 0; side < BENCH_SIDES; side++)
            counted[run][side] -= before[side];
    }
    bench_tracer_stop(&tracer);
    duo->traced = false;
    for (side = 0; side < BENCH_SIDES; side++)
        per_trip[side] = counted[1][side] <= counted[0][side]
                             ? 0
                             : (double)(counted[1][side] - counted[0][side]) / (double)trips;
    return true;
}

void
bench_duo_end(bench_duo *duo)
{
    int status;

    bench_bound(bench_step_seconds(), "ending the other side");
    bench_child_may_end();
    duo->shared->leg = NO_LEG;
    sem_post(&duo->shared->go);
    if (duo->child == 0)
        end_thread(duo);
    else if (bench_reap(duo->child, &status) && status != 0) /* else a channel has reaped it */
        bench_die(BENCH_EXIT_WRONG, "the other process ended with status %d", status);
    bench_shared_free(duo->shared, sizeof *duo->shared);
    duo->shared = NULL;
    bench_bound(0, "");
}
