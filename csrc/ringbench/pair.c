/* SPDX-License-Identifier: MIT */
/*
 * pair.c - one peer's two processes, from outside.
 *
 *   ringbench          runner, CPU A                         its child, CPU B
 *   start      --->    opens the peer; forks  --->           attaches
 *   try, slice --->    a duo's trips          <-->           answers
 *   done       <---    figures in shared memory
 *   end        --->    detaches, closes
 *
 * Invariants
 *   Q1  while one pair works all others sleep: in a read, and in a semaphore.
 *   Q2  the socket's other end is open in each process that the runner starts, helpers of a library
 *       included: the socket ends when all have.
 *   Q3  what is told is answered in time, or all that belong to the pair are killed.
 */
#include "pair.h"

#include "process.h"
#include "runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A runner ends itself before we have to; so long may the end of all take. */
enum { PATIENCE_S = 5, ENDING_MS = 10000, LOG_BYTES = 4096 };

/* ----------------------------------------------------------------------------- what went wrong */

static void
describe(char *out, size_t size, int status)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
}

/* What a line says, without what a terminal makes colours of. */
static void
copy_plain(char *out, size_t size, const char *line)
{
    size_t used = 0;

    for (; *line != '\0' && used + 1 < size; line++)
        if (*line == '\033')
            line += strcspn(line, "mK");
        else
            out[used++] = *line;
    out[used] = '\0';
}

