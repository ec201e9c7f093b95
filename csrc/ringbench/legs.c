/* SPDX-License-Identifier: MIT */
/*
 * legs.c - the machine's own round trips, and measuring several legs in turn.
 *
 * A ratio to the floor means something only when both were measured under the same load: so legs
 * take turns in slices of some milliseconds, A B A B, and the ratio is the median over neighbours.
 */
#include "legs.h"

#include "base.h"
#include "layout.h"
#include "os.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

struct bench_lines {
    alignas(RBR_LINE) _Atomic uint64_t there;
    _Atomic uint64_t back_same; /* in the line of `there` */
    alignas(RBR_LINE) _Atomic uint64_t back;
    alignas(RBR_LINE) sem_t sem_there;
    alignas(RBR_LINE) sem_t sem_back;
    alignas(RBR_LINE) _Atomic uint32_t futex_there;
    alignas(RBR_LINE) _Atomic uint32_t futex_back;
};

/* ------------------------------------------------------------------------------- cache lines */

static void
publish(_Atomic uint64_t *word, uint64_t sequence)
{
    atomic_store_explicit(word, sequence, memory_order_release);
}

static void
spin_until(_Atomic uint64_t *word, uint64_t sequence)
{
    while (atomic_load_explicit(word, memory_order_acquire) != sequence)
        rbr_os_relax();
}

static _Atomic uint64_t *
back_of(bench_floor_state *state)
{
    return state->kind == BENCH_ONE_LINE ? &state->lines->back_same : &state->lines->back;
}

static void
line_trip(void *context)
{
    bench_floor_state *state = context;

    publish(&state->lines->there, ++state->sequence);
    spin_until(back_of(state), state->sequence);
}

static void
line_answer(void *context)
{
    bench_floor_state *state = context;

    spin_until(&state->lines->there, ++state->sequence);
    publish(back_of(state), state->sequence);
}

/* ------------------------------------------------------------------------------------ sleeping */

static void
sem_sleep(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0 && errno == EINTR)
        ;
}

static void
sem_trip(void *context)
{
    bench_floor_state *state = context;

    sem_post(&state->lines->sem_there);
    sem_sleep(&state->lines->sem_back);
}

static void
sem_answer(void *context)
{
    bench_floor_state *state = context;

    sem_sleep(&state->lines->sem_there);
    sem_post(&state->lines->sem_back);
}

static void
futex_publish(_Atomic uint32_t *word, uint64_t sequence)
{
    atomic_store_explicit(word, (uint32_t)sequence, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void
futex_sleep(_Atomic uint32_t *word, uint64_t sequence)
{
    uint32_t seen;

    while ((seen = atomic_load_explicit(word, memory_order_acquire)) != (uint32_t)sequence)
        syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void
futex_trip(void *context)
{
    bench_floor_state *state = context;

    futex_publish(&state->lines->futex_there, ++state->sequence);
    futex_sleep(&state->lines->futex_back, state->sequence);
}

static void
futex_answer(void *context)
{
    bench_floor_state *state = context;

    futex_sleep(&state->lines->futex_there, ++state->sequence);
    futex_publish(&state->lines->futex_back, state->sequence);
}

static void
fd_put(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof one) != (ssize_t)sizeof one)
        bench_die(BENCH_EXIT_MACHINE, "write: %s", strerror(errno));
}

static void
fd_get(int fd)
{
    uint64_t value;

    while (read(fd, &value, sizeof value) != (ssize_t)sizeof value)
        if (errno != EINTR)
            bench_die(BENCH_EXIT_MACHINE, "read: %s", strerror(errno));
}

/* An event loop polls first. */
static void
event_get(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};

    while (poll(&look, 1, -1) != 1)
        ;
    fd_get(fd);
}

static void
eventfd_trip(void *context)
{
    bench_floor_state *state = context;

    fd_put(state->fds[0]);
    event_get(state->fds[1]);
}

static void
eventfd_answer(void *context)
{
    bench_floor_state *state = context;

    event_get(state->fds[0]);
    fd_put(state->fds[1]);
}

static void
pipe_trip(void *context)
{
    bench_floor_state *state = context;

    fd_put(state->fds[1]);
    fd_get(state->fds[2]);
}

static void
pipe_answer(void *context)
{
    bench_floor_state *state = context;

    fd_get(state->fds[0]);
    fd_put(state->fds[3]);
}

