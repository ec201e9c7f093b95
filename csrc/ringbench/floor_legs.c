/* SPDX-License-Identifier: MIT */
/*
 * floor_legs.c - the machine's own round trips: as little as two processes can do to tell each other
 * something.
 */
#include "floor_legs.h"

#include "base.h"
#include "layout.h"
#include "os.h"
#include "process.h"

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
spin_until(const bench_floor_state *state, _Atomic uint64_t *word)
{
    while (atomic_load_explicit(word, memory_order_acquire) != state->sequence) {
        if (state->kind == BENCH_YIELD_LINE)
            rbr_os_yield();
        else
            rbr_os_relax();
    }
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
    spin_until(state, back_of(state));
}

static void
line_answer(void *context)
{
    bench_floor_state *state = context;

    state->sequence++;
    spin_until(state, &state->lines->there);
    publish(back_of(state), state->sequence);
}

/* ------------------------------------------------------------------------------------ sleeping */

static void
sem_trip(void *context)
{
    bench_floor_state *state = context;

    sem_post(&state->lines->sem_there);
    bench_sem_wait(&state->lines->sem_back);
}

static void
sem_answer(void *context)
{
    bench_floor_state *state = context;

    bench_sem_wait(&state->lines->sem_there);
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
    static void (*const trips[])(void *) = {line_trip,  line_trip,    line_trip, sem_trip,
                                            futex_trip, eventfd_trip, pipe_trip};
    static void (*const replies[])(void *) = {line_answer,  line_answer,    line_answer, sem_answer,
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
    *leg = (bench_leg){.name = name,
                       .kind = "floor",
                       .same_cpu = same_cpu,
                       .trip = trips[kind],
                       .answer = replies[kind],
                       .context = state,
                       .context_bytes = sizeof *state};
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

void
bench_floor_of_wait(bench_leg *leg, bench_floor_state *state, const bench_options *options)
{
    static const struct {
        const char *name;
        enum bench_floor_kind kind;
    } floors[] = {
        [BENCH_WAIT_SPIN] = {"own cache lines", BENCH_OWN_LINE},
        [BENCH_WAIT_YIELD] = {"own cache lines, yielding", BENCH_YIELD_LINE},
        [BENCH_WAIT_BLOCK] = {"sem_t", BENCH_SEM},
        [BENCH_WAIT_ADAPTIVE] = {"own cache lines", BENCH_OWN_LINE},
    };
    const bool one_cpu = options->cpus[0] == options->cpus[1];
    /* On one CPU nobody spins: what is adaptive sleeps there. */
    const enum bench_wait wait = one_cpu && options->wait == BENCH_WAIT_ADAPTIVE ? BENCH_WAIT_BLOCK
                                                                                 : options->wait;

    bench_floor_leg(leg, state, floors[wait].name, floors[wait].kind, one_cpu);
}
