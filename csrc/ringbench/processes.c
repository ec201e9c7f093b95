/* SPDX-License-Identifier: MIT */
/*
 * processes.c - two processes in step.
 *
 *   parent, CPU A                        child, CPU B
 *   leg, count; post go          --->    pin; post ready; answers
 *   wait ready; trips            <-->    answer, warm + count times
 *   ...                                  waits for the next go
 *
 * Invariants
 *   P1  both do the same number of trips, so no leg needs a stop flag in its loop.
 *   P2  no wait is without end: an alarm ends the parent, the child dies with it
 *       (PR_SET_PDEATHSIG), and a child that dies early ends the parent at once (SIGCHLD).
 *   P3  shared memory is anonymous: whoever is killed whenever leaves no name.
 */
#include "processes.h"

#include "base.h"
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEP_SECONDS = 30, CHILD_SECONDS = 5, NO_LEG = -1 };

/* No floor is slower than this, however busy the machine: for the alarm only. */
#define SLOW_TRIP_NS (100 * UINT64_C(1000))

struct bench_duo_shared {
    sem_t go, ready;
    long leg;
    uint64_t count;
};

/* What the signal handlers need. */
static volatile sig_atomic_t child_pid, child_may_end;
static char bound_message[160];
static unsigned step_seconds = STEP_SECONDS;

/* ------------------------------------------------------------------------------------- ending */

_Noreturn void
bench_die(int code, const char *format, ...)
{
    va_list arguments;

    fputs("ringbench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (child_pid > 0 && !child_may_end)
        kill((pid_t)child_pid, SIGKILL);
    _exit(code);
}

static void
on_alarm(int signal_number)
{
    (void)signal_number;
    if (write(STDERR_FILENO, bound_message, strlen(bound_message)) < 0)
        _exit(BENCH_EXIT_MACHINE);
    if (child_pid > 0 && !child_may_end)
        kill((pid_t)child_pid, SIGKILL);
    _exit(BENCH_EXIT_MACHINE);
}

static void
on_child(int signal_number)
{
    static const char text[] = "ringbench: the other process ended too early\n";

    (void)signal_number;
    if (child_may_end)
        return;
    if (write(STDERR_FILENO, text, sizeof text - 1) >= 0)
        _exit(BENCH_EXIT_MACHINE);
    _exit(BENCH_EXIT_MACHINE);
}

static void
handle(int signal_number, void (*handler)(int), int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(signal_number, &action, NULL);
}

void
bench_step_limit(uint64_t duration_ns, uint64_t count)
{
    const uint64_t count_s = count < UINT32_MAX ? count * SLOW_TRIP_NS / RBR_SECOND : 86400;

    step_seconds = STEP_SECONDS + (unsigned)(duration_ns / RBR_SECOND + count_s);
}

void
bench_bound(unsigned seconds, const char *what)
{
    snprintf(bound_message, sizeof bound_message,
             "ringbench: no end after %u s in '%s': a lost wake-up, or a machine too busy\n",
             seconds, what);
    handle(SIGALRM, on_alarm, SA_RESTART);
    alarm(seconds);
}

/* ----------------------------------------------------------------------------- memory and CPUs */

void *
bench_shared_new(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (base == MAP_FAILED)
        bench_die(BENCH_EXIT_MACHINE, "no %zu bytes of shared memory: %s", bytes, strerror(errno));
    return base;
}

void
bench_shared_free(void *base, size_t bytes)
{
    munmap(base, bytes);
}

int
bench_cpus_allowed(int *cpus, int most)
{
    cpu_set_t set;
    int cpu, count = 0;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        if (count < most)
            cpus[count] = cpu;
        count++;
    }
    return count;
}

void
bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot run on CPU %d: %s", cpu, strerror(errno));
}

/* -------------------------------------------------------------------------------------- the duo */

static void
wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0 && errno == EINTR)
        ;
}

static _Noreturn void
child_main(bench_duo *duo, void (*join)(void *), void (*leave)(void *), void *context)
{
    struct bench_duo_shared *shared = duo->shared;
    uint64_t i;

    child_pid = 0; /* the child has none */
    handle(SIGCHLD, SIG_DFL, 0);
    bench_bound(step_seconds + CHILD_SECONDS, "the child");
    bench_pin(duo->cpus[1]);
    if (join != NULL)
        join(context);
    for (;;) {
        wait_for(&shared->go);
        if (shared->leg == NO_LEG)
            break;
        const bench_leg *leg = &duo->legs[shared->leg];
        const uint64_t count = shared->count;

        bench_bound(step_seconds + CHILD_SECONDS, leg->name);
        bench_pin(duo->cpus[leg->same_cpu ? 0 : 1]);
        sem_post(&shared->ready);
        for (i = 0; i < count; i++)
            leg->answer(leg->context);
    }
    if (leave != NULL)
        leave(context);
    _exit(0);
}

void
bench_duo_start(bench_duo *duo, const bench_leg *legs, const int cpus[2], void (*join)(void *),
                void (*leave)(void *), void *context)
{
    const pid_t parent = getpid();

    *duo = (bench_duo){bench_shared_new(sizeof *duo->shared), legs, {cpus[0], cpus[1]}, 0};
    sem_init(&duo->shared->go, 1, 0);
    sem_init(&duo->shared->ready, 1, 0);
    child_pid = child_may_end = 0;
    bench_bound(step_seconds, "starting the child");
    handle(SIGCHLD, on_child, SA_RESTART | SA_NOCLDSTOP);
    bench_pin(cpus[0]);
    fflush(NULL);
    duo->child = fork();
    if (duo->child < 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot fork: %s", strerror(errno));
    if (duo->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it died before the line above */
            _exit(BENCH_EXIT_MACHINE);
        child_main(duo, join, leave, context);
    }
    child_pid = duo->child;
}

static uint64_t
trips_timed(const bench_leg *leg, uint64_t count, bench_histogram *histogram)
{
    const uint64_t start = rbr_now_ns();
    uint64_t before = start, after = start, i;

    for (i = 0; i < count; i++) {
        leg->trip(leg->context);
        after = rbr_now_ns();
        bench_histogram_record(histogram, after - before);
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

uint64_t
bench_duo_run(bench_duo *duo, size_t leg_index, uint64_t warm, uint64_t count,
              bench_histogram *histogram)
{
    const bench_leg *leg = &duo->legs[leg_index];
    uint64_t i;

    bench_bound(step_seconds, leg->name);
    duo->shared->leg = (long)leg_index;
    duo->shared->count = warm + count; /* P1 */
    sem_post(&duo->shared->go);
    wait_for(&duo->shared->ready);
    for (i = 0; i < warm; i++)
        leg->trip(leg->context);
    return histogram != NULL ? trips_timed(leg, count, histogram) : trips_untimed(leg, count);
}

void
bench_duo_end(bench_duo *duo)
{
    siginfo_t info;

    bench_bound(step_seconds, "ending the child");
    child_may_end = 1;
    duo->shared->leg = NO_LEG;
    sem_post(&duo->shared->go);
    /* ECHILD: a channel has reaped it. */
    while (waitid(P_PID, (id_t)duo->child, &info, WEXITED) != 0 && errno == EINTR)
        ;
    handle(SIGCHLD, SIG_DFL, 0);
    child_pid = 0;
    bench_shared_free(duo->shared, sizeof *duo->shared);
    duo->shared = NULL;
    alarm(0);
}