void
bench_floor_leg(bench_leg *leg, bench_floor_state *state, const char *name,
                enum bench_floor_kind kind, bool same_cpu)
{
    static void (*const trips[])(void *) = {line_trip,  line_trip,    sem_trip,
                                            futex_trip, eventfd_trip, pipe_trip};
    static void (*const replies[])(void *) = {line_answer,  line_answer,    sem_answer,
                                              futex_answer, eventfd_answer, pipe_answer};
    bool opened = true;

    *state = (bench_floor_state){.kind = kind, .fds = {-1, -1, -1, -1}};
    state->lines = bench_shared_new(sizeof *state->lines);
    sem_init(&state->lines->sem_there, 1, 0);
    sem_init(&state->lines->sem_back, 1, 0);
    if (kind == BENCH_EVENTFD) {
        state->fds[0] = eventfd(0, EFD_CLOEXEC);
        state->fds[1] = eventfd(0, EFD_CLOEXEC);
        opened = state->fds[0] >= 0 && state->fds[1] >= 0;
    } else if (kind == BENCH_PIPE) {
        opened = pipe(state->fds) == 0 && pipe(state->fds + 2) == 0;
    }
    if (!opened)
        bench_die(BENCH_EXIT_MACHINE, "no descriptors: %s", strerror(errno));
    *leg = (bench_leg){name, same_cpu, trips[kind], replies[kind], state};
}

void
bench_floor_close(bench_floor_state *state)
{
    int i;

    for (i = 0; i < 4; i++)
        if (state->fds[i] >= 0)
            close(state->fds[i]);
    bench_shared_free(state->lines, sizeof *state->lines);
}

/* ------------------------------------------------------------------------------------ measuring */

enum { TRIPS_MIN = 20, PILOT_TRIPS = 50, WARM_TRIPS = 20 };

/* Trips in a slice, so that all legs of a run share its duration equally. */
static uint64_t
slice_trips(bench_duo *duo, size_t leg, size_t legs, const bench_options *options)
{
    const uint64_t slices = 2 * BENCH_SLICES; /* half of them timed trip by trip */
    uint64_t trips, pilot_ns;

    if (options->count != 0)
        return options->count / slices > 0 ? options->count / slices : 1;
    pilot_ns = bench_duo_run(duo, leg, WARM_TRIPS, PILOT_TRIPS, NULL) / PILOT_TRIPS;
    trips = options->duration_ns / (slices * legs) / (pilot_ns > 0 ? pilot_ns : 1);
    return trips > TRIPS_MIN ? trips : TRIPS_MIN;
}

void
bench_measure_legs(bench_duo *duo, size_t count, bench_measure *measures,
                   const bench_options *options)
{
    uint64_t trips[32];
    size_t leg, slice;
    uint32_t run;

    for (leg = 0; leg < count; leg++) {
        bench_histogram_clear(&measures[leg].histogram);
        measures[leg].slices = measures[leg].trips = 0;
        trips[leg] = slice_trips(duo, leg, count, options);
    }
    for (run = 0; run < options->runs; run++) {
        for (slice = 0; slice < count * BENCH_SLICES; slice++) {
            bench_measure *measure = &measures[leg = slice % count];
            const uint64_t ns = bench_duo_run(duo, leg, WARM_TRIPS, trips[leg], NULL);

            measure->slice_ns[measure->slices++] = (double)ns / (double)trips[leg];
            bench_duo_run(duo, leg, WARM_TRIPS, trips[leg], &measure->histogram);
            measure->trips += 2 * (trips[leg] + WARM_TRIPS);
        }
    }
}

static int
compare_double(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

double
bench_median(double *values, size_t count)
{
    if (count == 0)
        return 0.0;
    qsort(values, count, sizeof values[0], compare_double);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double
bench_measure_trip_ns(const bench_measure *measure)
{
    double values[BENCH_SLICES * BENCH_RUNS_MAX];

    memcpy(values, measure->slice_ns, measure->slices * sizeof values[0]);
    return bench_median(values, measure->slices);
}

double
bench_measure_ratio(const bench_measure *measure, const bench_measure *floor)
{
    double values[BENCH_SLICES * BENCH_RUNS_MAX];
    size_t i;

    for (i = 0; i < measure->slices; i++)
        values[i] = measure->slice_ns[i] / floor->slice_ns[i];
    return bench_median(values, measure->slices);
}
