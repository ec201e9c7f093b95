/* SPDX-License-Identifier: MIT */
/*
 * process.c - this process and its child.
 *
 * Invariants
 *   P1  no wait is without end: an alarm ends the parent, the child dies with it
 *       (PR_SET_PDEATHSIG), and a child that dies early ends the parent at once (SIGCHLD).
 *   P2  shared memory is anonymous: whoever is killed whenever leaves no name.
 */
#include "process.h"

#include "base.h"
#include "bench.h"
#include "os.h"
#include "progress.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEP_SECONDS = 30 };

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif

/* No floor is slower than this, however busy the machine: for the alarm only. */
#define SLOW_TRIP_NS (100 * UINT64_C(1000))

/* What the signal handlers need. */
static volatile sig_atomic_t child_pid; /* 0: none whose end would be a surprise */
/* With which code the child has ended after a message of its own; 0: without. Shared with it: a channel
 * may reap it before we can ask the kernel. */
static _Atomic int *child_code;
static bool is_child;
static char bound_message[160];
static unsigned step_seconds = STEP_SECONDS;

/* ------------------------------------------------------------------------------------- ending */

static _Noreturn void
end_both(int code)
{
    if (is_child)
        atomic_store(child_code, code);
    if (child_pid > 0)
        kill((pid_t)child_pid, SIGKILL);
    _exit(code);
}

_Noreturn void
bench_die(int code, const char *format, ...)
{
    va_list arguments;

    bench_progress_end();
    fflush(stdout);
    fputs("ringbench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    end_both(code);
}

static void
say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody is left to be told */
}

static void
on_alarm(int signal_number)
{
    (void)signal_number;
    say(bound_message);
    end_both(BENCH_EXIT_MACHINE);
}

static void
on_child(int signal_number)
{
    siginfo_t info = {.si_pid = 0};

    (void)signal_number;
    if (child_pid <= 0 ||
        (waitid(P_PID, (id_t)child_pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
         info.si_pid == 0))
        return; /* the end was expected, or it was another child's */
    if (atomic_load(child_code) != 0)
        _exit(atomic_load(child_code));
    say("ringbench: the other process ended too early\n");
    _exit(BENCH_EXIT_MACHINE);
}

void
bench_sem_wait(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0 && errno == EINTR)
        ;
}

void
bench_handle(int signal_number, void (*handler)(int), int flags)
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

unsigned
bench_step_seconds(void)
{
    return step_seconds;
}

void
bench_bound(unsigned seconds, const char *what)
{
    snprintf(bound_message, sizeof bound_message,
             "ringbench: no end after %u s in '%s': a lost wake-up, or a machine too busy\n",
             seconds, what);
    bench_handle(SIGALRM, on_alarm, SA_RESTART);
    alarm(seconds);
}

/* --------------------------------------------------------------------------------------- child */

pid_t
bench_fork_apart(void)
{
    const pid_t parent = getpid();
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child < 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot fork: %s", strerror(errno));
    if (child == 0) {
        child_pid = 0;
        bench_handle(SIGCHLD, SIG_DFL, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it died before the line above */
            _exit(BENCH_EXIT_MACHINE);
    }
    return child;
}

pid_t
bench_fork(void)
{
    pid_t child;

    child_pid = 0;
    if (child_code == NULL)
        child_code = bench_shared_new(sizeof *child_code);
    atomic_store(child_code, 0);
    bench_handle(SIGCHLD, on_child, SA_RESTART | SA_NOCLDSTOP);
    child = bench_fork_apart();
    if (child == 0) {
        is_child = true;
        return 0;
    }
    child_pid = child;
    on_child(SIGCHLD); /* it may have ended before the line above */
    return child;
}

void
bench_child_may_end(void)
{
    child_pid = 0;
}

bool
bench_reap(pid_t child, int *status)
{
    pid_t reaped;

    while ((reaped = waitpid(child, status, 0)) < 0 && errno == EINTR)
        ;
    return reaped == child;
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

void
bench_pause(bool one_cpu)
{
    if (one_cpu)
        rbr_os_yield();
    else
        rbr_os_relax();
}

pid_t
bench_thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

int
bench_memory_file(void)
{
    return (int)syscall(SYS_memfd_create, "ringbench", MFD_CLOEXEC);
}
