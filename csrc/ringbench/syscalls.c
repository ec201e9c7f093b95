/* SPDX-License-Identifier: MIT */
/*
 * syscalls.c - a third process that stops the two sides at each system call, and counts.
 *
 * The kernel's own counters need privileges; ptrace of one's own processes does not. It makes each
 * system call slow, so a leg is counted in a run of its own that nobody times. What spins makes none,
 * and runs at its usual speed.
 *
 * The two sides may be threads of one process: a thread that is neither is counted with the one that
 * shares its process, and with the first where both do.
 */
#include "syscalls.h"

#include "bench.h"
#include "machine.h"
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDES = 2, THREADS_MAX = 64, SYSCALL_STOP = SIGTRAP | 0x80 };

struct bench_tracer_shared {
    sem_t attached;
    bool allowed;
    _Atomic uint64_t stops[SIDES]; /* at the entry and at the exit of each call */
};

struct traced {
    pid_t threads[THREADS_MAX];
    int sides[THREADS_MAX];
    int count;
};

/* ------------------------------------------------------------------------------------ tracer */

static bool
attach(struct traced *traced, pid_t thread, int side)
{
    if (traced->count == THREADS_MAX ||
        ptrace(PTRACE_SEIZE, thread, NULL, (void *)PTRACE_O_TRACESYSGOOD) != 0)
        return false;
    traced->threads[traced->count] = thread;
    traced->sides[traced->count++] = side;
    /* A seized thread runs on; only from a stop can it be made to stop at system calls. */
    return ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) == 0;
}

static bool
attach_others(struct traced *traced, pid_t process, int side)
{
    const struct dirent *entry;
    char path[64];
    bool all = true;
    DIR *threads;
    int i;

    snprintf(path, sizeof path, "/proc/%d/task", process);
    threads = opendir(path);
    if (threads == NULL)
        return false;
    while ((entry = readdir(threads)) != NULL) {
        const pid_t thread = (pid_t)atoi(entry->d_name);

        for (i = 0; i < traced->count && traced->threads[i] != thread; i++)
            ;
        if (thread > 0 && i == traced->count)
            all = attach(traced, thread, side) && all;
    }
    closedir(threads);
    return all;
}

static int
side_of(const struct traced *traced, pid_t thread)
{
    int i;

    for (i = 0; i < traced->count; i++)
        if (traced->threads[i] == thread)
            return traced->sides[i];
    return 0;
}

/* Until it is killed, or nobody is left. */
static void
count_stops(const struct traced *traced, struct bench_tracer_shared *shared)
{
    int status;
    pid_t thread;

    while ((thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
        int deliver = 0;

        if (thread <= 0 || !WIFSTOPPED(status))
            continue;
        if (WSTOPSIG(status) == SYSCALL_STOP)
            atomic_fetch_add(&shared->stops[side_of(traced, thread)], 1);
        else if (status >> 16 == 0) /* a signal on its way, no stop of ours */
            deliver = WSTOPSIG(status);
        ptrace(PTRACE_SYSCALL, thread, NULL, (void *)(long)deliver);
    }
}

static _Noreturn void
trace(struct bench_tracer_shared *shared, pid_t processes[SIDES], pid_t threads[SIDES])
{
    struct traced traced = {.count = 0};
    int side;

    shared->allowed = true;
    for (side = 0; side < SIDES; side++)
        shared->allowed = shared->allowed && attach(&traced, threads[side], side);
    for (side = 0; side < SIDES && (side == 0 || processes[1] != processes[0]); side++)
        shared->allowed = shared->allowed && attach_others(&traced, processes[side], side);
    sem_post(&shared->attached);
    if (shared->allowed)
        count_stops(&traced, shared);
    _exit(0); /* whom it had attached runs on */
}

/* --------------------------------------------------------------------------------------- here */

bool
bench_tracer_start(bench_tracer *tracer, pid_t here, pid_t there)
{
    pid_t threads[SIDES] = {here, there};
    pid_t processes[SIDES] = {getpid(), there};
    char path[64];
    int end[2];

    snprintf(path, sizeof path, "/proc/self/task/%d", there);
    if (access(path, F_OK) == 0)
        processes[1] = getpid();
    tracer->shared = bench_shared_new(sizeof *tracer->shared);
    sem_init(&tracer->shared->attached, 1, 0);
    if (pipe(end) != 0)
        bench_die(BENCH_EXIT_MACHINE, "no descriptors");
    tracer->pid = fork();
    if (tracer->pid == 0) {
        char go;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(end[1]);
        if (read(end[0], &go, 1) != 0) /* until it is allowed to trace its parent */
            _exit(1);
        trace(tracer->shared, processes, threads);
    }
    close(end[0]);
    if (tracer->pid > 0)
        prctl(PR_SET_PTRACER, (unsigned long)tracer->pid, 0, 0, 0); /* where Yama restricts it */
    close(end[1]);
    if (tracer->pid > 0)
        bench_sem_wait(&tracer->shared->attached);
    if (tracer->pid > 0 && tracer->shared->allowed)
        return true;
    bench_tracer_stop(tracer);
    return false;
}

void
bench_tracer_read(const bench_tracer *tracer, uint64_t counts[2])
{
    int side;

    for (side = 0; side < SIDES; side++)
        counts[side] = atomic_load(&tracer->shared->stops[side]) / 2;
}

void
bench_tracer_stop(bench_tracer *tracer)
{
    struct rusage usage = {.ru_nivcsw = 0};

    if (tracer->pid > 0) {
        kill(tracer->pid, SIGKILL);
        while (wait4(tracer->pid, NULL, 0, &usage) < 0 && errno == EINTR)
            ;
        bench_run_excuse((uint64_t)usage.ru_nivcsw);
    }
    bench_shared_free(tracer->shared, sizeof *tracer->shared);
}