/* Our own message is the reason. Else the last line is, but of who was killed. */
static void
read_error(bench_pair *pair, int status)
{
    static const char ours[] = "ringbench: ";
    const off_t size = lseek(pair->log, 0, SEEK_END);
    const char *found = NULL;
    char text[LOG_BYTES + 1], *rest = text, *line;
    ssize_t got;

    got = pread(pair->log, text, LOG_BYTES, size > LOG_BYTES ? size - LOG_BYTES : 0);
    text[got > 0 ? got : 0] = '\0';
    while ((line = strsep(&rest, "\n")) != NULL) {
        const bool is_ours = strncmp(line, ours, sizeof ours - 1) == 0;

        if (is_ours)
            copy_plain(pair->error, sizeof pair->error, line + sizeof ours - 1);
        else if (*line != '\0')
            found = line;
    }
    if (pair->error[0] != '\0')
        return;
    if (found != NULL && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
        copy_plain(pair->error, sizeof pair->error, found);
    if (pair->error[0] == '\0')
        describe(pair->error, sizeof pair->error, status);
}

/* Until the socket says something, or all processes have ended. */
static ssize_t
hear(bench_pair *pair, int timeout_ms, char *out)
{
    const uint64_t deadline = rbr_now_ns() + (uint64_t)timeout_ms * RBR_MS;
    struct pollfd look = {.fd = pair->told, .events = POLLIN};
    uint64_t now;

    while ((now = rbr_now_ns()) < deadline) {
        const int found = poll(&look, 1, (int)((deadline - now) / RBR_MS) + 1);

        if (found > 0)
            return read(pair->told, out, 1);
        if (found < 0 && errno != EINTR)
            return -1;
    }
    errno = ETIMEDOUT;
    return -1;
}

/* All its processes end; those that are stuck are killed. Returns the runner's status. */
static int
end_processes(bench_pair *pair)
{
    int status = 0;
    char ignored;

    while (hear(pair, ENDING_MS, &ignored) == 1)
        ;
    kill(pair->runner, SIGKILL);
    bench_reap(pair->runner, &status);
    pair->runner = 0;
    close(pair->told);
    return status;
}

static void
fail(bench_pair *pair, bool late)
{
    int status;

    pair->failed = pair->shared->kind;
    if (late)
        kill(pair->runner, SIGKILL);
    status = end_processes(pair);
    read_error(pair, status);
    if (late)
        snprintf(pair->error, sizeof pair->error, "no answer within %u s: killed",
                 bench_step_seconds() + PATIENCE_S);
    close(pair->log);
}

static void
tell(bench_pair *pair, enum bench_tell command, enum bench_crossing_kind kind)
{
    const char byte = (char)command;
    ssize_t heard;
    char answer;

    if (pair->error[0] != '\0')
        return;
    pair->shared->kind = kind;
    if (send(pair->told, &byte, 1, MSG_NOSIGNAL) != 1) {
        fail(pair, false);
        return;
    }
    heard = hear(pair, 1000 * (int)(bench_step_seconds() + PATIENCE_S), &answer);
    if (heard != 1)
        fail(pair, heard < 0 && errno == ETIMEDOUT);
}

/* ----------------------------------------------------------------------------------------- here */

void
bench_pair_start(bench_pair *pair, const bench_peer_entry *entry, uint32_t bytes,
                 const bench_options *options)
{
    int ends[2];

    pair->entry = entry;
    pair->name = entry != NULL ? entry->name : "floor";
    pair->bytes = bytes;
    pair->shared = bench_shared_new(sizeof *pair->shared);
    /* Not CLOEXEC: Q2. */
    pair->log = bench_memory_file();
    if (pair->log < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        bench_die(BENCH_EXIT_MACHINE, "no descriptors: %s", strerror(errno));
    pair->runner = bench_fork_apart();
    if (pair->runner == 0) {
        close(ends[0]);
        bench_runner_main(pair, options, ends[1]);
    }
    close(ends[1]);
    pair->told = ends[0];
}

void
bench_pair_ready(bench_pair *pair)
{
    tell(pair, BENCH_TELL_READY, BENCH_ROUND_TRIP);
}

void
bench_pair_try(bench_pair *pair, enum bench_crossing_kind kind)
{
    tell(pair, BENCH_TELL_TRY, kind);
}

void
bench_pair_slice(bench_pair *pair, enum bench_crossing_kind kind)
{
    tell(pair, BENCH_TELL_SLICE, kind);
}

void
bench_pair_syscalls(bench_pair *pair, enum bench_crossing_kind kind)
{
    tell(pair, BENCH_TELL_SYSCALLS, kind);
}

void
bench_pair_end(bench_pair *pair)
{
    const char byte = BENCH_TELL_END;
    int status;

    if (pair->error[0] != '\0')
        return;
    send(pair->told, &byte, 1, MSG_NOSIGNAL);
    status = end_processes(pair);
    pair->failed = BENCH_CROSSINGS;
    if (status != 0)
        read_error(pair, status);
    close(pair->log);
}

bool
bench_pair_has(const bench_pair *pair, enum bench_crossing_kind kind)
{
    return pair->error[0] == '\0' || kind < pair->failed;
}

void
bench_pair_free(bench_pair *pair)
{
    bench_shared_free(pair->shared, sizeof *pair->shared);
    pair->shared = NULL;
}

bench_measure *
bench_pair_measure(const bench_pair *pair, enum bench_crossing_kind kind)
{
    return &pair->shared->measures[kind];
}

bench_plan *
bench_pair_plan(const bench_pair *pair, enum bench_crossing_kind kind)
{
    return &pair->shared->plans[kind];
}

uint32_t
bench_pair_batch(const bench_pair *pair)
{
    return pair->shared->batch;
}

const char *
bench_pair_floor_name(const bench_pair *pair, enum bench_crossing_kind kind)
{
    return kind == BENCH_ROUND_TRIP ? pair->shared->floor_name : "memcpy";
}

void
bench_pair_sequence(const bench_pair *pair, enum bench_crossing_kind kind, bench_sequence *out)
{
    const bench_sequence *sides = pair->shared->crossing.sequences[kind];
    int side;

    memset(out, 0, sizeof *out);
    for (side = 0; side < BENCH_SIDES; side++) {
        out->received += sides[side].received;
        out->lost += sides[side].lost;
        out->duplicated += sides[side].duplicated;
        out->reordered += sides[side].reordered;
        out->corrupt += sides[side].corrupt;
    }
}
