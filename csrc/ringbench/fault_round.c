/* SPDX-License-Identifier: MIT */
/*
 * fault_round.c - the supervisor: starts host and worker, waits for the last of them, and judges.
 *
 * A pipe that all three hold tells when both are gone: its end of file. The supervisor is their
 * subreaper, so a worker that outlives its host becomes its child. Nothing but the channel tells the
 * survivor of a kill that the other side has died: no PR_SET_PDEATHSIG of a worker, no signal of ours.
 */
#include "fault.h"

#include "messages.h"
#include "process.h"
#include "sequence.h"

#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of a host or worker that has said itself what was wrong. */
enum { EXIT_SAID = 9 };
/* The largest payload in a record, whatever the ring: it is written and checked byte by byte. */
enum { LARGE_MAX = 256 << 10 };

static const char *const role_names[] = {"host", "worker"};

/* ---------------------------------------------------------------------------------- what is wrong */

static void
say(bench_fault_round *round, enum bench_fault_count count, const char *format, va_list arguments)
{
    bench_fault_board *board = round->board;
    char text[sizeof board->reason - 16]; /* "worker: " comes before it */

    vsnprintf(text, sizeof text, format, arguments);
    /* A hang of one side is the end of the other: the first counts. Leaks are counted each. */
    if (atomic_exchange(&board->failed, true) && count != FAULT_LEAKS)
        return;
    bench_fault_add(round, count, 1);
    if (board->reason[0] == '\0')
        snprintf(board->reason, sizeof board->reason, "%s%s%s",
                 round->role >= 0 ? role_names[round->role] : "", round->role >= 0 ? ": " : "",
                 text);
}

void
bench_fault_say(bench_fault_round *round, enum bench_fault_count count, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(round, count, format, arguments);
    va_end(arguments);
}

_Noreturn void
bench_fault_end(bench_fault_round *round, enum bench_fault_count count, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say(round, count, format, arguments);
    va_end(arguments);
    _exit(EXIT_SAID);
}

/* -------------------------------------------------------------------------------- host and worker */

static void
begin_side(bench_fault_round *round, int role)
{
    const uint32_t quarter = round->options->ring_bytes / 4 - 1024;

    round->role = role;
    round->random += (uint64_t)role + 1;
    atomic_store(&round->board->pids[role], getpid());
    bench_pin(round->options->cpus[role]);
    round->large = quarter < LARGE_MAX ? quarter : LARGE_MAX;
    round->payload = malloc(2 * (size_t)round->large);
    round->frame = malloc(2 * (size_t)round->large + BENCH_FRAME_OVERHEAD);
    if (round->payload == NULL || round->frame == NULL)
        bench_fault_end(round, FAULT_WRONG, "no memory");
}

static _Noreturn void
run_host(bench_fault_round *round)
{
    bench_fault_held before;

    begin_side(round, RBR_ROLE_HOST);
    bench_fault_look(&before);
    round->kind->host(round);
    bench_fault_compare(round, &before);
    atomic_store(&round->board->ended[RBR_ROLE_HOST], true);
    _exit(0);
}

static _Noreturn void
run_worker(bench_fault_round *round, int socket)
{
    bench_fault_held before;

    begin_side(round, RBR_ROLE_WORKER);
    bench_fault_look(&before);
    before.fds -= socket >= 0; /* the channel closes it */
    round->channel = NULL;
    round->kind->worker(round);
    bench_fault_compare(round, &before);
    atomic_store(&round->board->ended[RBR_ROLE_WORKER], true);
    _exit(0);
}

/* The child of this fork ends with its parent, even when it is stopped. */
static void
die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_SAID);
}

void
bench_fault_start_worker(bench_fault_round *round, int socket, int others_socket)
{
    const pid_t host = getpid(), worker = fork();

    if (worker < 0)
        bench_fault_end(round, FAULT_WRONG, "cannot fork: %s", strerror(errno));
    if (worker > 0) {
        atomic_store(&round->board->pids[RBR_ROLE_WORKER], worker);
        return;
    }
    if (round->kind->victim < 0)
        die_with(host);
    if (others_socket >= 0)
        close(others_socket);
    round->worker_socket = socket;
    run_worker(round, socket);
}

/* ------------------------------------------------------------------------------------ supervising */

bool
bench_fault_gone(int life, uint64_t ns)
{
    const struct timespec wait = {(time_t)(ns / RBR_SECOND), (long)(ns % RBR_SECOND)};
    struct pollfd look = {.fd = life, .events = POLLIN};

    return ppoll(&look, 1, &wait, NULL) > 0;
}

int
bench_fault_await_pid(bench_fault_round *round, int role, int life)
{
    const uint64_t until = rbr_now_ns() + BENCH_FAULT_HANG_NS;
    int pid;

    while ((pid = atomic_load(&round->board->pids[role])) == 0)
        if (bench_fault_gone(life, 10000) || rbr_now_ns() >= until)
            return 0;
    return pid;
}

static void
begin_round(bench_fault_round *round)
{
    bench_fault_board *board = round->board;
    uint64_t counts[FAULT_COUNTS];
    uint64_t mix = round->options->seed * UINT64_C(0x9e3779b97f4a7c15) + round->number;
    const char *letter;

    for (letter = round->kind->name; *letter != '\0'; letter++) /* each fault has its own moments */
        mix = mix * 31 + (uint8_t)*letter;
    round->random = bench_random(&mix);
    round->seed = bench_random(&mix);
    round->role = -1;
    round->spin_ns = bench_random(&mix) % 2 == 0 ? -1 : 0;
    round->memory = RBR_MEMORY_AUTO;
    round->patience_ns = BENCH_FAULT_HANG_NS;
    memcpy(counts, board->counts, sizeof counts);
    memset(board, 0, sizeof *board);
    memcpy(board->counts, counts, sizeof counts);
}

static void
start_host(bench_fault_round *round, int life[2])
{
    const pid_t supervisor = getpid();
    pid_t host;

    if (pipe2(life, O_CLOEXEC) != 0)
        bench_die(BENCH_EXIT_MACHINE, "no pipe: %s", strerror(errno));
    host = fork();
    if (host < 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot fork: %s", strerror(errno));
    if (host == 0) {
        die_with(supervisor);
        close(life[0]);
        run_host(round);
    }
    close(life[1]);
    atomic_store(&round->board->pids[RBR_ROLE_HOST], host);
}

/* Whoever is a child of ours still: the host, and then the worker that it leaves to us. */
static void
end_by_force(bench_fault_round *round, int status[2], bool reaped[2])
{
    int role;

    for (role = 0; role < 2; role++) {
        const pid_t pid = atomic_load(&round->board->pids[role]);
        siginfo_t info;

        if (pid == 0 || reaped[role] ||
            waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
            continue;
        kill(pid, SIGKILL);
        reaped[role] = bench_reap(pid, &status[role]);
    }
}

static void
reap_both(bench_fault_round *round, int status[2], bool reaped[2])
{
    int role;

    for (role = 0; role < 2; role++) {
        const pid_t pid = atomic_load(&round->board->pids[role]);

        reaped[role] = pid != 0 && bench_reap(pid, &status[role]);
    }
}

static void
judge_role(bench_fault_round *round, int role, bool reaped, int status)
{
    const char *name = role_names[role];

    if (role == round->kind->victim) {
        if (!reaped) /* of a worker, the host has looked */
            return;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            bench_fault_say(round, FAULT_WRONG, "the %s should have been killed: wait status %#x",
                            name, (unsigned)status);
        else
            bench_fault_add(round, FAULT_KILLS, 1);
        return;
    }
    if (reaped && WIFSIGNALED(status))
        bench_fault_say(round, FAULT_WRONG, "the %s was ended by signal %d (%s)", name,
                        WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (reaped && WEXITSTATUS(status) != 0)
        bench_fault_say(round, FAULT_WRONG, "the %s ended with code %d", name, WEXITSTATUS(status));
    else if (!atomic_load(&round->board->ended[role]) &&
             atomic_load(&round->board->pids[role]) != 0)
        bench_fault_say(round, FAULT_WRONG, "the %s did not come to its end", name);
}

/* A survivor that only a deadline has woken was not told. */
static void
note_death(bench_fault_round *round, bench_histogram *noticed)
{
    const uint64_t killed_ns = atomic_load(&round->board->killed_ns);
    const uint64_t noticed_ns = atomic_load(&round->board->noticed_ns);

    if (killed_ns == 0 || noticed_ns < killed_ns)
        return;
    bench_histogram_record(noticed, noticed_ns - killed_ns);
    if (noticed_ns - killed_ns >= BENCH_FAULT_HANG_NS / 2)
        bench_fault_say(round, FAULT_HANGS, "the death was noticed after %.1f s",
                        (double)(noticed_ns - killed_ns) / 1e9);
}

void
bench_fault_run_round(bench_fault_round *round, bench_histogram *noticed)
{
    int life[2], status[2] = {0, 0};
    bool reaped[2] = {false, false};

    begin_round(round);
    start_host(round, life);
    if (round->kind->act != NULL)
        round->kind->act(round, life[0]);
    if (!bench_fault_gone(life[0], BENCH_FAULT_ROUND_NS)) {
        bench_fault_say(round, FAULT_HANGS, "no end after %llu s",
                        (unsigned long long)(BENCH_FAULT_ROUND_NS / RBR_SECOND));
        end_by_force(round, status, reaped);
    } else {
        reap_both(round, status, reaped);
        judge_role(round, RBR_ROLE_HOST, reaped[RBR_ROLE_HOST], status[RBR_ROLE_HOST]);
        judge_role(round, RBR_ROLE_WORKER, reaped[RBR_ROLE_WORKER], status[RBR_ROLE_WORKER]);
    }
    close(life[0]);
    bench_fault_look_for_names(round);
    note_death(round, noticed);
}
